package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// probeMaxAnswer is how many octets are read from one connection.
	probeMaxAnswer = 1 << 20
	// probeMaxInterim is how many 1xx responses may come before the final one.
	probeMaxInterim = 16
)

var (
	errProbeTooLong = errors.New("more than 1 MiB without an end")
	errProbeHTTP2   = errors.New("answered in HTTP/2 frames")
	errProbeInterim = errors.New("1xx responses without an end")
	errProbeNotH2C  = errors.New("101 to a protocol that is not h2c")
)

// errProbeNotHTTP holds the first octets of an answer that is none.
type errProbeNotHTTP []byte

func (e errProbeNotHTTP) Error() string { return "not HTTP: " + probeQuote(string(e)) }

// A probeTarget is what requests are sent to.
type probeTarget struct {
	url     *url.URL
	addr    string // of the first connection; later ones go there too
	timeout time.Duration
}

// host is the value of Host and :authority, which have no zone.
func (t *probeTarget) host() string {
	host := t.url.Host
	zone, end := strings.IndexByte(host, '%'), strings.LastIndexByte(host, ']')
	if zone < 0 || end < zone {
		return host
	}
	return host[:zone] + host[end:]
}

// dial opens a connection that is of use for the timeout, or until ctx ends.
func (t *probeTarget) dial(ctx context.Context) (*probeConn, error) {
	addr := t.addr
	if addr == "" {
		port := t.url.Port()
		if port == "" {
			port = "80"
		}
		addr = net.JoinHostPort(t.url.Hostname(), port)
	}
	deadline := time.Now().Add(t.timeout)
	nc, err := (&net.Dialer{Deadline: deadline}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t.addr = nc.RemoteAddr().String()
	return newProbeConn(ctx, nc, deadline), nil
}

// A probeRequest is a request as it goes over HTTP/1.1.
type probeRequest struct {
	method  string
	options bool     // the target is *, rather than that of the URL
	fields  []string // lines, sent as they are
	body    string
	chunked bool
}

func (t *probeTarget) encode(r probeRequest) []byte {
	var b bytes.Buffer
	target := t.url.RequestURI()
	if r.options {
		target = "*"
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: h2c-probe\r\nAccept: */*\r\n", r.method, target, t.host())
	for _, line := range r.fields {
		b.WriteString(line + "\r\n")
	}
	switch {
	case r.chunked:
		half := len(r.body) / 2
		fmt.Fprintf(&b, "Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n",
			half, r.body[:half], len(r.body)-half, r.body[half:])
	case r.body != "":
		fmt.Fprintf(&b, "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(r.body), r.body)
	default:
		b.WriteString("\r\n")
	}
	return b.Bytes()
}

// A probeConn is a connection that says nothing on its own.
type probeConn struct {
	nc      net.Conn
	br      *bufio.Reader
	unwatch func() bool
	writing chan error // of the request being written; nil: none is
	http2   bool
}

func newProbeConn(ctx context.Context, nc net.Conn, deadline time.Time) *probeConn {
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	nc.SetDeadline(deadline)
	return &probeConn{
		nc:      nc,
		br:      bufio.NewReader(&probeReader{nc, probeMaxAnswer}),
		unwatch: context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) }),
	}
}

func (c *probeConn) close() {
	c.unwatch()
	if c.http2 {
		c.goAway()
	}
	c.nc.Close()
	c.written()
}

// write begins to write a request. An answer may come before all of it is written, or a
// server that does not want it may never read it.
func (c *probeConn) write(b []byte) {
	done := make(chan error, 1)
	c.writing = done
	go func() {
		_, err := c.nc.Write(b)
		done <- err
	}()
}

// written waits until the request has been written.
func (c *probeConn) written() error {
	if c.writing == nil {
		return nil
	}
	err := <-c.writing
	c.writing = nil
	return err
}

// A probeAnswer is what came back for a request. One of final, stream and err is set.
type probeAnswer struct {
	final    *http.Response // the head of the response over HTTP/1.1
	switched *http.Response // the 101
	stream   *probeStream   // what HTTP/2 brought
	err      error
}

// upgraded reports whether the server said that the connection is HTTP/2 from here.
func (a *probeAnswer) upgraded() bool { return a.switched != nil && a.stream != nil }

// do sends a request over HTTP/1.1 and reads the answer, on stream 1 if that is where it
// comes. Of a body it reads nothing.
func (c *probeConn) do(t *probeTarget, r probeRequest) *probeAnswer {
	c.write(t.encode(r))
	resp, err := c.readHead(r.method)
	switch {
	case err != nil:
		return &probeAnswer{err: err}
	case resp.StatusCode != http.StatusSwitchingProtocols:
		return &probeAnswer{final: resp}
	}
	a := &probeAnswer{switched: resp}
	if resp.Header.Get("Upgrade") != "" && !probeNamesH2C(resp) {
		a.err = errProbeNotH2C
		return a
	}
	// "Requests that contain a payload body MUST be sent in their entirety before the
	// client can send HTTP/2 frames." https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
	if err := c.written(); err != nil {
		a.stream = &probeStream{err: err}
		return a
	}
	a.stream = c.readStream(r.method, probePreface())
	return a
}

func probeNamesH2C(resp *http.Response) bool {
	return httpguts.HeaderValuesContainsToken(resp.Header["Upgrade"], "h2c")
}

// readHead reads the head of a 101 or of a final response.
func (c *probeConn) readHead(method string) (*http.Response, error) {
	for range probeMaxInterim {
		// Shorter than any response or frame; what comes short of it is not waited for.
		switch start, err := c.br.Peek(5); {
		case !bytes.HasPrefix([]byte("HTTP/"), start) && !probeIsFrame(start):
			start, _ = c.br.Peek(min(c.br.Buffered(), 32))
			return nil, errProbeNotHTTP(bytes.Clone(start))
		case err != nil:
			return nil, err
		case probeIsFrame(start):
			return nil, errProbeHTTP2
		}
		resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
		if err != nil {
			return nil, err
		}
		if code := resp.StatusCode; code >= 200 || code == http.StatusSwitchingProtocols {
			return resp, nil
		}
	}
	return nil, errProbeInterim
}

// probeIsFrame reports whether b, of five octets, begins a SETTINGS or GOAWAY frame.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-4.1
func probeIsFrame(b []byte) bool {
	const settings, goAway = 0x4, 0x7
	return len(b) >= 1 && b[0] == 0 && (len(b) < 4 || b[3] == settings || b[3] == goAway)
}

// A probeReader fails when a peer sends more than it may.
type probeReader struct {
	r    io.Reader
	left int
}

func (r *probeReader) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, errProbeTooLong
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}
