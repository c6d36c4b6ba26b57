package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c"
	decoding "github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// A wiretap decodes what goes over the connections that it dials, and writes that down
// line by line. It changes nothing of it.
type wiretap struct {
	start  time.Time
	dialer net.Dialer

	lines   chan string // nil: nothing is written down
	stop    chan struct{}
	stopped chan struct{}

	mu    sync.Mutex
	conns int
}

// newWiretap returns a wiretap that writes to w, and only decodes if that is nil. What
// writes to w is a goroutine, which keeps connections waiting only if w is far behind.
func newWiretap(w io.Writer) *wiretap {
	t := &wiretap{start: time.Now(), stop: make(chan struct{}), stopped: make(chan struct{})}
	if w == nil {
		close(t.stopped)
		return t
	}
	t.lines = make(chan string, 4096)
	go t.write(w)
	return t
}

func (t *wiretap) write(w io.Writer) {
	defer close(t.stopped)
	for {
		select {
		case line := <-t.lines:
			io.WriteString(w, line)
			continue
		default:
		}
		select {
		case line := <-t.lines:
			io.WriteString(w, line)
		case <-t.stop:
			if len(t.lines) == 0 {
				return
			}
		}
	}
}

// close returns when all lines so far are written. Later ones are dropped.
func (t *wiretap) close() {
	close(t.stop)
	<-t.stopped
}

// DialContext dials a connection and listens in on it.
func (t *wiretap) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	t.mu.Lock()
	t.conns++
	c := &tappedConn{tap: t, id: t.conns}
	t.mu.Unlock()
	dialed := time.Now()
	nc, err := t.dialer.DialContext(ctx, network, addr)
	if err != nil {
		c.print(fmt.Sprintf("connect to %s: %v", addr, err))
		return nil, err
	}
	c.attach(nc)
	c.connect = time.Since(dialed)
	c.print(fmt.Sprintf("connected to %s from %s", nc.RemoteAddr(), nc.LocalAddr()))
	return c, nil
}

// A tappedConn is a connection that a wiretap listens in on.
type tappedConn struct {
	net.Conn
	tap     *wiretap
	id      int
	connect time.Duration // what the dial took

	mu      sync.Mutex
	decoder *decoding.Decoder
	ended   bool
	closed  bool // by this end: nothing goes over it any more
}

func (c *tappedConn) attach(nc net.Conn) {
	c.Conn = nc
	c.decoder = decoding.New(func(e decoding.Event) {
		switch {
		case !e.Shows():
		case e.Client:
			c.print("send "+e.What, e.Details...)
		default:
			c.print("recv "+e.What, e.Details...)
		}
	})
}

// tapped returns the connection that a wiretap dialed, of what has been made of it.
func tapped(nc net.Conn) *tappedConn {
	for {
		switch c := nc.(type) {
		case *tappedConn:
			return c
		case interface{ NetConn() net.Conn }:
			nc = c.NetConn()
		default:
			return nil
		}
	}
}

func (c *tappedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decoder.Server(p[:n])
	switch {
	case err == io.EOF:
		c.end("closed by the server")
	case err != nil && !errors.Is(err, net.ErrClosed):
		c.end("read: " + err.Error())
	}
	return n, err
}

// Write writes p down first, so that no answer comes before it.
func (c *tappedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if !c.closed {
		c.decoder.Client(p)
	}
	c.mu.Unlock()
	n, err := c.Conn.Write(p)
	if err != nil && !errors.Is(err, net.ErrClosed) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.end("write: " + err.Error())
	}
	return n, err
}

// CloseWrite shuts the writing side down, where the connection can.
func (c *tappedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (c *tappedConn) Close() error {
	c.mu.Lock()
	c.closed = true
	c.end("closed")
	c.mu.Unlock()
	return c.Conn.Close()
}

// end writes down, once, how the connection ended.
func (c *tappedConn) end(how string) {
	if c.ended {
		return
	}
	c.ended = true
	c.decoder.End()
	c.print(how)
}

// stream returns the stream that was opened last, or 0. It is the one of a request whose
// WroteHeaders is being called, since that is in turn with what the client writes.
func (c *tappedConn) stream() uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.decoder.LastStream()
}

// via says how HTTP/2 began on the connection.
func (c *tappedConn) via() h2c.Via {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.decoder.Requests() > 0 {
		return h2c.ViaUpgrade
	}
	return h2c.ViaPriorKnowledge
}

// print writes down what happened, with details on lines of their own.
func (c *tappedConn) print(what string, details ...string) {
	if c.tap.lines == nil {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "[%7.3f] #%d %s\n", time.Since(c.tap.start).Seconds(), c.id, visible(what))
	for _, d := range details {
		fmt.Fprintf(&b, "          %s\n", visible(d))
	}
	select {
	case c.tap.lines <- b.String():
	case <-c.tap.stop:
	}
}

// visible returns s without what a terminal takes for a command.
func visible(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if isControl(r) {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func isControl(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }
