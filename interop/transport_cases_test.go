//go:build unix

package interop

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// A client is a Transport for one case.
type client struct {
	t     *testing.T
	at    target
	h2c   *h2c.Transport
	dials atomic.Int64

	several bool // HTTP/1.1 needs more than one connection

	mu     sync.Mutex
	sent   []string // method and target
	protos []string // of the responses
}

func newClient(t *testing.T, at target, mode h2c.Mode) *client {
	c := &client{t: t, at: at}
	c.h2c = &h2c.Transport{Mode: mode, Base: &http.Transport{
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.dials.Add(1)
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}}
	t.Cleanup(func() {
		if err := c.h2c.Close(); err != nil {
			t.Error(err)
		}
		eventually(t, "the client counts no HTTP/2 connection", func() bool { return c.h2c.Stats().Active == 0 })
		c.wantSeenOnce()
	})
	return c
}

// A reply is a response that has been read.
type reply struct {
	*http.Response
	size   int64  // of the body
	sha256 string // of the body
	head   []byte // the beginning of the body
}

var requests atomic.Int64

// do sends a request, which nobody else sends, and reads the response.
func (c *client) do(method, path string, body []byte) (reply, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	path = fmt.Sprintf("%s?%d", path, requests.Add(1))
	var r io.Reader
	if body != nil {
		r = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.at.url+path, r)
	if err != nil {
		return reply{}, err
	}
	resp, err := c.h2c.RoundTrip(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	c.mu.Lock()
	c.sent = append(c.sent, method+" "+path)
	c.protos = append(c.protos, resp.Proto)
	c.mu.Unlock()
	var head bytes.Buffer
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(sum, &head), io.LimitReader(resp.Body, 64<<10))
	if err == nil {
		var more int64
		more, err = io.Copy(sum, resp.Body)
		size += more
	}
	return reply{resp, size, hex.EncodeToString(sum.Sum(nil)), head.Bytes()}, err
}

// get gets n octets.
func (c *client) get(n int) {
	c.t.Helper()
	resp, err := c.do("GET", fmt.Sprintf("/bytes/%d", n), nil)
	switch {
	case err != nil:
		c.t.Errorf("GET of %d octets: %v", n, err)
	case resp.StatusCode != http.StatusOK || resp.size != int64(n) || resp.sha256 != digest(payload(n)):
		c.t.Errorf("GET of %d octets: %s, %d octets with SHA-256 %s", n, resp.Status, resp.size, resp.sha256)
	}
}

// wantSeenOnce checks that the handler saw each request, and once only.
func (c *client) wantSeenOnce() {
	if c.at.seen == nil {
		return
	}
	times := make(map[string]int)
	for _, r := range c.at.seen() {
		times[r.Method+" "+r.Target]++
	}
	for _, r := range c.sent {
		if times[r] != 1 {
			c.t.Errorf("%s was handled %d times", r, times[r])
		}
	}
}

// C-01, C-05, C-08, C-09: the protocol that comes of a mode, or the error, within 5 seconds.
func testMode(t *testing.T, at target, mode h2c.Mode, want outcome) {
	begin := time.Now()
	c := newClient(t, at, mode)
	if want.reason == "" {
		c.get(small)
	} else {
		_, err := c.do("GET", fmt.Sprintf("/bytes/%d", small), nil)
		if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != want.reason {
			t.Errorf("error %v, want reason %s", err, want.reason)
		}
	}
	c.want(want)
	if d := time.Since(begin); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
}

// transportCases run in ModeAuto.
var transportCases = []struct {
	name string
	echo bool // it needs a handler
	run  func(*client)
}{
	{"C-03 HEAD", false, func(c *client) {
		resp, err := c.do("HEAD", fmt.Sprintf("/bytes/%d", large), nil)
		switch {
		case err != nil:
			c.t.Error(err)
		case resp.StatusCode != http.StatusOK || resp.ContentLength != large || resp.size != 0:
			c.t.Errorf("%s, Content-Length %d, %d octets", resp.Status, resp.ContentLength, resp.size)
		}
		c.get(small) // whatever is left of the first response would be in the way
	}},
	{"C-03 3 MB", false, func(c *client) { c.get(large) }},
	{"C-04 50 times 3 MB at once", false, func(c *client) {
		c.several = true
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { c.get(large) })
		}
		wg.Wait()
	}},
	{"C-05 three in a row", false, func(c *client) {
		for range 3 {
			c.get(small)
		}
	}},
	{"C-10 POST", true, func(c *client) { c.post(10_000) }},
	{"C-10 GET and POST", true, func(c *client) {
		c.get(small)
		c.post(10_000)
	}},
	{"C-13 Close", false, func(c *client) {
		c.get(small)
		if err := c.h2c.Close(); err != nil {
			c.t.Error(err)
		}
		if n := c.h2c.Stats().Active; n != 0 {
			c.t.Errorf("%d HTTP/2 connections are left", n)
		}
		if _, err := c.do("GET", "/", nil); !errors.Is(err, h2c.ErrTransportClosed) {
			c.t.Errorf("error %v after Close", err)
		}
	}},
}

// post sends n octets to the echo.
func (c *client) post(n int) {
	c.t.Helper()
	resp, err := c.do("POST", "/echo", payload(n))
	var seen report
	switch {
	case err != nil:
		c.t.Errorf("POST of %d octets: %v", n, err)
	case json.Unmarshal(resp.head, &seen) != nil || seen.BodyBytes != n || seen.BodySHA256 != digest(payload(n)):
		c.t.Errorf("POST of %d octets: %s, %s", n, resp.Status, resp.head)
	}
}
