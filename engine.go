package h2c

import (
	"cmp"
	"context"
	stdlog "log"
	"math"
	"net"
	"net/http"
	"runtime"
	"sync"
	"weak"

	h2engine "github.com/seed78dc1b7f/h2c/internal/engine"
)

// An Engine is an HTTP/2 server for handlers.
type Engine int

const (
	EngineDefault Engine = iota // the same as EngineH2C
	EngineNetHTTP               // that of net/http
	// EngineH2C is this library's own. It does for handlers what that of net/http does, with fewer
	// system calls and goroutines; but its ResponseWriter is no [http.Pusher], and its goroutines run
	// one handler after the other, of any client: one that locks its thread, or sets labels, has to undo
	// that. It serves HTTP/2 over TLS as well, if the http.Server speaks that. An http.Server that has an
	// HTTP/2 implementation in TLSNextProto keeps that.
	EngineH2C
)

// Defaults of net/http, for what HTTP2Config leaves out.
const (
	defaultWindow = 1 << 20 // MaxReceiveBufferPerStream and MaxReceiveBufferPerConnection
	initialWindow = 65535   // https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2
)

// An engine is the server that serves a connection once it is known to speak HTTP/2.
type engine struct {
	server *http.Server
	base   context.Context // of the connections that are handed over to it
	broken bool            // BaseContext panicked, so that there is none
	direct *direct         // nil if they go through net/http
	front  *http.Server    // of a NewHandler; what it serves keeps its engine alive

	split *splitter // instead of all these, where somebody accepts its connections
}

// An announced is an engine that a connection was announced to.
type announced struct {
	engine
	anchor *anchor // if the engine is direct
}

// announce announces a connection to e, before it is taken from net/http. It reports whether e takes
// any more.
func (e engine) announce() (a announced, ok bool) {
	if e.direct == nil {
		return announced{engine: e}, true
	}
	anchor := e.direct.enter()
	return announced{e, anchor}, anchor != nil
}

// withdraw is called in place of handOver if there is no connection after all.
func (a announced) withdraw() {
	if a.anchor != nil {
		a.anchor.leave(nil)
	}
}

// engineKey finds the engine of a NewHandler: one for each server in front of it, since it
// is configured like that server. It does not keep that alive: there may be one for each connection.
type engineKey struct {
	front weak.Pointer[http.Server] // may be nil
	h     *handler
}

// forgetWith has the engine of key forgotten when front is garbage.
func forgetWith(front *http.Server, key engineKey) {
	if front == nil {
		return
	}
	h := weak.Make(key.h) // a strong pointer would lead back to front
	runtime.AddCleanup(front, func(p weak.Pointer[http.Server]) {
		h := h.Value()
		if h == nil {
			return
		}
		h.fronts.Delete(p)
		h.s.mu.Lock()
		defer h.s.mu.Unlock()
		delete(h.s.engines, engineKey{p, h})
	}, key.front)
}

// engine returns the engine for the connection of r. It fails when s is shut down.
func (h *handler) engine(r *http.Request) (e engine, ok bool) {
	if c := h.s.splitConnOf(r); c != nil {
		return engine{split: c.sp}, !c.sp.http2.isClosed()
	}
	if h.hs != nil {
		base, _ := r.Context().Value(baseKey{}).(context.Context)
		if base == nil {
			base = context.Background() // BaseContext was replaced after ConfigureServer
		}
		return engine{server: h.hs, base: base, direct: h.direct}, true
	}
	front := frontOf(r)
	key := engineKey{weak.Make(front), h}

	s := h.s
	s.mu.Lock()
	made, ok := s.engines[key]
	if !ok {
		made = sync.OnceValue(func() engine { return newEngine(h, front, localAddr(r)) })
		if s.engines == nil {
			s.engines = make(map[engineKey]func() engine)
		}
		s.engines[key] = made
		forgetWith(front, key)
	}
	closing := s.closing
	s.mu.Unlock()
	if closing {
		return engine{}, false
	}
	e = made() // calls functions of the user, so without the lock
	e.front = front
	return e, !e.broken
}

// frontOf returns the server that r came to, or nil.
func frontOf(r *http.Request) *http.Server {
	front, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	return front
}

// meet has the engine for the server in front of h made with the first request that it passes on:
// with the first offer, it could be too late to hear of Shutdown.
func (h *handler) meet(r *http.Request) {
	if h.marks == nil || r.TLS != nil || h.s.DisableUpgrade && h.s.DisablePriorKnowledge {
		return
	}
	front := weak.Make(frontOf(r))
	if _, ok := h.fronts.Load(front); !ok {
		h.engine(r)
		h.fronts.Store(front, nil)
	}
}

// newEngine returns an HTTP/2 server for h that is like front.
func newEngine(h *handler, front *http.Server, addr net.Addr) engine {
	e := engine{server: &http.Server{Handler: h, Protocols: new(http.Protocols)}, base: context.Background()}
	e.server.Protocols.SetUnencryptedHTTP2(true)
	e.server.Protocols.SetHTTP1(true) // to be told where net/http does not speak HTTP/2
	e.server.BaseContext = wrapBaseContext(nil)
	if h.s.Engine != EngineNetHTTP {
		e.direct = useEngine(e.server)
	}
	if front == nil {
		e.server.HTTP2 = h.s.fitWindows(nil)
		return e
	}
	e.server.ReadTimeout = front.ReadTimeout
	e.server.ReadHeaderTimeout = front.ReadHeaderTimeout
	e.server.WriteTimeout = front.WriteTimeout
	e.server.IdleTimeout = front.IdleTimeout
	e.server.MaxHeaderBytes = front.MaxHeaderBytes
	copyMaxHeaderValueCount(e.server, front)
	e.server.ErrorLog = front.ErrorLog
	e.server.ConnState = wrapConnState(front.ConnState)
	e.server.HTTP2 = h.s.fitWindows(front.HTTP2)
	e.server.DisableGeneralOptionsHandler = front.DisableGeneralOptionsHandler
	e.server.ConnContext = wrapConnContext(front.ConnContext)
	if front.BaseContext != nil {
		e.base, e.broken = baseOf(front, addr)
	}
	front.RegisterOnShutdown(func() { e.server.Shutdown(context.Background()) })
	return e
}

// baseOf asks BaseContext of front, which may panic if it expects a listener of its own.
func baseOf(front *http.Server, addr net.Addr) (base context.Context, broken bool) {
	defer func() {
		v := recover()
		if broken = v != nil || base == nil; broken {
			logger := cmp.Or(front.ErrorLog, stdlog.Default())
			logger.Printf("h2c: BaseContext: %v; HTTP/2 is not served", v)
		}
	}()
	return front.BaseContext(boundAddr{addr}), false
}

// boundAddr stands for the listener of a server, of which only the address is known.
type boundAddr struct{ addr net.Addr }

func (boundAddr) Accept() (net.Conn, error) { return nil, net.ErrClosed }
func (boundAddr) Close() error              { return nil }
func (l boundAddr) Addr() net.Addr          { return l.addr }

// fitWindows returns conf with windows that hold the largest upgrade body, where conf does
// not say how large they are.
func (s *Server) fitWindows(conf *http.HTTP2Config) *http.HTTP2Config {
	limit := int(min(s.maxUpgradeBodyBytes(), math.MaxInt32-initialWindow))
	if s.DisableUpgrade || limit <= defaultWindow-initialWindow {
		return conf
	}
	fit := new(http.HTTP2Config)
	if conf != nil {
		*fit = *conf
	}
	if fit.MaxReceiveBufferPerStream == 0 {
		fit.MaxReceiveBufferPerStream = max(limit, defaultWindow)
	}
	if fit.MaxReceiveBufferPerConnection == 0 {
		fit.MaxReceiveBufferPerConnection = max(limit+initialWindow, h2engine.DefaultConnWindow)
	}
	return fit
}

// limits returns what e can take of an upgrade request.
func (e engine) limits(s *Server) limits {
	if e.split != nil {
		// Of an engine that is not known, the initial windows are.
		return limits{
			body:       min(s.maxUpgradeBodyBytes(), initialWindow),
			headerList: http.DefaultMaxHeaderBytes,
		}
	}
	stream, conn := defaultWindow, defaultWindow
	if conf := e.server.HTTP2; conf != nil {
		if n := conf.MaxReceiveBufferPerStream; n > 0 && n <= math.MaxInt32 {
			stream = n
		}
		if n := conf.MaxReceiveBufferPerConnection; n >= initialWindow && n <= math.MaxInt32 {
			conn = n
		}
	}
	headerBytes := e.server.MaxHeaderBytes
	if headerBytes <= 0 {
		headerBytes = http.DefaultMaxHeaderBytes
	}
	return limits{
		// The client may fill the initial window of the connection before it hears of any
		// frame, so the body must fit in what the engine has beyond it.
		body: min(s.maxUpgradeBodyBytes(), int64(stream), int64(conn-initialWindow)),
		// net/http adds room for ten fields.
		headerList: headerBytes + 10*fieldOverhead,
	}
}
