package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
)

// grpcPatience bounds all calls of a case, and the shutdown of a server.
const grpcPatience = 40 * time.Second

// A grpcServer starts the server of a case.
type grpcServer struct {
	name  string
	start func(*grpcEnds)
}

// A grpcHandler makes handlers with the service.
type grpcHandler func(*grpctest.Service) http.Handler

func grpcHandlers(s *grpctest.Service) http.Handler    { return grpctest.NewServer(s) }
func connectHandlers(s *grpctest.Service) http.Handler { return grpctest.NewConnectHandler(s) }

// grpcEnds are the client and the server of a case, and what to expect of them in the end.
type grpcEnds struct {
	*matrix.T
	ctx      context.Context
	client   grpc_testing.TestServiceClient
	service  grpctest.Service
	addr     string
	shutdown func(context.Context) error

	ours     *origin.Server       // nil if the server is without this library
	requests *grpcRequests        // that the handlers of ours have got
	accepted atomic.Int64         // connections of the server
	via      h2c.Via              // of the calls
	offers   int64                // OPTIONS requests that go before the first call
	extra    int64                // connections that carry no call
	failed   map[h2c.Reason]int64 // what the Transport finds before it connects
	tr       *h2c.Transport       // nil if the client is without this library

	mu    sync.Mutex
	ids   []string
	calls int64 // without an ID
}

func newGRPCEnds(t *matrix.T) *grpcEnds {
	// Not the context of the case: its deadline would go with every call.
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(t.Context(), cancel)
	timer := time.AfterFunc(grpcPatience, cancel)
	t.Cleanup(func() {
		stop()
		timer.Stop()
		cancel()
	})
	return &grpcEnds{T: t, ctx: ctx, via: h2c.ViaPriorKnowledge}
}

// call returns a context for a call that the service is to handle once.
func (e *grpcEnds) call() context.Context {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := fmt.Sprint(len(e.ids) + 1)
	e.ids = append(e.ids, id)
	return grpctest.WithID(e.ctx, id)
}

// last returns the record of the call that was made last.
func (e *grpcEnds) last() *grpctest.Record {
	var found *grpctest.Record
	e.Eventually("the service has got the call", func() bool {
		for _, r := range e.service.Records() {
			if r.ID == e.ids[len(e.ids)-1] {
				found = r
			}
		}
		return found != nil
	})
	if found == nil {
		e.Fatalf("the service did not get the call")
	}
	return found
}

// A countingListener counts connections.
type countingListener struct {
	net.Listener
	accepted *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		l.accepted.Add(1)
	}
	return nc, err
}

// grpcRequests counts requests.
type grpcRequests struct {
	h http.Handler

	mu   sync.Mutex
	seen map[string]int64
}

func (c *grpcRequests) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	c.seen[fmt.Sprintf("%s %s by %s", r.Method, r.Proto, h2c.RequestVia(r))]++
	c.mu.Unlock()
	c.h.ServeHTTP(w, r)
}

// serveHTTP starts a server of this library.
func (e *grpcEnds) serveHTTP(w origin.Way, handlers grpcHandler) {
	e.requests = &grpcRequests{h: handlers(&e.service), seen: make(map[string]int64)}
	e.ours = origin.StartFor(e.T, w, origin.Config{Serve: e.requests, Listen: e.listener})
	e.addr = e.ours.Addr
	e.shutdown = func(ctx context.Context) error {
		err := e.ours.HTTP.Shutdown(ctx)
		if w == origin.ByNewHandler {
			err = errors.Join(err, e.ours.H2C.Shutdown(ctx))
		}
		return err
	}
}

func (e *grpcEnds) listener(l net.Listener) net.Listener {
	return countingListener{e.Listener(l), &e.accepted}
}

// grpcItself starts a server of grpc-go, which speaks HTTP/2 by itself, and nothing else.
func grpcItself(e *grpcEnds) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		e.Fatal(err)
	}
	gs := grpctest.NewServer(&e.service)
	served := make(chan error, 1)
	go func() { served <- gs.Serve(e.listener(l)) }()
	e.Cleanup(func() {
		gs.Stop()
		if err := <-served; err != nil {
			e.Errorf("the server ended: %v", err)
		}
	})
	e.addr = l.Addr().String()
	e.shutdown = func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, gs.Stop)
		defer stop()
		gs.GracefulStop()
		return ctx.Err()
	}
}

// byGRPCGo gives the case a client of grpc-go.
func byGRPCGo(e *grpcEnds) {
	cc, err := grpctest.Dial(e.addr, func(ctx context.Context, addr string) (net.Conn, error) {
		return e.dial(ctx, "tcp", addr)
	})
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := cc.Close(); err != nil {
			e.Errorf("closing the client: %v", err)
		}
	})
	e.client = grpc_testing.NewTestServiceClient(cc)
}

func (e *grpcEnds) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	nc, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return e.Conn(nc), nil
}

// byConnectGo gives the case a client of connect-go over a Transport.
func byConnectGo(mode h2c.Mode, options ...connect.ClientOption) func(*grpcEnds) {
	return func(e *grpcEnds) {
		switch {
		case mode == h2c.ModePriorKnowledge:
		case e.ours != nil:
			e.via, e.offers = h2c.ViaUpgrade, 1
		default:
			e.extra = 1
			e.failed = map[h2c.Reason]int64{h2c.ReasonHTTP2Only: 1}
		}
		e.tr = &h2c.Transport{Mode: mode, Base: &http.Transport{DialContext: e.dial}}
		e.Cleanup(func() {
			if err := e.tr.Close(); err != nil {
				e.Errorf("closing the Transport: %v", err)
			}
			e.Eventually("the Transport counts no connection", func() bool { return e.tr.Stats().Active == 0 })
		})
		e.client = grpctest.NewConnectClient(&http.Client{Transport: e.tr}, "http://"+e.addr, options...)
	}
}

// check checks that the service has handled each call once, on one connection that began as
// it should have.
func (e *grpcEnds) check() {
	want, got, remotes := make(map[string]int), make(map[string]int), make(map[string]bool)
	for _, id := range e.ids {
		want[id]++
	}
	for _, r := range e.service.Records() {
		got[r.ID]++
		remotes[r.Remote] = true
	}
	if !maps.Equal(got, want) {
		e.Errorf("the service handled the calls %v, want %v", got, want)
	}
	if len(remotes) != 1 {
		e.Errorf("the calls came on the connections %v, want one", remotes)
	}
	if n := e.accepted.Load(); n != 1+e.extra {
		e.Errorf("the server accepted %d connections, want %d", n, 1+e.extra)
	}
	upgraded, prior := int64(0), int64(1)
	if e.via == h2c.ViaUpgrade {
		upgraded, prior = 1, 0
	}
	if e.ours != nil {
		e.ours.WantNegotiated(e.T, upgraded, prior)
		want := map[string]int64{fmt.Sprintf("POST HTTP/2.0 by %s", e.via): int64(len(e.ids)) + e.calls}
		if e.offers > 0 {
			want[fmt.Sprintf("OPTIONS HTTP/2.0 by %s", e.via)] = e.offers
		}
		e.requests.mu.Lock()
		defer e.requests.mu.Unlock()
		if !maps.Equal(e.requests.seen, want) {
			e.Errorf("the handlers got %v, want %v", e.requests.seen, want)
		}
	}
	if e.tr != nil {
		stats := e.tr.Stats()
		if stats.Upgraded != upgraded || stats.PriorKnowledge != prior || len(stats.Declined) > 0 || !maps.Equal(stats.Failed, e.failed) {
			e.Errorf("the Transport counts %+v, want %d upgraded, %d by prior knowledge, failed %v", stats, upgraded, prior, e.failed)
		}
	}
}
