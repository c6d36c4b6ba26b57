package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/proxies"
)

// offerCases are the columns for offers of h2c. Each has proxies of its own.
var offerCases = []struct {
	name string
	told bool // it is for proxies that pass on all of an offer
	ids  func(*proxies.Proxy) []string
	test func(*matrix.T, *proxies.Proxy, origin.Way)
}{
	{
		name: "offer",
		ids:  func(p *proxies.Proxy) []string { return offerProves(p.Offer) },
		test: func(t *matrix.T, p *proxies.Proxy, w origin.Way) {
			offerThrough(t, startBehind(t, p, p.Program, w, origin.Config{Breaks: p.Offer.Failed}), "GET", p.Offer)
		},
	},
	{
		name: "offer with body",
		ids:  func(p *proxies.Proxy) []string { return offerProves(p.WithBody) },
		test: func(t *matrix.T, p *proxies.Proxy, w origin.Way) {
			offerThrough(t, startBehind(t, p, p.Program, w, origin.Config{Breaks: p.WithBody.Failed}), "POST", p.WithBody)
		},
	},
	{
		name: "offer, told",
		told: true,
		ids:  func(*proxies.Proxy) []string { return []string{"S-02", "U-10", "U-28"} },
		test: func(t *matrix.T, p *proxies.Proxy, w origin.Way) {
			t.Run("X-Forwarded-For", func(t *matrix.T) {
				b := startBehind(t, p, p.Told, w, origin.Config{})
				offerThrough(t, b, "GET", proxies.Outcome{Status: 200, Declined: h2c.ReasonForwarded})
			})
			t.Run("DisableUpgrade", func(t *matrix.T) {
				b := startBehind(t, p, p.Program, w, origin.Config{H2C: &h2c.Server{DisableUpgrade: true}})
				offerThrough(t, b, "GET", proxies.Outcome{Status: 200, Declined: h2c.ReasonDisabled})
			})
		},
	},
}

// offerProves returns the requirements that a case with this outcome proves.
func offerProves(o proxies.Outcome) []string {
	ids := []string{"S-02"}
	switch o.Declined {
	case h2c.ReasonConnectionTokens:
		ids = append(ids, "U-04", "U-28")
	case h2c.ReasonSettingsCount:
		ids = append(ids, "U-05", "U-28")
	}
	if o.Failed == h2c.ReasonPrefaceLate {
		ids = append(ids, "P-06")
	}
	return ids
}

const smuggledTarget = "/echo?smuggled"

// offerThrough sends offers through a proxy, with a request in HTTP/2 frames behind each,
// between the requests of two other clients. The server must not be upgraded, the request in
// the frames must not reach its handler unless the proxy speaks HTTP/2 to the client itself,
// and everybody must get the answers that are theirs.
func offerThrough(t *matrix.T, b *behind, method string, want proxies.Outcome) {
	var seen []string // by the handler
	saw := func(method, target string) {
		seen = append(seen, fmt.Sprintf("%s %s %s by %s", method, target, b.proxy.Proto, b.via()))
	}
	visitors := []*visitor{newVisitor(t), newVisitor(t)}
	visit := func() {
		for _, v := range visitors {
			target := fmt.Sprintf("/echo?visit-%d", len(seen))
			if err := v.echo(t, b, "GET", target, nil); err != nil {
				t.Fatalf("another client: %v", err)
			}
			saw("GET", target)
		}
	}
	offers, tunnelled := 0, false
	send := func(name string, early bool) {
		offers++
		target := fmt.Sprintf("/echo?offer-%d", offers) // not one that a cache has
		t.Run(name, func(t *matrix.T) {
			tunnelled = sendOffer(t, b, method, target, want, early) || tunnelled
		})
		if want.Status != http.StatusBadGateway {
			saw(method, target)
		}
		if want.Status == http.StatusSwitchingProtocols {
			saw("GET", smuggledTarget)
		}
		visit()
	}
	visit()
	send("frames after the answer", false)
	if want.Status != http.StatusSwitchingProtocols { // for that a client must wait
		send("frames with the request", true)
	}
	if tunnelled {
		return // which has been said
	}

	var got []string
	for _, r := range b.Seen() {
		got = append(got, fmt.Sprintf("%s %s %s by %s", r.Method, r.Target, r.Proto, r.Via))
	}
	slices.Sort(got)
	slices.Sort(seen)
	if !slices.Equal(got, seen) {
		t.Errorf("handler saw:\n%q\nwant:\n%q", got, seen)
	}
	stats := b.H2C.Stats()
	if stats.Upgraded != 0 {
		t.Errorf("%d connections upgraded", stats.Upgraded)
	}
	if count := counts(want.Declined, offers); !maps.Equal(stats.Declined, count) {
		t.Errorf("declined: %v, want %v", stats.Declined, count)
	}
	if count := counts(want.Failed, offers); !maps.Equal(stats.Failed, count) {
		t.Errorf("handshakes broke: %v, want %v", stats.Failed, count)
	}
	b.wantPrior(t)
}

// counts are what Stats has if n negotiations came out like that.
func counts(r h2c.Reason, n int) map[h2c.Reason]int64 {
	if r == "" {
		return nil
	}
	return map[h2c.Reason]int64{r: int64(n)}
}

// sendOffer sends an offer on a connection of its own, and the frames behind it early, or
// else when it is answered. It reports whether the proxy became a tunnel.
func sendOffer(t *matrix.T, b *behind, method, target string, want proxies.Outcome, early bool) (tunnelled bool) {
	addr := strings.TrimPrefix(b.url, "http://")
	nc, err := net.DialTimeout("tcp", addr, proxyPatience)
	if err != nil {
		t.Fatal(err)
	}
	nc = t.Conn(nc)
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(proxyPatience))

	request := offer(method, target, addr)
	if early {
		request = append(request, smuggled(addr)...)
	}
	if _, err := nc.Write(request); err != nil {
		t.Fatal(err)
	}
	br := bufio.NewReader(nc)
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		t.Fatalf("no answer to the offer: %v", err)
	}
	var body []byte
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatalf("the answer to the offer broke off: %v", err)
		}
	}
	if !early {
		nc.Write(smuggled(addr)) // if the connection is closed by now, so much the better
	}

	if resp.StatusCode == http.StatusSwitchingProtocols {
		bodies := readStreams(t, br)
		if b.H2C.Stats().Upgraded > 0 {
			t.Errorf("upgraded through the proxy: the handler saw %s", decodeReport(t, bodies[3]))
			return true
		}
		wantOffered(t, method, target, addr, want, decodeReport(t, bodies[1]))
		if r := decodeReport(t, bodies[3]); r.Target != smuggledTarget {
			t.Errorf("the answer on stream 3 is about %s", r)
		}
	}
	if resp.StatusCode != want.Status {
		t.Errorf("the offer was answered by %s, want %d", resp.Status, want.Status)
	}
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols:
		return false
	case http.StatusOK:
		wantOffered(t, method, target, addr, want, decodeReport(t, body))
	}
	// What comes now is an answer to the frames, if anything.
	if rest, err := io.ReadAll(br); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open after HTTP/2 frames, which were answered by %.200q", rest)
	}
	return false
}

// readStreams reads the responses on the streams 1 and 3, and returns their bodies.
func readStreams(t *matrix.T, r io.Reader) map[uint32][]byte {
	fr := http2.NewFramer(io.Discard, r)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	bodies := make(map[uint32][]byte)
	for ended := 0; ended < 2; {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatalf("after the 101, %d of 2 responses came, then: %v", ended, err)
		}
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			if status := f.PseudoValue("status"); status != "200" {
				t.Fatalf("status %s on stream %d", status, f.StreamID)
			}
		case *http2.DataFrame:
			bodies[f.StreamID] = append(bodies[f.StreamID], f.Data()...)
			if f.StreamEnded() {
				ended++
			}
		}
	}
	return bodies
}

// decodeReport returns what the handler says of a request.
func decodeReport(t *matrix.T, body []byte) (r origin.Report) {
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("the handler did not answer this: %v: %.200q", err, body)
	}
	return r
}

// wantOffered checks what the handler saw of a request with an offer.
func wantOffered(t *matrix.T, method, target, addr string, want proxies.Outcome, r origin.Report) {
	if r.Method != method || r.Target != target {
		t.Errorf("the answer to the offer is about %s", r)
	}
	if method == "POST" && r.BodySHA256 != peer.Digest(smuggled(addr)) {
		t.Errorf("handler saw another body than was offered: %d octets", r.BodyBytes)
	}
	left := r.Header["Upgrade"]
	if want.Declined != "" {
		left = append(left, r.Header["Http2-Settings"]...)
	}
	if len(left) > 0 {
		t.Errorf("handler saw what is left of the offer: %q", left)
	}
}

// offer is a request that offers h2c as it should be. The body, if it has one, is what would
// be a request if it came after the 101.
func offer(method, target, host string) []byte {
	var buf bytes.Buffer
	fmt.Fprintf(&buf, "%s %s HTTP/1.1\r\nHost: %s\r\n", method, target, host)
	buf.WriteString("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n")
	if method == "POST" {
		body := smuggled(host)
		fmt.Fprintf(&buf, "Content-Length: %d\r\n\r\n%s", len(body), body)
	} else {
		buf.WriteString("\r\n")
	}
	return buf.Bytes()
}

// smuggled is what a client sends after a 101: the preface, SETTINGS, and here a request.
func smuggled(host string) []byte {
	var head, buf bytes.Buffer
	enc := hpack.NewEncoder(&head)
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":authority", host}, {":path", smuggledTarget}} {
		enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	buf.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&buf, nil)
	fr.WriteSettings()
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: head.Bytes(), EndStream: true, EndHeaders: true})
	return buf.Bytes()
}
