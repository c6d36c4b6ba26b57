package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/servers"
)

// A caller is a Transport for one case.
type caller struct {
	*matrix.T
	row   serverRow
	at    *servers.Instance
	h2c   *h2c.Transport
	dials atomic.Int64

	mu       sync.Mutex
	answered []string // method and target of requests
	protos   []string // of the responses
}

// responseTimeout bounds how long a case waits for one.
const responseTimeout = 30 * time.Second

func newCaller(t *matrix.T, row serverRow, at *servers.Instance) *caller {
	c := &caller{T: t, row: row, at: at}
	c.h2c = &h2c.Transport{Mode: row.mode, Base: &http.Transport{
		ExpectContinueTimeout: 2 * time.Second,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			c.dials.Add(1)
			nc, err := new(net.Dialer).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return t.Conn(nc), nil
		},
	}}
	t.Cleanup(func() {
		if err := c.h2c.Close(); err != nil {
			t.Error(err)
		}
		t.Eventually("the Transport counts no HTTP/2 connection", func() bool { return c.h2c.Stats().Active == 0 })
		c.wantHandledOnce()
	})
	return c
}

// A call is a request to send.
type call struct {
	method string // "": GET
	path   string
	query  string // "": one that no other request has
	header http.Header
	body   []byte // nil: none
	noSize bool   // its length is not known
	stream bool   // it can be read once only
	trace  *httptrace.ClientTrace
}

var calls atomic.Int64

// unique returns a name that was not used before.
func unique() string { return fmt.Sprint(calls.Add(1)) }

// send sends a request and returns the response, whose body is to be closed.
func (c *caller) send(ctx context.Context, r call) (*http.Response, error) {
	if r.query == "" {
		r.query = unique()
	}
	var body io.Reader
	switch {
	case r.noSize, r.stream:
		body = struct{ io.Reader }{bytes.NewReader(r.body)}
	case r.body != nil:
		body = bytes.NewReader(r.body)
	}
	if r.trace != nil {
		ctx = httptrace.WithClientTrace(ctx, r.trace)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.at.URL+r.path+"?"+r.query, body)
	if err != nil {
		return nil, err
	}
	if r.stream {
		req.ContentLength = int64(len(r.body))
	}
	maps.Copy(req.Header, r.header)
	resp, err := c.h2c.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.Request != req {
		c.Errorf("the request of the response to %s %s is another", req.Method, r.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered = append(c.answered, req.Method+" "+req.URL.RequestURI())
	c.protos = append(c.protos, resp.Proto)
	return resp, nil
}

// A reply is a response that has been read.
type reply struct {
	*http.Response
	size   int64  // of the body
	sha256 string // of the body
	body   []byte // its beginning
}

// do sends a request and reads the response.
func (c *caller) do(r call) (reply, error) {
	ctx, cancel := context.WithTimeout(c.Context(), responseTimeout)
	defer cancel()
	resp, err := c.send(ctx, r)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	return read(resp, nil)
}

// read reads the rest of a response, of which there is a beginning.
func read(resp *http.Response, beginning []byte) (reply, error) {
	var head bytes.Buffer
	sum := sha256.New()
	r := io.MultiReader(bytes.NewReader(beginning), resp.Body)
	size, err := io.Copy(io.MultiWriter(sum, &head), io.LimitReader(r, 64<<10))
	if err == nil {
		var more int64
		more, err = io.Copy(sum, r)
		size += more
	}
	return reply{resp, size, hex.EncodeToString(sum.Sum(nil)), head.Bytes()}, err
}

// get gets n octets.
func (c *caller) get(n int) error {
	resp, err := c.do(call{path: fmt.Sprintf("/bytes/%d", n)})
	if err != nil {
		return fmt.Errorf("GET of %d octets: %w", n, err)
	}
	return c.whole(resp, n)
}

// whole checks the response of n octets.
func (c *caller) whole(resp reply, n int) error {
	if only := c.row.server.Only; only != 0 {
		if resp.StatusCode != only {
			return fmt.Errorf("status %s, want %d", resp.Status, only)
		}
		return nil
	}
	if resp.StatusCode != http.StatusOK || resp.size != int64(n) || resp.sha256 != peer.Digest(peer.Payload(n)) {
		return fmt.Errorf("GET of %d octets: %s, %d octets with SHA-256 %s", n, resp.Status, resp.size, resp.sha256)
	}
	return nil
}

// must ends the case if there is an error.
func (c *caller) must(err error) {
	if err != nil {
		c.Fatal(err)
	}
}

// mustPost sends a request to the echo, and ends the case if its body does not come through.
func (c *caller) mustPost(r call) reply {
	r.method, r.path = http.MethodPost, "/echo"
	n := len(r.body)
	resp, err := c.do(r)
	if err != nil {
		c.Fatalf("POST of %d octets: %v", n, err)
	}
	var seen origin.Report
	switch {
	case resp.StatusCode != http.StatusOK:
		c.Fatalf("POST of %d octets: %s", n, resp.Status)
	case c.at.Origin == nil:
		// The echo is the body itself.
		if resp.size != int64(n) || resp.sha256 != peer.Digest(r.body) {
			c.Fatalf("POST of %d octets came back as %d octets with SHA-256 %s", n, resp.size, resp.sha256)
		}
	case json.Unmarshal(resp.body, &seen) != nil || seen.BodyBytes != n || seen.BodySHA256 != peer.Digest(r.body):
		c.Fatalf("the handler saw this of a POST of %d octets: %s", n, resp.body)
	}
	return resp
}

// wantHandledOnce checks that the handler had each request that was answered once.
func (c *caller) wantHandledOnce() {
	if c.at.Times == nil {
		return
	}
	counted := func(r string) bool {
		return !strings.Contains(r, " /events?") && !(c.row.server.Files && strings.Contains(r, " /bytes/"))
	}
	for _, r := range c.answered {
		if counted(r) {
			c.Eventually("the handler has had "+r, func() bool { return c.at.Times()[r] > 0 })
		}
	}
	times := c.at.Times()
	for _, r := range c.answered {
		if n := times[r]; counted(r) && n > 1 {
			c.Errorf("%s was handled %d times", r, n)
		}
	}
}

// want checks what the Transport has counted. In HTTP/1.1 some cases need more than one
// connection.
func (c *caller) want(w outcome) {
	got, dials := c.h2c.Stats(), c.dials.Load()
	if w.proto == "HTTP/2.0" && c.row.server.Restless && dials > int64(w.dials) {
		if w.upgraded > 0 {
			w.upgraded = dials
		} else {
			w.prior = dials
		}
		w.dials = int(dials)
	}
	if got.Upgraded != w.upgraded || got.PriorKnowledge != w.prior {
		c.Errorf("%d connections upgraded and %d begun by prior knowledge, want %d and %d",
			got.Upgraded, got.PriorKnowledge, w.upgraded, w.prior)
	}
	if want := once(w.declined); !maps.Equal(got.Declined, want) {
		c.Errorf("declined: %v, want %v", got.Declined, want)
	}
	if want := once(w.failed); !maps.Equal(got.Failed, want) {
		c.Errorf("failed: %v, want %v", got.Failed, want)
	}
	if w.dials > 0 && dials != int64(w.dials) {
		c.Errorf("%d connections dialed, want %d", dials, w.dials)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, proto := range c.protos {
		if proto != w.proto {
			c.Errorf("response in %s, want %s", proto, w.proto)
		}
	}
}

// several is w for a case that takes any number of connections in HTTP/1.1.
func several(w outcome) outcome {
	if w.proto == "HTTP/1.1" {
		w.dials = 0
	}
	return w
}

func once(r h2c.Reason) map[h2c.Reason]int64 {
	if r == "" {
		return nil
	}
	return map[h2c.Reason]int64{r: 1}
}

// reasonOf returns the reason of a HandshakeError, or "".
func reasonOf(err error) h2c.Reason {
	if he := (*h2c.HandshakeError)(nil); errors.As(err, &he) {
		return he.Reason
	}
	return ""
}
