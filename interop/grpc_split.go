package main

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
)

// A splitPort is a port whose connections go to one server if they speak HTTP/2, and to another
// one if not.
type splitPort struct {
	*origin.Server // what it says of a server of this library holds for both

	http2 net.Listener
	http1 net.Listener // of no use with serveHTTP1
}

// newSplitPort splits a port. In the end no connection may be left, and no handshake may have
// broken, but for those that came too late.
func newSplitPort(t *matrix.T, listen func(net.Listener) net.Listener, late bool) *splitPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	p := &splitPort{Server: &origin.Server{Handler: origin.NewHandler(), Addr: addr, URL: "http://" + addr, H2C: new(h2c.Server)}}
	p.http2, p.http1 = p.H2C.Split(listen(l))
	t.Cleanup(func() {
		p.wantNone(t)
		for reason, n := range p.H2C.Stats().Failed {
			if !late || reason != h2c.ReasonShutdown {
				t.Errorf("handshakes broke: %d times %s", n, reason)
			}
		}
		if err := p.H2C.Close(); err != nil {
			t.Errorf("closing Split: %v", err)
		}
		if t.Failed() && p.Log.String() != "" {
			t.Logf("server logged: %s", &p.Log)
		}
	})
	return p
}

// serveHTTP1 serves what does not speak HTTP/2.
func (p *splitPort) serveHTTP1(t *matrix.T, h http.Handler) {
	p.HTTP = &http.Server{Handler: h2c.NewHandler(h, p.H2C), ErrorLog: log.New(&p.Log, "", 0)}
	p.serve(t, p.HTTP, p.http1)
}

// serveHTTP2 serves what speaks HTTP/2, with net/http.
func (p *splitPort) serveHTTP2(t *matrix.T, h http.Handler) {
	hs := &http.Server{Handler: h, Protocols: new(http.Protocols), ErrorLog: log.New(&p.Log, "", 0)}
	hs.Protocols.SetUnencryptedHTTP2(true)
	p.serve(t, hs, p.http2)
}

// wantNone waits until clients have closed their HTTP/2 connections, before a server does.
func (p *splitPort) wantNone(t *matrix.T) {
	t.Eventually("Split counts no HTTP/2 connection", func() bool { return p.H2C.Stats().Active == 0 })
}

func (p *splitPort) serve(t *matrix.T, hs *http.Server, l net.Listener) {
	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	t.Cleanup(func() {
		p.wantNone(t)
		if err := hs.Close(); err != nil {
			t.Errorf("closing an http.Server: %v", err)
		}
		// Server.Shutdown closes the listener before hs does.
		if err := <-served; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("an http.Server ended: %v", err)
		}
	})
}

// behindSplit is a server of grpc-go for what speaks HTTP/2 on a port, and an http.Server for
// the rest.
func behindSplit(e *grpcEnds) {
	p := newSplitPort(e.T, e.listener, e.late)
	e.addr, e.ours = p.Addr, p.Server
	e.requests = &grpcRequests{h: p.Handler, seen: make(map[string]int64)}
	p.serveHTTP1(e.T, e.requests)
	e.serveGRPC(p.http2)
	e.shutdown = func(ctx context.Context) error {
		return errors.Join(p.H2C.Shutdown(ctx), p.HTTP.Shutdown(ctx), e.graceful(ctx))
	}
	e.startREST(p.Handler, restHTTP1)
}

// besideREST is a server of this library with handlers, where GRPC tells the calls from other
// requests.
func besideREST() []grpcServer {
	var servers []grpcServer
	for _, w := range origin.Ways {
		servers = append(servers, grpcServer{string(w), func(e *grpcEnds) {
			rest := origin.NewHandler()
			e.serveHTTP(w, func(e *grpcEnds) http.Handler { return h2c.GRPC(grpctest.NewServer(&e.service), rest) })
			e.startREST(rest, restHTTP1, restUpgrade, restPrior)
		}})
	}
	return servers
}
