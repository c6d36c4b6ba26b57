package h2c

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"net/http"

	h2engine "github.com/seed78dc1b7f/h2c/internal/engine"
)

// useEngine has hs serve HTTP/2 by the engine of this library: net/http gives it the
// connections, in cleartext once it has read the preface. A server that has another
// implementation keeps it, and useEngine returns nil.
func useEngine(hs *http.Server) *direct {
	if _, ok := hs.TLSNextProto["h2"]; ok {
		return nil
	}
	e := h2engine.New(hs)
	hs.TLSNextProto = maps.Clone(hs.TLSNextProto) // other servers may have the same
	if hs.TLSNextProto == nil {
		hs.TLSNextProto = make(map[string]func(*http.Server, *tls.Conn, http.Handler))
	}
	hs.TLSNextProto["unencrypted_http2"] = func(_ *http.Server, tc *tls.Conn, h http.Handler) {
		nc := tc.NetConn().(interface{ UnencryptedNetConn() net.Conn }).UnencryptedNetConn()
		if a, ok := nc.(*anchor); ok {
			a.hold(h, false)
			return
		}
		e.Serve(nc, h2engine.Options{Context: baseContext(h), Handler: h, SawPreface: true})
	}
	hs.TLSNextProto["h2"] = func(_ *http.Server, tc *tls.Conn, h http.Handler) {
		state := tc.ConnectionState()
		e.Serve(tc, h2engine.Options{Context: baseContext(h), Handler: h, TLS: &state})
	}
	hs.RegisterOnShutdown(e.Shutdown)
	return &direct{hs: hs, engine: e}
}

// baseContext returns the context that net/http has made for the connection.
func baseContext(h http.Handler) context.Context {
	if b, ok := h.(interface{ BaseContext() context.Context }); ok {
		return b.BaseContext()
	}
	return context.Background()
}
