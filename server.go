package h2c

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	defaultMaxUpgradeBodyBytes = 64 << 10
	defaultHandshakeTimeout    = 10 * time.Second
)

// A Server says how HTTP/2 is negotiated on cleartext connections. The zero value is ready
// to use, and a nil *Server means the zero value to [ConfigureServer] and [NewHandler].
// Fields must not change once it is in use; it must not be copied then.
type Server struct {
	// DisableUpgrade declines every offer to switch by Upgrade: such requests are served
	// over HTTP/1.1. https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
	DisableUpgrade bool

	// DisablePriorKnowledge refuses connections that begin with the client preface.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3
	DisablePriorKnowledge bool

	// AllowUpgrade has the last word on a request that passed every other check. If it
	// returns an error, the request is served over HTTP/1.1, and counted under the Reason
	// of a [*HandshakeError] or else [ReasonPolicy]. It must not read the body.
	// If nil, [DenyForwarded] is asked.
	AllowUpgrade func(*http.Request) error

	// MaxUpgradeBodyBytes bounds the body of an upgrade request, in octets. It is read into
	// memory before the connection switches. A larger body, and one without
	// Content-Length, goes to the handler over HTTP/1.1 as it arrives.
	// If zero, 64 KiB; if negative, only requests without a body are upgraded.
	//
	// The HTTP/2 flow-control windows are a second bound: a body must fit
	// MaxReceiveBufferPerStream of [http.Server.HTTP2], and MaxReceiveBufferPerConnection
	// less the 65,535 octets that every client may send at once. Where these are not set,
	// they are raised to fit.
	MaxUpgradeBodyBytes int64

	// HandshakeTimeout bounds the time for each of: the 24 octets of a client preface that has
	// begun, at the start of a connection; the client preface and its SETTINGS frame, after a
	// 101. Then the connection is closed. It bounds what [Server.Split] waits for, too, which says
	// what comes then. If zero, 10 seconds; if negative, there is no bound. The SETTINGS frame of
	// a client with prior knowledge has 2 seconds, which is a bound of the engine.
	HandshakeTimeout time.Duration

	// Engine says which HTTP/2 server serves the connections. If zero, [EngineH2C].
	Engine Engine

	// Trace, if not nil, is told of every negotiation and of the end of connections.
	Trace *Trace

	// Logger, if not nil, gets a record of every negotiation: Info for connections that
	// speak HTTP/2 and offers that were declined, Warn for handshakes that broke.
	Logger *slog.Logger

	counters counters
	noHTTP2  atomic.Bool // net/http has been found not to speak HTTP/2

	mu      sync.Mutex
	closing bool
	engines map[engineKey]func() engine
	splits  []*splitter

	splitConns sync.Map // net.Addr to the *splitConn of which it is the LocalAddr
}

// ConfigureServer makes hs speak HTTP/2 on cleartext connections, begun by Upgrade or by
// prior knowledge. All of hs holds for these connections: its timeouts, limits, hooks,
// logging and HTTP2 settings, and hs.Shutdown drains them. ConnContext and ConnState see an
// upgraded connection twice: hijacked, and as a new one whose method NetConn() net.Conn
// returns the first. (Hooks that replace them later see one connection more, which stands for the
// upgraded ones.) Where Protocols of hs lacks HTTP/1, prior knowledge is the only way in, and a
// client that does not open with the preface gets GOAWAY
// (https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4).
//
// Call it once, after the fields of hs are set and before hs serves: it replaces Handler,
// BaseContext, ConnContext, ConnState, Protocols, TLSNextProto and HTTP2 by ones that call or
// contain what was there. It answers "OPTIONS *" itself, as net/http would, unless
// DisableGeneralOptionsHandler is set, and sets that. It returns an error if hs is nil, was
// configured before, or has another HTTP/2 implementation that does not take cleartext connections.
func ConfigureServer(hs *http.Server, s *Server) error {
	if hs == nil {
		return errors.New("h2c: http.Server is nil")
	}
	if s == nil {
		s = new(Server)
	}
	if h, ok := hs.Handler.(*handler); ok && h.hs == hs {
		return errors.New("h2c: http.Server is configured already")
	}
	if _, ok := hs.TLSNextProto["h2"]; ok && hs.TLSNextProto["unencrypted_http2"] == nil {
		return errors.New("h2c: TLSNextProto of http.Server has an HTTP/2 implementation without cleartext HTTP/2")
	}

	protocols := serverProtocols(hs)
	protocols.SetUnencryptedHTTP2(!s.DisablePriorKnowledge || !s.DisableUpgrade)
	hs.Protocols = &protocols
	hs.HTTP2 = s.fitWindows(hs.HTTP2)
	h := &handler{s: s, next: hs.Handler, hs: hs, conns: &conns{s: s, http2Only: !protocols.HTTP1()}, answerOptions: !hs.DisableGeneralOptionsHandler}
	if h.next == nil {
		h.next = http.DefaultServeMux
	}
	if s.Engine != EngineNetHTTP {
		h.direct = useEngine(hs)
	}
	hs.Handler = h
	hs.DisableGeneralOptionsHandler = true
	hs.BaseContext = wrapBaseContext(hs.BaseContext)
	hs.ConnContext = h.conns.wrapConnContext(wrapConnContext(hs.ConnContext))
	hs.ConnState = h.conns.wrapConnState(wrapConnState(hs.ConnState))
	return nil
}

// serverProtocols returns what hs speaks where Protocols is not set.
func serverProtocols(hs *http.Server) http.Protocols {
	var p http.Protocols
	if hs.Protocols != nil {
		return *hs.Protocols
	}
	p.SetHTTP1(true)
	_, h2 := hs.TLSNextProto["h2"]
	p.SetHTTP2(hs.TLSNextProto == nil || h2)
	return p
}

// NewHandler returns a handler that takes over connections that offer HTTP/2, by Upgrade or
// by prior knowledge, and serves them with h, for use where the [http.Server] is out of
// reach. If it is within reach, use [ConfigureServer].
//
// The connections are taken from the server in front of the handler. Its timeouts, limits,
// hooks, logging and HTTP2 settings hold for them. Its Shutdown makes them drain, but does
// not wait; use [Server.Shutdown]. Handlers around the returned one see only the request
// that began such a connection, and no context value of theirs reaches h: whatever must see
// every request, such as authentication, belongs inside. A request whose URL they changed, as
// [http.StripPrefix] does, or took values from, as patterns of [http.ServeMux] with a wildcard do, is
// not upgraded. Its ResponseWriter must give
// access to [http.Hijacker], itself or by Unwrap; if not, requests are served over HTTP/1.1.
// Under [http.ServerContextKey], h finds a server of this package's own.
// Before a whole request line, the server's own ReadHeaderTimeout bounds a half-sent
// preface.
func NewHandler(h http.Handler, s *Server) http.Handler {
	if s == nil {
		s = new(Server)
	}
	if h == nil {
		h = http.DefaultServeMux
	}
	return &handler{s: s, next: h, marks: new(marks)}
}

// Shutdown drains the connections of [NewHandler]: it sends GOAWAY, lets requests in
// progress finish and waits for them. It closes the listeners of [Server.Split], too, and waits
// for connections that they have not yielded. From then on, NewHandler declines offers and refuses
// prior knowledge. If ctx ends first, it returns the context's error; [Server.Close] closes what
// is left. Connections of [ConfigureServer] are drained by [http.Server.Shutdown].
func (s *Server) Shutdown(ctx context.Context) error {
	return s.each(func(l lifecycle) error { return l.Shutdown(ctx) })
}

// Close closes the connections of [NewHandler], and those that [Server.Split] has not yielded,
// at once, and lets no new ones come.
func (s *Server) Close() error {
	return s.each(lifecycle.Close)
}

// A lifecycle is an engine, or what else has connections.
type lifecycle interface {
	Shutdown(context.Context) error
	Close() error
}

// each ends every engine and splitter, all at a time.
func (s *Server) each(end func(lifecycle) error) error {
	s.mu.Lock()
	s.closing = true
	var ends []func() lifecycle
	for _, e := range s.engines {
		ends = append(ends, func() lifecycle { return e().server })
	}
	for _, sp := range s.splits {
		ends = append(ends, func() lifecycle { return sp })
	}
	s.mu.Unlock()
	errs := make(chan error, len(ends))
	for _, l := range ends {
		go func() { errs <- end(l()) }()
	}
	var all error
	for range ends {
		all = errors.Join(all, <-errs)
	}
	return all
}

// forget drops a splitter that has ended.
func (s *Server) forget(sp *splitter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.splits = slices.DeleteFunc(s.splits, func(other *splitter) bool { return other == sp })
}

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats { return s.counters.snapshot() }

func (s *Server) handshakeTimeout() time.Duration {
	if s.HandshakeTimeout == 0 {
		return defaultHandshakeTimeout
	}
	return max(s.HandshakeTimeout, 0)
}

func (s *Server) maxUpgradeBodyBytes() int64 {
	if s.MaxUpgradeBodyBytes == 0 {
		return defaultMaxUpgradeBodyBytes
	}
	return max(s.MaxUpgradeBodyBytes, 0)
}

func (s *Server) negotiated(n Negotiation) { s.counters.negotiated(n, s.Trace, s.Logger) }

func (s *Server) closed(i ConnInfo) { s.counters.closed(i, s.Trace, s.Logger) }
