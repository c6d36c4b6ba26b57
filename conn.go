package h2c

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"reflect"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

type (
	anchorKey  struct{} // *anchor
	handoffKey struct{} // *handoff of a connection that was handed over
	baseKey    struct{} // what BaseContext returned for the listener of a connection
	connKey    struct{} // *conn of a connection that was not handed over
)

func localAddr(r *http.Request) net.Addr {
	addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addr
}

// remoteAddr returns the address of a client, or nothing where it has none.
func remoteAddr(nc net.Conn) string {
	if addr := nc.RemoteAddr(); addr != nil {
		return addr.String()
	}
	return ""
}

// wrapBaseContext gives a connection that is handed over the context that the connection
// it came from has, without asking the user's function again.
func wrapBaseContext(user func(net.Listener) context.Context) func(net.Listener) context.Context {
	return func(l net.Listener) context.Context {
		switch l := l.(type) {
		case *handoff:
			return l.base
		case anchorListener:
			return context.WithValue(context.Background(), anchorKey{}, l.a)
		}
		ctx := context.Background()
		if user != nil {
			ctx = user(l)
		}
		return context.WithValue(ctx, baseKey{}, ctx)
	}
}

// wrapConnContext and wrapConnState return functions that leave anchors out.
func wrapConnContext(user func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	if user == nil {
		return nil
	}
	return func(ctx context.Context, nc net.Conn) context.Context {
		if _, ok := nc.(*anchor); ok {
			return ctx
		}
		return user(ctx, nc)
	}
}

func wrapConnState(user func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	if user == nil {
		return nil
	}
	return func(nc net.Conn, state http.ConnState) {
		if _, ok := nc.(*anchor); !ok {
			user(nc, state)
		}
	}
}

// A conn is a connection that net/http accepted and nobody took over.
type conn struct {
	nc         net.Conn
	hadRequest bool // over HTTP/1, whose requests come one after the other

	mu      sync.Mutex
	prior   time.Time // when it was known to have begun by prior knowledge
	refused bool      // and that this is switched off
	closed  bool
	expired bool        // its preface was not complete in time
	begun   bool        // it is past its preface, or first request
	preface *time.Timer // bounds a client preface that is not complete
}

func publicConn(r *http.Request) *conn {
	c, _ := r.Context().Value(connKey{}).(*conn)
	return c
}

// priorKnowledge notes that c has begun by prior knowledge, and reports whether it may.
func (c *conn) priorKnowledge(s *Server) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.prior.IsZero() {
		return !c.refused
	}
	c.prior = time.Now()
	c.refused = s.DisablePriorKnowledge
	n := Negotiation{Via: ViaPriorKnowledge, RemoteAddr: remoteAddr(c.nc)}
	if c.refused {
		n.Reason = ReasonPriorKnowledge
	}
	s.negotiated(n)
	if c.closed && !c.refused {
		s.closed(c.info())
	}
	return !c.refused
}

// close notes that c was closed or taken over.
func (c *conn) close(s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if !c.prior.IsZero() && !c.refused {
		s.closed(c.info())
	}
}

func (c *conn) info() ConnInfo {
	return ConnInfo{
		Via:        ViaPriorKnowledge,
		RemoteAddr: remoteAddr(c.nc),
		Duration:   time.Since(c.prior),
	}
}

// conns are the connections of an http.Server.
type conns struct {
	s         *Server
	http2Only bool     // HTTP/1 is not spoken
	m         sync.Map // net.Conn to *conn
}

func (t *conns) wrapConnContext(user func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, nc net.Conn) context.Context {
		if user != nil {
			ctx = user(ctx, nc)
		}
		switch nc.(type) {
		case *splice.Conn, *anchor:
			return ctx
		}
		c := &conn{nc: nc}
		if reflect.ValueOf(nc).Comparable() {
			t.m.Store(nc, c)
		} else {
			c.closed = true // its end will not be seen
		}
		return context.WithValue(ctx, connKey{}, c)
	}
}

func (t *conns) wrapConnState(user func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(nc net.Conn, state http.ConnState) {
		t.connState(nc, state)
		if user != nil {
			user(nc, state)
		}
	}
}

func (t *conns) connState(nc net.Conn, state http.ConnState) {
	if !reflect.ValueOf(nc).Comparable() {
		return
	}
	v, ok := t.m.Load(nc)
	if !ok {
		return
	}
	c := v.(*conn)
	switch state {
	case http.StateNew:
		if _, ok := nc.(*tls.Conn); !ok {
			c.watchPreface(t.s, t.http2Only)
		}
		return
	case http.StateHijacked, http.StateClosed:
		t.m.Delete(nc)
		c.close(t.s)
	}
	c.unwatchPreface()
}

// marks tells which connections of a NewHandler are past their first request. The address
// that net/http puts in a request's context is one object for each connection on a socket,
// and lives as long. Where it is of another type, no connection is marked.
type marks struct {
	m sync.Map // weak.Pointer of net.TCPAddr, net.UnixAddr or otherAddr to nothing
}

func (m *marks) set(addr net.Addr) {
	switch addr := addr.(type) {
	case *net.TCPAddr:
		setMark(m, addr)
	case *net.UnixAddr:
		setMark(m, addr)
	case *otherAddr:
		setMark(m, addr)
	}
}

func (m *marks) isSet(addr net.Addr) bool {
	var ok bool
	switch addr := addr.(type) {
	case *net.TCPAddr:
		_, ok = m.m.Load(weak.Make(addr))
	case *net.UnixAddr:
		_, ok = m.m.Load(weak.Make(addr))
	case *otherAddr:
		_, ok = m.m.Load(weak.Make(addr))
	}
	return ok
}

func setMark[T any](m *marks, addr *T) {
	if addr == nil {
		return
	}
	p := weak.Make(addr)
	if _, ok := m.m.Load(p); ok {
		return
	}
	m.m.Store(p, nil)
	runtime.AddCleanup(addr, func(p weak.Pointer[T]) { m.m.Delete(p) }, p)
}
