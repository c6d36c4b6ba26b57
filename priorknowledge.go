package h2c

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

// The client preface begins like an HTTP/1 request, which net/http passes to the handler
// where it does not look for the preface itself:
//
//	PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4
const prefaceRest = "SM\r\n\r\n"

func isPreface(r *http.Request) bool {
	return r.Method == "PRI" && r.RequestURI == "*" && r.ProtoMajor == 2 && r.TLS == nil
}

// goingAway refuses a connection begun by prior knowledge while the server shuts down: an
// empty SETTINGS frame, and a GOAWAY frame that says that no stream was processed.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
var goingAway = []byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00")

// notPreface is what an HTTP/2 server says that the client does not speak HTTP/2 to: an empty
// SETTINGS frame, and a GOAWAY frame with PROTOCOL_ERROR.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4-9
var notPreface = []byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00" +
	"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x01")

// servePreface answers the beginning of a client preface that net/http took for a request.
func (h *handler) servePreface(w http.ResponseWriter, r *http.Request) {
	if c := publicConn(r); c != nil && c.hasExpired() {
		panic(http.ErrAbortHandler) // net/http makes a request of the half that came
	}
	if a, ok := r.Context().Value(anchorKey{}).(*anchor); ok {
		a.hold(h, true)
		panic(http.ErrAbortHandler)
	}
	e, reason := h.priorKnowledge(r)
	if len(r.Header) > 0 || r.Host != "" {
		reason = ReasonPrefaceInvalid // it has fields
		w.Header().Set("Connection", "close")
	}
	if reason != "" {
		h.s.negotiated(Negotiation{Via: ViaPriorKnowledge, Reason: reason, RemoteAddr: r.RemoteAddr})
		refuse(w, reason)
		return
	}
	to, ok := e.announce()
	if !ok {
		h.s.negotiated(Negotiation{Via: ViaPriorKnowledge, Reason: ReasonShutdown, RemoteAddr: r.RemoteAddr})
		refuse(w, ReasonShutdown)
		return
	}
	nc, buffered, err := to.hijack(w)
	if err != nil {
		h.s.negotiated(Negotiation{Via: ViaPriorKnowledge, Reason: ReasonHijack, Err: err, RemoteAddr: r.RemoteAddr})
		refuse(w, ReasonHijack)
		return
	}
	buffered, err = to.readRest(nc, buffered, h.s.handshakeTimeout())
	if err != nil {
		to.withdraw()
		nc.Close()
		h.s.negotiated(Negotiation{Via: ViaPriorKnowledge, Reason: prefaceReason(err), Err: err, RemoteAddr: r.RemoteAddr})
		return
	}
	h.s.handOver(to, r.RemoteAddr, nc, ViaPriorKnowledge, splice.Config{Buffered: buffered, Refusal: goingAway})
}

// priorKnowledge judges the beginning of a client preface.
func (h *handler) priorKnowledge(r *http.Request) (engine, Reason) {
	over, ok := r.Context().Value(handoffKey{}).(*handoff)
	switch {
	case ok && over.waiting():
		// A server that speaks HTTP/2 does not take the preface of a connection that is
		// handed over to it for a request. This one does not (GODEBUG=http2server=0), and
		// what is answered here does not reach the client: the splice sends 503.
		h.s.noHTTP2.Store(true)
		return engine{}, ReasonDisabled
	case ok || h.hadRequest(r):
		return engine{}, ReasonPrefaceLate
	case h.s.DisablePriorKnowledge:
		return engine{}, ReasonPriorKnowledge
	case h.hs != nil && !h.direct.getsPrefaces():
		return engine{}, ReasonPrefaceInvalid // the valid ones do not come to the handler
	}
	e, ok := h.engine(r)
	if !ok {
		return engine{}, ReasonShutdown
	}
	return e, ""
}

// refuse answers a preface that must not be served. net/http closes the connection then,
// unless it was a stream whose method is PRI.
func refuse(w http.ResponseWriter, reason Reason) {
	status := http.StatusBadRequest
	if reason == ReasonShutdown {
		status = http.StatusServiceUnavailable
	}
	http.Error(w, "h2c: "+string(reason), status)
}

// readRest is [readRest] on a connection that the server closes when it takes no more.
func (a announced) readRest(nc net.Conn, b []byte, timeout time.Duration) (after []byte, err error) {
	if len(b) < len(prefaceRest) {
		done := make(chan struct{})
		defer close(done)
		switch {
		case a.anchor != nil:
			go func() {
				select {
				case <-a.anchor.stopped:
					nc.Close()
				case <-done:
				}
			}()
		case a.server != nil:
			go a.server.Serve(&prefaceListener{nc: nc, done: done})
		}
	}
	return readRest(nc, b, timeout)
}

// A prefaceListener yields nothing. It hears of Shutdown and Close for a connection whose preface is
// being read, until that is done.
type prefaceListener struct {
	nc   net.Conn
	done chan struct{}
}

func (l *prefaceListener) Accept() (net.Conn, error) {
	<-l.done
	return nil, net.ErrClosed
}

func (l *prefaceListener) Close() error {
	if isClosed(l.done) {
		return nil
	}
	return l.nc.Close()
}

func (l *prefaceListener) Addr() net.Addr { return l.nc.LocalAddr() }

// readRest reads the rest of the client preface, of which b may hold a part, and returns
// what came after it.
func readRest(nc net.Conn, b []byte, timeout time.Duration) (after []byte, err error) {
	if timeout > 0 {
		nc.SetReadDeadline(time.Now().Add(timeout))
		defer nc.SetReadDeadline(time.Time{})
	}
	for {
		n := min(len(b), len(prefaceRest))
		if string(b[:n]) != prefaceRest[:n] {
			return nil, splice.ErrPrefaceInvalid
		}
		if n == len(prefaceRest) {
			return b[n:], nil
		}
		b = append(b, make([]byte, len(prefaceRest)-n)...)
		m, err := nc.Read(b[n:])
		b = b[:n+m]
		switch {
		case m > 0:
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, splice.ErrPrefaceTimeout
		case err != nil:
			return nil, splice.ErrPrefaceMissing
		}
	}
}

// watchPreface bounds the time that a client preface takes where net/http reads it, which
// has no bound of its own. Clients that send nothing or HTTP/1 are left to the timeouts of
// net/http: where the octets can be seen, the time runs from the first one of a preface.
// On a connection that is not a socket, it runs until the first request or preface.
//
// Where nothing but HTTP/2 is spoken, whoever does not is told so, on a socket. net/http would
// close the connection without a word.
func (c *conn) watchPreface(s *Server, http2Only bool) {
	timeout := s.handshakeTimeout()
	var other func()
	if http2Only {
		other = func() { c.notPreface(s) }
	}
	if timeout == 0 && other == nil {
		return
	}
	begin := func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if timeout > 0 && !c.begun && !c.closed {
			c.preface = time.AfterFunc(timeout, func() { c.prefaceTimeout(s) })
		}
	}
	if !splice.WatchPreface(c.nc, begin, c.unwatchPreface, other) {
		begin()
	}
}

// notPreface ends a connection that does not begin with a client preface, where it has to. The
// client has a moment to read why.
func (c *conn) notPreface(s *Server) {
	s.negotiated(Negotiation{
		Via: ViaPriorKnowledge, Reason: ReasonPrefaceInvalid, Err: splice.ErrPrefaceInvalid,
		RemoteAddr: remoteAddr(c.nc),
	})
	c.nc.Write(notPreface)
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	time.AfterFunc(lingerTimeout, func() { c.nc.Close() })
}

// lingerTimeout is how long a client has to read why its connection ends.
const lingerTimeout = 500 * time.Millisecond

func (c *conn) prefaceTimeout(s *Server) {
	c.mu.Lock()
	c.expired = !c.begun && !c.closed
	expired := c.expired
	c.mu.Unlock()
	if expired {
		c.nc.Close() // first: to ask for its address may mean to wait for the client
		s.negotiated(Negotiation{
			Via: ViaPriorKnowledge, Reason: ReasonPrefaceTimeout, Err: splice.ErrPrefaceTimeout,
			RemoteAddr: remoteAddr(c.nc),
		})
	}
}

func (c *conn) hasExpired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expired
}

func (c *conn) unwatchPreface() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun = true
	if c.preface != nil {
		c.preface.Stop()
		c.preface = nil
	}
}

// dialPriorKnowledge makes a connection that speaks HTTP/2 from the first octet. Whether
// the server does, too, is known when its first octet comes; requests do not wait for it.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3
func (t *Transport) dialPriorKnowledge(ctx context.Context, o *origin, addr string) (*clientConn, error) {
	var w *wire
	var timer *time.Timer
	nc, err := t.dialUntil(ctx, addr, func(http2 bool) error {
		if timer != nil {
			timer.Stop()
		}
		if !http2 {
			o.prefer(unknown)
			return t.failed(ViaPriorKnowledge, ReasonHTTP1Only, errHTTP1Only, o.addr)
		}
		t.speaksHTTP2(w, ViaPriorKnowledge, o.addr)
		return nil
	})
	if err != nil {
		return nil, err
	}
	w = nc.(*wire)
	if timeout := t.handshakeTimeout(); timeout > 0 {
		timer = time.AfterFunc(timeout, func() {
			if t.isClosed(w) {
				return
			}
			t.noAnswer(&clientConn{origin: o, wire: w}, os.ErrDeadlineExceeded)
			w.Close()
		})
	}
	conn := newSettingsConn(w)
	c := &clientConn{origin: o, wire: w, settings: conn.processed, requests: 1}
	if c.cc, err = t.newClient(ctx, conn, o.addr); err != nil {
		w.Close()
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, t.noAnswer(c, err)
	}
	return c, nil
}

// dialUntil is dial, for as long as the context allows, whether or not Base honours that.
func (t *Transport) dialUntil(ctx context.Context, addr string, onFirst func(http2 bool) error) (net.Conn, error) {
	var nc net.Conn
	var err error
	dialed := make(chan struct{})
	go func() {
		nc, err = t.dial(ctx, "tcp", addr, onFirst)
		close(dialed)
	}()
	select {
	case <-dialed:
		return nc, err
	case <-ctx.Done():
		go func() {
			if <-dialed; err == nil {
				nc.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// noAnswer notes that the server has not sent an octet in answer to the client preface.
func (t *Transport) noAnswer(c *clientConn, cause error) error {
	var err error = &HandshakeError{Reason: ReasonNoAnswer, Err: cause}
	if c.wire.failed.CompareAndSwap(nil, &err) {
		c.origin.prefer(unknown)
		t.failed(ViaPriorKnowledge, ReasonNoAnswer, cause, c.origin.addr)
	}
	return c.wire.err()
}
