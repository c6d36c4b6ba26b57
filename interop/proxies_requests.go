package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// send sends a request for the target through the proxy, and returns the response, of status
// 200, and its body.
func (v *visitor) send(t *matrix.T, b *behind, method, target string, body io.Reader) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(t.Context(), method, b.url+target, body)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("TE", "trailers")
	resp, err := v.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || resp.Proto != "HTTP/1.1") {
		err = fmt.Errorf("%s %s: %s %s %.200q", method, target, resp.Proto, resp.Status, got)
	}
	return resp, got, err
}

// echo sends a request to /echo and checks that the answer is about that very request.
func (v *visitor) echo(t *matrix.T, b *behind, method, target string, body io.Reader) error {
	_, got, err := v.send(t, b, method, target, body)
	if err != nil {
		return err
	}
	var r origin.Report
	if err := json.Unmarshal(got, &r); err != nil {
		return err
	}
	if r.Method != method || r.Target != target {
		return fmt.Errorf("%s %s was answered with what belongs to %s %s", method, target, r.Method, r.Target)
	}
	return nil
}

func behindGET(t *matrix.T, b *behind) {
	if err := newVisitor(t).echo(t, b, "GET", "/echo?get", nil); err != nil {
		t.Fatal(err)
	}
	if r := b.wantOnce(t, "GET", "/echo?get"); r.BodyBytes != 0 {
		t.Errorf("handler saw %d octets of a body that is none", r.BodyBytes)
	}
}

func behindPOST(t *matrix.T, b *behind) {
	post(t, b, "/echo?post", bytes.NewReader(peer.Payload(peer.MiB)))
}

func behindChunked(t *matrix.T, b *behind) {
	// Of a reader of this type net/http does not know the length.
	post(t, b, "/echo?chunked", io.MultiReader(bytes.NewReader(peer.Payload(peer.MiB))))
}

func post(t *matrix.T, b *behind, target string, body io.Reader) {
	if err := newVisitor(t).echo(t, b, "POST", target, body); err != nil {
		t.Fatal(err)
	}
	r := b.wantOnce(t, "POST", target)
	if r.BodySHA256 != peer.Digest(peer.Payload(peer.MiB)) {
		t.Errorf("handler saw another body than was sent: %d octets", r.BodyBytes)
	}
}

func behindHuge(t *matrix.T, b *behind) {
	target := fmt.Sprintf("/bytes/%d?huge", peer.Huge)
	_, got, err := newVisitor(t).send(t, b, "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if peer.Digest(got) != peer.Digest(peer.Payload(peer.Huge)) {
		t.Errorf("another body came than was sent: %d octets", len(got))
	}
	b.wantOnce(t, "GET", target)
}

func behindAtOnce(t *matrix.T, b *behind) {
	const n = 100
	target := func(i int) string { return fmt.Sprintf("/echo?at-once-%d", i) }
	v := newVisitor(t)
	var errs [n]error
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = v.echo(t, b, "GET", target(i), nil) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		b.wantOnce(t, "GET", target(i))
	}
}

func behindTrailers(t *matrix.T, b *behind) {
	resp, got, err := newVisitor(t).send(t, b, "GET", "/trailers?trailers", nil)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "hello\n" || resp.Trailer.Get("X-Check") != "done" {
		t.Errorf("body %q with trailer %v, want hello and X-Check: done", got, resp.Trailer)
	}
	b.wantOnce(t, "GET", "/trailers?trailers")
}

// behindEvents wants each event before the handler sends the next.
func behindEvents(t *matrix.T, b *behind) {
	req, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/events?events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newVisitor(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); resp.StatusCode != http.StatusOK || got != "text/event-stream" {
		t.Fatalf("answer %s of type %q", resp.Status, got)
	}
	gate, lines := b.Gate("events"), bufio.NewReader(resp.Body)
	for i := range origin.Events {
		want := fmt.Sprintf("data: %d\n\n", i+1)
		got := make([]byte, len(want))
		if _, err := io.ReadFull(lines, got); err != nil {
			t.Fatalf("event %d did not come before the next was sent: %v", i+1, err)
		}
		if string(got) != want {
			t.Fatalf("event %q, want %q", got, want)
		}
		gate.Open()
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("after the events came %q, %v", rest, err)
	}
}
