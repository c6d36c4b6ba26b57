package h2c

import (
	"context"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	h2engine "github.com/seed78dc1b7f/h2c/internal/engine"
	"github.com/seed78dc1b7f/h2c/internal/splice"
	"golang.org/x/net/http2"
)

// A direct has the engine of this library serve connections that were taken from net/http. A
// second start in net/http would cost each of them time, and 8 KiB of buffers while it lasts. They
// are connections of hs all the same, which has an anchor that stands for them.
type direct struct {
	hs     *http.Server
	engine *h2engine.Server

	mu     sync.Mutex
	anchor *anchor // nil before the first connection
}

// enter announces a connection, for which the anchor stands until its leave is called. It returns
// nil if hs takes no more connections, or does not speak HTTP/2.
func (d *direct) enter() *anchor {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.anchor != nil && d.anchor.enter() {
		return d.anchor
	}
	a := newAnchor()
	go d.hs.Serve(anchorListener{a})
	<-a.settled
	if !a.enter() {
		return nil
	}
	d.anchor = a
	return a
}

// getsPrefaces reports whether the handler gets the client prefaces that are sent to hs, since net/http
// does not give the connections to the engine, as a later Go may not.
func (d *direct) getsPrefaces() bool {
	if d == nil {
		return false
	}
	a := d.enter()
	if a == nil {
		return false
	}
	defer a.leave(nil)
	return a.byHandler
}

// serve begins to serve the connection of h, which was announced to a. It does what net/http does
// around an HTTP/2 server.
func (d *direct) serve(a *anchor, h *handoff) {
	nc, begun := h.conn, false
	defer func() {
		if !begun {
			a.leave(nc)
		}
	}()
	if !a.add(nc) {
		return
	}
	ctx := context.WithValue(h.base, http.ServerContextKey, d.hs)
	if d.hs.ConnContext != nil {
		if ctx = d.hs.ConnContext(ctx, nc); ctx == nil {
			panic("ConnContext returned nil")
		}
	}
	d.connState(nc, http.StateNew)
	if !nc.Take() {
		d.connState(nc, http.StateClosed)
		return
	}
	begun = true
	go func() {
		defer a.leave(nc)
		defer func() { d.engine.LogPanic("http", h.remote, recover()) }() // of a hook of the user
		defer d.connState(nc, http.StateClosed)
		defer nc.Close()
		nc.SetDeadline(time.Time{}) // as net/http does
		d.engine.Serve(nc, h2engine.Options{Context: ctx, Handler: a.handler})
	}()
}

func (d *direct) connState(nc net.Conn, state http.ConnState) {
	if d.hs.ConnState != nil {
		d.hs.ConnState(nc, state)
	}
}

// An anchor is a connection of an http.Server that stands for others, of which the server does not
// know: Shutdown waits until the last of them is closed, and Close closes them all.
//
// net/http reads a client preface from it, and gives it to the engine, which holds it, or to the
// handler, which does that as well. An anchorListener yields it, and hears of Shutdown and Close.
type anchor struct {
	settled chan struct{} // closed when it is held, or will not be
	stopped chan struct{} // closed when the server takes no more connections
	over    chan struct{} // closed when it stands for nothing any more
	expired chan struct{} // closed when reading is to end

	// Before settled is closed.
	handler   http.Handler // what the engine is to serve; nil if it is not held
	byHandler bool         // the engine did not get it

	mu       sync.Mutex
	unread   string // of the preface
	accepted bool
	closed   bool // it is over when there are no connections
	entered  int
	conns    map[*splice.Conn]bool
	expiring bool // a timer is set
	used     bool // since it was set
}

// anchorLifetime is how long an anchor outlives the last connection that it stands for, and up to
// twice as long.
const anchorLifetime = time.Second

func newAnchor() *anchor {
	return &anchor{
		settled: make(chan struct{}),
		stopped: make(chan struct{}),
		over:    make(chan struct{}),
		expired: make(chan struct{}),
		unread:  http2.ClientPreface,
		conns:   make(map[*splice.Conn]bool),
	}
}

// hold returns when a is over. It is called when net/http gives a to the engine, with what it has
// that serve, or to the handler.
func (a *anchor) hold(h http.Handler, byHandler bool) {
	a.mu.Lock()
	a.handler, a.byHandler = h, byHandler
	a.settle()
	a.mu.Unlock()
	<-a.over
}

// settle notes that it is known whether a is held. mu is held.
func (a *anchor) settle() {
	if !isClosed(a.settled) {
		close(a.settled)
	}
}

// finish ends a, if it stands for nothing. mu is held.
func (a *anchor) finish() {
	if a.entered == 0 && !isClosed(a.over) {
		close(a.over)
	}
}

// enter announces a connection. It reports whether a can stand for it.
func (a *anchor) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.handler == nil || isClosed(a.stopped) || isClosed(a.over) {
		return false
	}
	a.entered++
	a.used = true
	return true
}

// add has a connection closed by Close of the server. It reports whether it is not too late.
func (a *anchor) add(c *splice.Conn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed && isClosed(a.stopped) {
		return false
	}
	a.conns[c] = true
	return true
}

// leave is called when a connection that was announced is closed. It is nil if there has not been
// one after all.
func (a *anchor) leave(c *splice.Conn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.conns, c)
	a.entered--
	switch {
	case a.entered > 0:
	case a.closed || isClosed(a.stopped):
		a.finish()
	case !a.expiring:
		a.expireLater()
	}
}

// expireLater ends a when it has not been used for a while. mu is held.
func (a *anchor) expireLater() {
	a.expiring, a.used = true, false
	time.AfterFunc(anchorLifetime, a.expire)
}

func (a *anchor) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.expiring = false
	switch {
	case a.entered > 0: // leave sets the next timer
	case a.used:
		a.expireLater()
	default:
		a.finish()
	}
}

// Close is called by Close of the server, after that of the listener; by net/http when a is over;
// and by those who close new connections as a server ends, as httptest does. These do not mean the
// connections that a stands for, which end by themselves.
func (a *anchor) Close() error {
	a.mu.Lock()
	a.closed = true
	a.settle()
	a.finish()
	var conns []*splice.Conn
	if isClosed(a.stopped) {
		conns = slices.Collect(maps.Keys(a.conns))
	}
	a.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	return nil
}

// Read yields the client preface, and then waits.
func (a *anchor) Read(p []byte) (int, error) {
	a.mu.Lock()
	n := copy(p, a.unread)
	a.unread = a.unread[n:]
	a.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	select {
	case <-a.expired:
		return 0, os.ErrDeadlineExceeded
	case <-a.over:
		return 0, net.ErrClosed
	}
}

// SetReadDeadline ends reading if at has passed, as net/http has it when a request ends. Other
// deadlines do not matter.
func (a *anchor) SetReadDeadline(at time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !at.IsZero() && !at.After(time.Now()) && !isClosed(a.expired) {
		close(a.expired)
	}
	return nil
}

func (a *anchor) Write([]byte) (int, error)        { return 0, net.ErrClosed }
func (a *anchor) LocalAddr() net.Addr              { return anchorAddr{} }
func (a *anchor) RemoteAddr() net.Addr             { return anchorAddr{} }
func (a *anchor) SetDeadline(time.Time) error      { return nil }
func (a *anchor) SetWriteDeadline(time.Time) error { return nil }

// An anchorListener yields an anchor.
type anchorListener struct{ a *anchor }

func (l anchorListener) Accept() (net.Conn, error) {
	a := l.a
	a.mu.Lock()
	first := !a.accepted && !isClosed(a.stopped)
	a.accepted = a.accepted || first
	a.mu.Unlock()
	if first {
		return a, nil
	}
	select {
	case <-a.stopped:
	case <-a.over:
	}
	return nil, net.ErrClosed
}

func (l anchorListener) Close() error {
	a := l.a
	a.mu.Lock()
	defer a.mu.Unlock()
	if !isClosed(a.stopped) {
		close(a.stopped)
	}
	if !a.accepted {
		a.settle()
	}
	a.finish()
	return nil
}

func (anchorListener) Addr() net.Addr { return anchorAddr{} }

type anchorAddr struct{}

func (anchorAddr) Network() string { return "h2c" }
func (anchorAddr) String() string  { return "anchor" }
