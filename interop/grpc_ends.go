package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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
type grpcHandler func(*grpcEnds) http.Handler

func grpcHandlers(e *grpcEnds) http.Handler    { return grpctest.NewServer(&e.service) }
func connectHandlers(e *grpcEnds) http.Handler { return grpctest.NewConnectHandler(&e.service) }

// A grpcTuning is how a case sets up its client and its server, where not as usual.
type grpcTuning struct {
	server                   []grpc.ServerOption // of grpc-go's own
	client                   []grpc.DialOption
	serverHTTP2, clientHTTP2 *http.HTTP2Config // of net/http

	pings bool // those that are answered are counted
	moves bool // the calls do not stay on one connection
	late  bool // the port ends later than the connection, so others may come that carry no call
}

// grpcEnds are the client and the server of a case, and what to expect of them in the end.
type grpcEnds struct {
	*matrix.T
	ctx      context.Context
	client   grpc_testing.TestServiceClient
	service  grpctest.Service
	addr     string
	shutdown func(context.Context) error
	graceful func(context.Context) error // GracefulStop; nil if the server is not grpc-go's own
	grpcTuning

	ours     *origin.Server       // nil if the server is without this library
	requests *grpcRequests        // that the handlers of ours have got
	rest     *grpcREST            // nil if nobody makes other requests
	counts   *grpctest.Counts     // of grpc-go's own server; nil if there is none
	pinged   grpcPings            // if pings is set
	accepted atomic.Int64         // connections of the server
	via      h2c.Via              // of the calls
	offers   int64                // OPTIONS requests that go before the first call
	extra    int64                // connections that carry no call
	failed   map[h2c.Reason]int64 // what the Transport finds before it connects
	tr       *h2c.Transport       // nil if the client is without this library

	mu    sync.Mutex
	ids   []string
	calls int64           // without an ID
	unfit map[string]bool // IDs of calls that the service is not to handle, after all
	stray int64           // calls that the handler of other requests has answered
}

func newGRPCEnds(t *matrix.T, tuning grpcTuning) *grpcEnds {
	// Not the context of the case: its deadline would go with every call.
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(t.Context(), cancel)
	timer := time.AfterFunc(grpcPatience, cancel)
	t.Cleanup(func() {
		stop()
		timer.Stop()
		cancel()
	})
	return &grpcEnds{T: t, ctx: ctx, grpcTuning: tuning, via: h2c.ViaPriorKnowledge, unfit: make(map[string]bool)}
}

// call returns a context for a call that the service is to handle once.
func (e *grpcEnds) call() context.Context {
	ctx, _ := e.callWithID()
	return ctx
}

func (e *grpcEnds) callWithID() (context.Context, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := fmt.Sprint(len(e.ids) + 1)
	e.ids = append(e.ids, id)
	return grpctest.WithID(e.ctx, id), id
}

// refused notes that a call failed in a way which says that the service never gets it.
func (e *grpcEnds) refused(id string, code codes.Code) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unfit[id] = true
	if code == codes.Unimplemented {
		e.stray++
	}
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
	c.seen[requestLine(r.Method, r.Proto, h2c.RequestVia(r))]++
	c.mu.Unlock()
	c.h.ServeHTTP(w, r)
}

func requestLine(method, proto string, via h2c.Via) string {
	return fmt.Sprintf("%s %s by %s", method, proto, via)
}

// serveHTTP starts a server of this library.
func (e *grpcEnds) serveHTTP(w origin.Way, handlers grpcHandler) {
	e.requests = &grpcRequests{h: handlers(e), seen: make(map[string]int64)}
	config := origin.Config{Serve: e.requests, Listen: e.listener, HTTP2: e.serverHTTP2}
	if e.late {
		config.Breaks = h2c.ReasonShutdown
	}
	e.ours = origin.StartFor(e.T, w, config)
	e.addr = e.ours.Addr
	e.shutdown = func(ctx context.Context) error {
		err := e.ours.HTTP.Shutdown(ctx)
		if w.IsNewHandler() {
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
	e.addr = l.Addr().String()
	e.serveGRPC(e.listener(l))
	e.shutdown = e.graceful
}

// serveGRPC starts a server of grpc-go for the case.
func (e *grpcEnds) serveGRPC(l net.Listener) {
	var gs *grpc.Server
	gs, e.counts = serveGRPC(e.T, l, &e.service, e.server...)
	e.graceful = func(ctx context.Context) error {
		stop := context.AfterFunc(ctx, gs.Stop)
		defer stop()
		gs.GracefulStop()
		return ctx.Err()
	}
}

// serveGRPC starts a server of grpc-go. In the end it must have no connection.
func serveGRPC(t *matrix.T, l net.Listener, s *grpctest.Service, options ...grpc.ServerOption) (*grpc.Server, *grpctest.Counts) {
	counts := new(grpctest.Counts)
	gs := grpctest.NewServer(s, append(slices.Clone(options), grpc.StatsHandler(counts))...)
	served := make(chan error, 1)
	go func() { served <- gs.Serve(l) }()
	t.Cleanup(func() {
		t.Eventually("grpc-go counts no connection", func() bool { return counts.Open() == 0 })
		gs.Stop()
		// Server.Shutdown closes the listener before gs does.
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) {
			t.Errorf("the server ended: %v", err)
		}
	})
	return gs, counts
}

// byGRPCGo gives the case a client of grpc-go.
func byGRPCGo(e *grpcEnds) {
	cc, err := grpctest.Dial(e.addr, func(ctx context.Context, addr string) (net.Conn, error) {
		return e.dial(ctx, "tcp", addr)
	}, e.grpcTuning.client...)
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
	nc = e.Conn(nc)
	if e.pings {
		nc = watch(nc, true, e.pinged.note)
	}
	return nc, nil
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
		e.tr = &h2c.Transport{Mode: mode, Base: &http.Transport{DialContext: e.dial, HTTP2: e.clientHTTP2}}
		e.Cleanup(func() {
			if err := e.tr.Close(); err != nil {
				e.Errorf("closing the Transport: %v", err)
			}
			e.Eventually("the Transport counts no connection", func() bool { return e.tr.Stats().Active == 0 })
		})
		e.client = grpctest.NewConnectClient(&http.Client{Transport: e.tr}, "http://"+e.addr, options...)
	}
}

// check checks that the service has handled each call once, on connections that began as they
// should have: one for all, unless the case says otherwise.
func (e *grpcEnds) check() {
	e.rest.end()
	want, got, remotes := make(map[string]int), make(map[string]int), make(map[string]bool)
	for _, id := range e.ids {
		if !e.unfit[id] {
			want[id]++
		}
	}
	for _, r := range e.service.Records() {
		got[r.ID]++
		remotes[r.Remote] = true
	}
	if !maps.Equal(got, want) {
		e.Errorf("the service handled the calls %v, want %v", got, want)
	}
	n := int64(1) // connections for calls
	if e.moves || e.late {
		n = e.http2() // one may be made in vain
		if extra := n - int64(len(remotes)); len(remotes) == 0 || extra != 0 && extra != 1 {
			e.Errorf("the calls came on the connections %v, of %d", remotes, n)
		}
	} else if len(remotes) != 1 {
		e.Errorf("the calls came on the connections %v, want one", remotes)
	}
	accepted, wanted := e.accepted.Load(), n+e.extra+e.rest.connections()
	if accepted != wanted && !(e.late && accepted > wanted) {
		e.Errorf("the server accepted %d connections, want %d", accepted, wanted)
	}
	upgraded, prior := int64(0), n
	if e.via == h2c.ViaUpgrade {
		upgraded, prior = n, 0
	}
	calls := int64(len(want)) + e.calls
	if e.counts != nil && (e.counts.Calls() != calls || e.counts.Connections() != n) {
		e.Errorf("grpc-go counts %d calls on %d connections, want %d on %d", e.counts.Calls(), e.counts.Connections(), calls, n)
	}
	if e.ours != nil {
		e.checkOurs(calls, upgraded, prior)
	}
	if e.tr != nil && !e.late {
		stats := e.tr.Stats()
		if stats.Upgraded != upgraded || stats.PriorKnowledge != prior || len(stats.Declined) > 0 || !maps.Equal(stats.Failed, e.failed) {
			e.Errorf("the Transport counts %+v, want %d upgraded, %d by prior knowledge, failed %v", stats, upgraded, prior, e.failed)
		}
	}
}

// http2 returns how many connections for calls the server counts.
func (e *grpcEnds) http2() int64 {
	if e.ours == nil {
		return e.counts.Connections()
	}
	stats := e.ours.H2C.Stats()
	return stats.Upgraded + stats.PriorKnowledge - e.rest.began(h2c.ViaUpgrade) - e.rest.began(h2c.ViaPriorKnowledge)
}

// checkOurs checks what the server of this library counts, and what its handlers got.
func (e *grpcEnds) checkOurs(calls, upgraded, prior int64) {
	want := e.rest.wanted()
	if e.counts == nil { // so the calls go through the handlers
		want[requestLine("POST", "HTTP/2.0", e.via)] += calls
		if e.offers > 0 {
			want[requestLine("OPTIONS", "HTTP/2.0", e.via)] += e.offers
		}
	}
	var declined []h2c.Reason
	if e.stray > 0 { // since somebody declined, and takes HTTP/1.1
		declined = append(declined, h2c.ReasonDisabled)
		want[requestLine("OPTIONS", "HTTP/1.1", h2c.ViaHTTP1)]++
		want[requestLine("POST", "HTTP/1.1", h2c.ViaHTTP1)] += e.stray
	}
	upgraded += e.rest.began(h2c.ViaUpgrade)
	prior += e.rest.began(h2c.ViaPriorKnowledge)
	e.ours.WantNegotiated(e.T, upgraded, prior, declined...)
	e.requests.mu.Lock()
	defer e.requests.mu.Unlock()
	if !maps.Equal(e.requests.seen, want) {
		e.Errorf("the handlers got %v, want %v", e.requests.seen, want)
	}
}
