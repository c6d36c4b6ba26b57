package h2c

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
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
	// ModePriorKnowledge speaks HTTP/2 from the first octet.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3
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
	// IdleConnTimeout, ResponseHeaderTimeout, DisableCompression, HTTP2 and so on; but
	// MaxConnsPerHost, MaxIdleConns, MaxIdleConnsPerHost and StrictMaxConcurrentRequests of
	// HTTP2 do not. A copy of it is made on first use. If nil, a copy of
	// [http.DefaultTransport] is used. With DisableKeepAlives no Upgrade is offered.
	Base *http.Transport

	// MaxUpgradeBodyBytes bounds the body of a request that carries the offer to upgrade,
	// in octets; it is read into memory when the offer is about to be made. Where a request
	// cannot carry it, an "OPTIONS /" does. If zero, only requests without a body carry it,
	// since some servers refuse others (Tomcat and Netty answer 413).
	MaxUpgradeBodyBytes int64

	// RefusalTTL is how long an origin that declined is not asked again. If zero, 10
	// minutes; if negative, it is asked with every request.
	RefusalTTL time.Duration

	// HandshakeTimeout bounds how long a server may take for its first octet after a client
	// preface or a 101, and to answer an "OPTIONS /" that carries the offer; and how long
	// requests wait for another one's offer to be answered before they go on over HTTP/1.1,
	// where the origin speaks that.
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

	settings string // HTTP2-Settings of offers

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
		t.h1.Proxy = nil // takes has asked it
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
		t.settings = offeredSettings(t.base.HTTP2)
		t.origins = make(map[string]*origin)
		t.sweepAt = minSweep
		t.wires = make(map[*wire]struct{})
	})
}

type dialedKey struct{} // net.Conn that NewClientConn is to use

// RoundTrip implements [http.RoundTripper].
//
// A request is repeated only if it may be: the server has not processed it, or its method
// is safe or it has an Idempotency-Key or X-Idempotency-Key; and its body was not read, or can be
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
	if hasBody(req) && t.carriesOffer(req) {
		own := *req
		req = &own // for bufferBody
	}
	o := t.origin(req.URL)
	defer o.users.Add(-1)
	for attempt := 1; ; attempt++ {
		resp, err := t.attempt(o, req, attempt == maxAttempts)
		var again *retryError
		if !errors.As(err, &again) {
			if resp != nil {
				resp.Request = asked
			}
			return resp, err
		}
		if attempt == maxAttempts {
			err = cmp.Or(context.Cause(req.Context()), again.cause)
		} else {
			err = again.wait(req.Context(), attempt)
		}
		if err != nil {
			if again.untouched { // or its body is closed
				closeBody(req)
			}
			return nil, err
		}
		if again.untouched {
			continue
		}
		if req, err = replay(req); err != nil {
			return nil, again.cause
		}
	}
}

// takes reports whether a request is for this package at all. What is wrong with one that is
// not valid, Base says.
func (t *Transport) takes(req *http.Request) bool {
	if req.URL == nil || req.URL.Scheme != "http" || req.URL.Host == "" || req.Header == nil || hasField(req.Header, "Upgrade") {
		return false
	}
	if req.Method != "" && !httpguts.ValidHeaderFieldName(req.Method) || !validFields(req.Header) || !validFields(req.Trailer) {
		return false
	}
	if t.base.Proxy == nil {
		return true
	}
	proxy, err := t.base.Proxy(req)
	return proxy == nil && err == nil
}

// hasField reports whether a field is in h, in whatever spelling.
func hasField(h http.Header, name string) bool {
	for key, values := range h {
		if len(values) > 0 && strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

func validFields(h http.Header) bool {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) {
			return false
		}
		if slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return false
		}
	}
	return true
}

// attempt sends a request in the way that its origin calls for now. The last one is over HTTP/1.1,
// where the origin speaks that: its HTTP/2 connections do not last.
func (t *Transport) attempt(o *origin, req *http.Request, last bool) (*http.Response, error) {
	if t.Mode == ModeHTTP1 || t.mayHTTP1(o) && (last || t.staysHTTP1(req)) {
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
		c, err := t.dialPriorKnowledge(req.Context(), o, dialAddr(req.URL))
		if err != nil {
			turn.fail(req, err)
			closeBody(req)
			return nil, err
		}
		return c.begin(turn, func() (*http.Response, error) {
			resp, err := t.overStream(c, req, false)
			if failed := c.wire.err(); err != nil && failed != nil {
				turn.fail(req, failed) // other errors may be of the request
			}
			return resp, err
		})
	}
	if t.carriesOffer(req) {
		if hasBody(req) && !isBuffered(req) {
			turn.end() // others need not wait for the body
			if err := bufferBody(req); err != nil {
				closeBody(req)
				return nil, err
			}
			return t.attempt(o, req, last)
		}
		return t.offer(o, req, turn, true)
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

// mayHTTP1 reports whether requests to an origin may be sent over HTTP/1.1.
func (t *Transport) mayHTTP1(o *origin) bool {
	return t.Mode != ModePriorKnowledge && o.speaks() != priorKnowledge
}

// staysHTTP1 reports whether a request says something of its connection, which it should
// not share then, or is one that only HTTP/1.1 can carry.
func (t *Transport) staysHTTP1(req *http.Request) bool {
	return t.base.DisableKeepAlives || req.Close || hasField(req.Header, "Connection") || req.Method == http.MethodConnect ||
		!fitsHTTP2(req)
}

// fitsHTTP2 reports whether net/http can send a request over HTTP/2. Over HTTP/1.1 it takes
// any Host, such as the path of a Unix socket, and any request target.
func fitsHTTP2(req *http.Request) bool {
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	host, err := httpguts.PunycodeHostPort(host)
	if err != nil || !httpguts.ValidHostHeader(host) {
		return false
	}
	path := strings.TrimPrefix(req.URL.RequestURI(), "http://"+host)
	return (strings.HasPrefix(path, "/") || path == "*") && len(req.Header["Transfer-Encoding"]) == 0
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

// overStream sends a request, which is counted on c, on a stream.
func (t *Transport) overStream(c *clientConn, req *http.Request, reused bool) (*http.Response, error) {
	if trace := httptrace.ContextClientTrace(req.Context()); trace != nil {
		if trace.GetConn != nil {
			trace.GetConn(c.origin.addr)
		}
		if trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{Conn: c.wire, Reused: reused})
		}
	}
	if !hasBody(req) {
		return c.send(req, req)
	}
	form := *req
	held := &heldBody{body: req.Body}
	form.Body = held
	resp, err := c.send(req, &form)
	var again *retryError
	if errors.As(err, &again) && held.takeBack() {
		again.untouched = true
		return nil, err
	}
	held.release(err != nil)
	return resp, err
}

// CloseIdleConnections closes connections that have no request in progress.
func (t *Transport) CloseIdleConnections() {
	t.init()
	for _, c := range t.takeConns(true) {
		c.cc.Close()
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
	for _, c := range t.takeConns(false) {
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

// newClient makes an HTTP/2 client of a connection, to which it writes. It outlives the context,
// unless that ends meanwhile.
func (t *Transport) newClient(ctx context.Context, nc net.Conn, addr string) (*http.ClientConn, error) {
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	cc, err := t.h2.NewClientConn(context.WithValue(context.Background(), dialedKey{}, nc), "http", addr)
	if stop() {
		return cc, err
	}
	if err == nil {
		cc.Close()
	}
	return nil, context.Cause(ctx)
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
