package h2c

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// A Mode says in which ways a [Transport] may start HTTP/2.
type Mode int

const (
	// ModeAuto offers the Upgrade on first contact with an origin and remembers what it
	// said. A server that answers in HTTP/2 is asked again by prior knowledge, and one that
	// declines speaks HTTP/1.1.
	ModeAuto Mode = iota
	// ModeUpgrade is ModeAuto without prior knowledge.
	ModeUpgrade
	// ModePriorKnowledge speaks HTTP/2 from the first octet (RFC 9113, Section 3.3).
	ModePriorKnowledge
	// ModeHTTP1 speaks HTTP/1.1.
	ModeHTTP1
)

const (
	defaultRefusalTTL = 10 * time.Minute

	// maxAttempts bounds how often a request is tried on one connection after another.
	maxAttempts = 6
)

// ErrTransportClosed is what requests get after [Transport.Close].
var ErrTransportClosed = errors.New("h2c: transport is closed")

// A Transport is an [http.RoundTripper] that speaks HTTP/2 to http:// origins, begun by
// Upgrade or by prior knowledge. The zero value is ready to use. Fields must not change
// once it is in use; it must not be copied then.
//
// All requests of an origin share a connection, and another one when its streams are used
// up. Requests to https:// origins, through a proxy, and with an Upgrade field of their own
// go to Base untouched.
type Transport struct {
	// Mode says how HTTP/2 may start. The zero value is ModeAuto.
	Mode Mode

	// Base dials, and speaks HTTP/1.1. Its settings hold for HTTP/2 connections, too:
	// IdleConnTimeout, ResponseHeaderTimeout, DisableCompression, HTTP2 and so on. A copy
	// of it is made on first use. If nil, a copy of [http.DefaultTransport] is used.
	Base *http.Transport

	// MaxUpgradeBodyBytes bounds the body of a request that carries the offer to upgrade,
	// in octets; it is read into memory. Where a request cannot carry it, an "OPTIONS /"
	// does. If zero, only requests without a body carry it, since some servers refuse
	// others (Tomcat and Netty answer 413).
	MaxUpgradeBodyBytes int64

	// RefusalTTL is how long an origin that declined is not asked again. If zero, 10
	// minutes; if negative, it is asked with every request.
	RefusalTTL time.Duration

	// HandshakeTimeout bounds how long a server may take to answer a client preface, and a
	// request waits for another one's offer to be answered before it goes on over HTTP/1.1.
	// If zero, 10 seconds; if negative, there is no bound.
	HandshakeTimeout time.Duration

	// Trace, if not nil, is told of every negotiation and of the end of connections.
	Trace *Trace

	// Logger, if not nil, gets a record of every negotiation.
	Logger *slog.Logger

	counters counters

	once sync.Once
	base *http.Transport // Base, or a copy of http.DefaultTransport
	h1   *http.Transport // a copy that speaks HTTP/1.1 on connections of dial
	h2   *http.Transport // makes HTTP/2 clients of connections

	mu      sync.Mutex
	closed  bool
	origins map[string]*origin
	sweepAt int                // how many origins
	wires   map[*wire]struct{} // everything that was dialed and is open
}

func (t *Transport) init() {
	t.once.Do(func() {
		if t.base = t.Base; t.base == nil {
			t.base = new(http.Transport)
			if d, ok := http.DefaultTransport.(*http.Transport); ok {
				t.base = d.Clone()
			}
		}
		t.h1 = t.base.Clone()
		t.h1.Protocols = new(http.Protocols)
		t.h1.Protocols.SetHTTP1(true)
		t.h1.TLSNextProto = nil
		//lint:ignore SA1019 dial asks it
		t.h1.Dial = nil
		t.h1.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			return t.dial(ctx, network, addr, onlyHTTP1)
		}
		t.h2 = t.base.Clone()
		t.h2.Protocols = new(http.Protocols)
		t.h2.Protocols.SetUnencryptedHTTP2(true)
		t.h2.TLSNextProto = nil
		t.h2.Proxy = nil
		//lint:ignore SA1019 as above
		t.h2.Dial = nil
		t.h2.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return ctx.Value(dialedKey{}).(net.Conn), nil
		}
		t.origins = make(map[string]*origin)
		t.sweepAt = minSweep
		t.wires = make(map[*wire]struct{})
	})
}

type dialedKey struct{} // net.Conn that NewClientConn is to use

// RoundTrip implements [http.RoundTripper].
//
// A request is repeated on another connection only if it may be: the server has not
// processed it, or its method is safe or it has an Idempotency-Key; and its body can be
// replayed. Errors of a negotiation are [*HandshakeError].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.init()
	t.mu.Lock()
	closed := t.closed
	t.mu.Unlock()
	if closed {
		closeBody(req)
		return nil, ErrTransportClosed
	}
	if !t.takes(req) {
		return t.base.RoundTrip(req)
	}
	asked := req
	o := t.origin(req.URL)
	for attempt := 1; ; attempt++ {
		resp, err := t.attempt(o, req)
		var again *retryError
		if !errors.As(err, &again) {
			if resp != nil {
				resp.Request = asked
			}
			return resp, err
		}
		if attempt == maxAttempts || req.Context().Err() != nil {
			closeBody(req)
			return nil, again.cause
		}
		if again.untouched {
			continue
		}
		if req, err = replay(req); err != nil {
			return nil, again.cause
		}
	}
}

// A retryError says that the request may be tried again, and why.
type retryError struct {
	cause     error
	untouched bool // its body has not been read
}

func (e *retryError) Error() string { return e.cause.Error() }

// takes reports whether a request is for this package at all.
func (t *Transport) takes(req *http.Request) bool {
	if req.URL == nil || req.URL.Scheme != "http" || req.URL.Host == "" || req.Header == nil || len(req.Header["Upgrade"]) > 0 {
		return false
	}
	if t.base.Proxy == nil {
		return true
	}
	proxy, err := t.base.Proxy(req)
	return proxy == nil && err == nil
}

// attempt sends a request in the way that its origin calls for now.
func (t *Transport) attempt(o *origin, req *http.Request) (*http.Response, error) {
	if t.staysHTTP1(o, req) {
		return t.overHTTP1(o, req)
	}
	c, turn, err := t.turn(o, req)
	switch {
	case err != nil:
		closeBody(req)
		return nil, err
	case c != nil:
		return t.overStream(c, req, true)
	case turn == nil:
		return t.overHTTP1(o, req)
	}

	// It is for this request to find out what the origin speaks.
	defer turn.end()
	if t.Mode == ModePriorKnowledge || o.speaks() == priorKnowledge {
		c, err := t.dialPriorKnowledge(req.Context(), o)
		if err != nil {
			closeBody(req)
			return nil, err
		}
		c.cc.Reserve() // nobody else has it yet
		o.add(c)
		turn.end()
		return t.overStream(c, req, false)
	}
	if t.carriesOffer(req) {
		return t.offer(o, req, turn)
	}
	accepted, err := t.offerFirst(o, req, turn)
	switch {
	case err != nil:
		closeBody(req)
		return nil, err
	case accepted:
		return nil, &retryError{cause: errNoConn, untouched: true}
	}
	turn.end()
	return t.overHTTP1(o, req)
}

// errNoConn is what a request gets if connections keep ending before it is sent.
var errNoConn = errors.New("h2c: the server accepts HTTP/2, but its connections do not last")

// staysHTTP1 reports whether a request says something of its connection, which it should
// not share then.
func (t *Transport) staysHTTP1(o *origin, req *http.Request) bool {
	if t.Mode == ModeHTTP1 || t.base.DisableKeepAlives {
		return true
	}
	return (req.Close || len(req.Header["Connection"]) > 0 || req.Method == http.MethodConnect) &&
		t.Mode != ModePriorKnowledge && o.speaks() != priorKnowledge
}

// carriesOffer reports whether a request is one to make an offer with.
func (t *Transport) carriesOffer(req *http.Request) bool {
	return !hasBody(req) || req.ContentLength > 0 && req.ContentLength <= t.MaxUpgradeBodyBytes
}

// overHTTP1 sends a request over HTTP/1.1.
func (t *Transport) overHTTP1(o *origin, req *http.Request) (*http.Response, error) {
	var used *wire
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) { used, _ = info.Conn.(*wire) },
	})
	resp, err := t.h1.RoundTrip(req.WithContext(ctx))
	switch {
	case err != nil && used != nil && used.err() != nil:
		return nil, t.foundHTTP2Only(o, used.err())
	case err != nil:
		return nil, err
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		resp.Body.Close()
		return nil, t.failed(ViaUpgrade, ReasonSwitchInvalid, errUnasked, o.addr)
	}
	return resp, nil
}

var errUnasked = errors.New("101 that was not asked for")

// overStream sends a request on a stream that is reserved on c.
func (t *Transport) overStream(c *clientConn, req *http.Request, reused bool) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		if trace.GetConn != nil {
			trace.GetConn(c.origin.addr)
		}
		if trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{Conn: c.wire, Reused: reused})
		}
	}
	resp, err := c.cc.RoundTrip(req)
	if err != nil {
		return nil, c.explain(req, err)
	}
	return resp, nil
}

// explain turns an error of a connection into what the caller is to know.
func (c *clientConn) explain(req *http.Request, err error) error {
	switch {
	case req.Context().Err() != nil:
		return err
	case c.wire.err() != nil:
		c.origin.forget(c)
		err = c.wire.err()
		if errors.Is(err, errHTTP1Only) && c.origin.t.Mode == ModeAuto {
			return &retryError{cause: err} // it has changed since
		}
		return err
	case unprocessed(err), c.cc.Err() != nil && mayRepeat(req):
		c.origin.forget(c)
		return &retryError{cause: err}
	}
	return err
}

// unprocessed reports whether the server has not processed a request that failed.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.7
func unprocessed(err error) bool {
	var se http2.StreamError
	if errors.As(err, &se) {
		return se.Code == http2.ErrCodeRefusedStream
	}
	// net/http does not export these.
	switch err.Error() {
	case "http2: Transport received Server's graceful shutdown GOAWAY",
		"http2: client conn not usable",
		"http2: client conn could not be established",
		"http2: client conn is closed",
		"connection is unavailable":
		return true
	}
	return false
}

// mayRepeat reports whether a request may be sent again although the server may have
// processed it, by the rule of net/http.
func mayRepeat(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return len(req.Header["Idempotency-Key"]) > 0 || len(req.Header["X-Idempotency-Key"]) > 0
}

// replay returns req with its body as it was before it was sent.
func replay(req *http.Request) (*http.Request, error) {
	if !hasBody(req) {
		return req, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("h2c: the body cannot be replayed")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := *req
	again.Body = body
	return &again, nil
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}

// CloseIdleConnections closes connections that have no request in progress.
func (t *Transport) CloseIdleConnections() {
	t.init()
	for _, c := range t.allConns() {
		if c.cc.InFlight() == 0 {
			c.cc.Close()
		}
	}
	t.h1.CloseIdleConnections()
	t.base.CloseIdleConnections()
}

// Close closes every connection that t has made, and breaks requests in progress on them.
// Later requests get [ErrTransportClosed]. Connections of Base itself, which carry https
// and the like, are closed if they are idle.
func (t *Transport) Close() error {
	t.init()
	t.mu.Lock()
	t.closed = true
	wires := t.wires
	t.wires = nil
	t.mu.Unlock()
	for _, c := range t.allConns() {
		c.cc.Close()
	}
	for w := range wires {
		w.Close()
	}
	t.h1.CloseIdleConnections()
	t.base.CloseIdleConnections()
	return nil
}

// Stats returns the counters as they are now.
func (t *Transport) Stats() Stats { return t.counters.snapshot() }

func (t *Transport) handshakeTimeout() time.Duration {
	if t.HandshakeTimeout == 0 {
		return defaultHandshakeTimeout
	}
	return max(t.HandshakeTimeout, 0)
}

func (t *Transport) refusalTTL() time.Duration {
	if t.RefusalTTL == 0 {
		return defaultRefusalTTL
	}
	return max(t.RefusalTTL, 0)
}

// dial dials in the way of Base.
func (t *Transport) dial(ctx context.Context, network, addr string, onFirst func(http2 bool) error) (net.Conn, error) {
	var nc net.Conn
	var err error
	switch {
	case t.base.DialContext != nil:
		nc, err = t.base.DialContext(ctx, network, addr)
	//lint:ignore SA1019 Base may have it.
	case t.base.Dial != nil:
		//lint:ignore SA1019 as above
		nc, err = t.base.Dial(network, addr)
	default:
		nc, err = new(net.Dialer).DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: nc, onFirst: onFirst, onClose: t.wireClosed}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		nc.Close()
		return nil, ErrTransportClosed
	}
	t.wires[w] = struct{}{}
	return w, nil
}

func onlyHTTP1(http2 bool) error {
	if http2 {
		return errHTTP2Only
	}
	return nil
}

// newClient makes an HTTP/2 client of a connection.
func (t *Transport) newClient(nc net.Conn, addr string) (*http.ClientConn, error) {
	ctx := context.WithValue(context.Background(), dialedKey{}, nc)
	return t.h2.NewClientConn(ctx, "http", addr)
}

// speaksHTTP2 notes that a connection speaks HTTP/2 from here on.
func (t *Transport) speaksHTTP2(w *wire, via Via, addr string) {
	t.negotiated(Negotiation{Via: via, RemoteAddr: addr})
	t.mu.Lock()
	w.via, w.opened = via, time.Now()
	w.readBefore, w.writtenBefore = w.read.Load(), w.written.Load()
	closed := w.closed
	t.mu.Unlock()
	if closed {
		t.counters.closed(w.info(), t.Trace, t.Logger)
	}
}

func (t *Transport) wireClosed(w *wire) {
	t.mu.Lock()
	w.closed = true
	delete(t.wires, w)
	opened := w.opened
	t.mu.Unlock()
	if !opened.IsZero() {
		t.counters.closed(w.info(), t.Trace, t.Logger)
	}
}

func (t *Transport) isClosed(w *wire) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return w.closed
}

func (w *wire) info() ConnInfo {
	return ConnInfo{
		Via:          w.via,
		RemoteAddr:   w.RemoteAddr().String(),
		Duration:     time.Since(w.opened),
		BytesRead:    w.read.Load() - w.readBefore,
		BytesWritten: w.written.Load() - w.writtenBefore,
	}
}

func (t *Transport) negotiated(n Negotiation) { t.counters.negotiated(n, t.Trace, t.Logger) }

// failed tells of a negotiation that failed, and returns the error for it.
func (t *Transport) failed(via Via, reason Reason, cause error, addr string) error {
	t.negotiated(Negotiation{Via: via, Reason: reason, Err: cause, RemoteAddr: addr})
	return &HandshakeError{Reason: reason, Err: cause}
}

// untraced is a context without the trace of its user, but for informational responses if
// these are wanted.
type untraced struct {
	context.Context
	interim bool
}

func (c untraced) Value(key any) any {
	v := c.Context.Value(key)
	user, ok := v.(*httptrace.ClientTrace)
	switch {
	case !ok:
		return v
	case !c.interim:
		return nil
	}
	return &httptrace.ClientTrace{Got1xxResponse: user.Got1xxResponse}
}
