package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

// A client is one way to reach a server.
type client struct {
	via h2c.Via
	do  func(*testing.T, call) response
}

type call struct {
	method string // or GET
	url    string
	header map[string]string
	body   []byte
}

type response struct {
	status  int
	proto   string
	header  http.Header
	trailer http.Header
	early   []http.Header // of each 103
	body    []byte
}

// eachClient runs f as a subtest for each way to reach a server.
func eachClient(t *testing.T, f func(*testing.T, client)) {
	for _, via := range []h2c.Via{h2c.ViaHTTP1, h2c.ViaPriorKnowledge} {
		t.Run(strings.ReplaceAll(string(via), "/", ""), func(t *testing.T) {
			hc := newHTTPClient(t, via)
			f(t, client{via, func(t *testing.T, c call) response { return doHTTP(t, hc, c) }})
		})
	}
	t.Run(string(h2c.ViaUpgrade), func(t *testing.T) {
		needCurl(t)
		f(t, client{h2c.ViaUpgrade, doCurl})
	})
}

func needCurl(t *testing.T) {
	t.Helper()
	if ok, err := haveCurl(); err != nil {
		t.Fatal(err)
	} else if !ok {
		t.Skip("curl is not installed")
	}
}

func newHTTPClient(t *testing.T, via h2c.Via) *http.Client {
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP1(via == h2c.ViaHTTP1)
	tr.Protocols.SetUnencryptedHTTP2(via == h2c.ViaPriorKnowledge)
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport:     tr,
		Timeout:       patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func doHTTP(t *testing.T, hc *http.Client, c call) response {
	t.Helper()
	var out response
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == http.StatusEarlyHints {
				out.early = append(out.early, maps.Clone(http.Header(h)))
			}
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, c.method, c.url, bytes.NewReader(c.body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	resp, err := hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if out.body, err = io.ReadAll(resp.Body); err != nil {
		t.Fatal(err)
	}
	out.status, out.proto, out.header, out.trailer = resp.StatusCode, resp.Proto, resp.Header, resp.Trailer
	return out
}

// doCurl makes a call with curl, which offers an upgrade.
func doCurl(t *testing.T, c call) response {
	t.Helper()
	dir := t.TempDir()
	head, body := filepath.Join(dir, "head"), filepath.Join(dir, "body")
	args := []string{"-q", "-sS", "--http2", "--noproxy", "*", "--max-time", strconv.Itoa(int(patience.Seconds())), "-D", head, "-o", body}
	switch c.method {
	case "", http.MethodGet:
	case http.MethodHead:
		args = append(args, "--head")
	default:
		args = append(args, "-X", c.method)
	}
	for name, value := range c.header {
		args = append(args, "-H", name+": "+value)
	}
	if c.body != nil {
		args = append(args, "-H", "Content-Type:", "--data-binary", "@-")
	}
	cmd := exec.CommandContext(t.Context(), "curl", append(args, c.url)...)
	cmd.Stdin = bytes.NewReader(c.body)
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("curl %s: %v\n%s", c.url, err, msg)
	}
	b, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	out := parseHeads(t, b)
	if c.method != http.MethodHead {
		out.body, _ = os.ReadFile(body) // there is none without a body
	}
	return out
}

// parseHeads parses the headers that curl writes, one block after the other.
func parseHeads(t *testing.T, b []byte) response {
	t.Helper()
	var out response
	r := textproto.NewReader(bufio.NewReader(bytes.NewReader(b)))
	for {
		peek, err := r.R.Peek(5)
		if err == io.EOF {
			return out
		}
		if string(peek) != "HTTP/" {
			// The trailers have no empty line at their end.
			trailer, err := textproto.NewReader(bufio.NewReader(io.MultiReader(r.R, strings.NewReader("\r\n\r\n")))).ReadMIMEHeader()
			if err != nil {
				t.Fatalf("%v in the trailers of:\n%s", err, b)
			}
			out.trailer = http.Header(trailer)
			return out
		}
		line, _ := r.ReadLine()
		h, err := r.ReadMIMEHeader()
		if err != nil {
			t.Fatalf("%v in:\n%s", err, b)
		}
		proto, rest, _ := strings.Cut(line, " ")
		code, _, _ := strings.Cut(rest, " ")
		if out.status, err = strconv.Atoi(code); err != nil {
			t.Fatalf("%v in:\n%s", err, b)
		}
		if out.proto = proto; proto == "HTTP/2" {
			out.proto = "HTTP/2.0"
		}
		if out.header = http.Header(h); out.status == http.StatusEarlyHints {
			out.early = append(out.early, out.header)
		}
	}
}

// stream begins a call whose response takes its time. The returned context ends it.
func stream(t *testing.T, via h2c.Via, url string) (lines *bufio.Scanner, cancel context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	if via == h2c.ViaUpgrade {
		cmd := exec.CommandContext(ctx, "curl", "-q", "-sS", "-N", "--http2", "--noproxy", "*", url)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cancel(); cmd.Wait() })
		return bufio.NewScanner(out), cancel
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := newHTTPClient(t, via).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return bufio.NewScanner(resp.Body), cancel
}

func scan(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("stream ended (%v), want %q", lines.Err(), want)
	}
	if got := lines.Text(); !strings.HasPrefix(got, want) {
		t.Fatalf("got line %q, want %q", got, want)
	}
}

// wantStatus checks the status of a response, and that it came the way of its client.
func (c client) wantStatus(t *testing.T, r response, want int) {
	t.Helper()
	proto := "HTTP/2.0"
	if c.via == h2c.ViaHTTP1 {
		proto = "HTTP/1.1"
	}
	if got, want := fmt.Sprint(r.proto, " ", r.status), fmt.Sprint(proto, " ", want); got != want {
		t.Fatalf("got %s, want %s\n%s", got, want, r.body)
	}
}
