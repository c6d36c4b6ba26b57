package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/wiretap"
	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// watch returns nc, and tells of what goes over it. It was dialed, or else accepted.
func watch(nc net.Conn, dialed bool, tell func(wiretap.Event)) net.Conn {
	return &watchedConn{Conn: nc, dialed: dialed, decoder: wiretap.New(tell)}
}

type watchedConn struct {
	net.Conn
	dialed bool

	mu      sync.Mutex
	decoder *wiretap.Decoder
}

func (c *watchedConn) decode(p []byte, byClient bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if byClient {
		c.decoder.Client(p)
	} else {
		c.decoder.Server(p)
	}
}

func (c *watchedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.decode(p[:n], !c.dialed)
	return n, err
}

func (c *watchedConn) Write(p []byte) (int, error) {
	c.decode(p, c.dialed)
	return c.Conn.Write(p)
}

// grpcPings counts pings that were answered.
type grpcPings struct{ ofServer, ofClient atomic.Int64 }

func (p *grpcPings) note(ev wiretap.Event) {
	if f, ok := ev.Frame.(*http2.PingFrame); ok && f.IsAck() {
		if ev.Client {
			p.ofServer.Add(1)
		} else {
			p.ofClient.Add(1)
		}
	}
}

// pingTimeout is how long an answer to a ping may take.
const pingTimeout = 10 * time.Second

var pinging = &http.HTTP2Config{SendPingTimeout: grpctest.PingAfter, PingTimeout: pingTimeout}

var serverPings = grpcTuning{
	pings:       true,
	server:      []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{Time: grpctest.PingAfter, Timeout: pingTimeout})},
	serverHTTP2: pinging,
}

func grpcServerPings(e *grpcEnds) { e.wantPings("the server", &e.pinged.ofServer) }

var clientPings = grpcTuning{
	pings: true,
	server: []grpc.ServerOption{grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{
		MinTime: time.Millisecond, PermitWithoutStream: true,
	})},
	client: []grpc.DialOption{grpc.WithKeepaliveParams(keepalive.ClientParameters{
		Time: grpctest.PingAfter, Timeout: pingTimeout, PermitWithoutStream: true,
	})},
	clientHTTP2: pinging,
}

func grpcClientPings(e *grpcEnds) { e.wantPings("the client", &e.pinged.ofClient) }

// wantPings waits for pings of one end, while nothing else goes over the connection.
func (e *grpcEnds) wantPings(who string, answered *atomic.Int64) {
	wait := func(when string) {
		before := answered.Load()
		e.Eventually(fmt.Sprintf("%s pings and is answered %s", who, when), func() bool { return answered.Load() >= before+3 })
	}
	chat, err := e.client.FullDuplexCall(e.call())
	if err != nil {
		e.Fatal(err)
	}
	if err := grpctest.Ping(chat, peer.KiB); err != nil {
		e.Fatal(err)
	}
	wait("during a call")
	if err := errors.Join(grpctest.Ping(chat, peer.MiB), chat.CloseSend(), grpctest.End(chat)); err != nil {
		e.Errorf("the call: %v", err)
	}
	wait("without a call")
	e.wantWorks("after it")
}

var ageing = grpcTuning{
	moves: true,
	server: []grpc.ServerOption{grpc.KeepaliveParams(keepalive.ServerParameters{
		MaxConnectionAge: 300 * time.Millisecond, MaxConnectionAgeGrace: grpcPatience,
	})},
}

// grpcAge makes calls until two connections have got too old, and the first of them still has a
// call in progress.
func grpcAge(e *grpcEnds) {
	chat, err := e.client.FullDuplexCall(e.call())
	if err != nil {
		e.Fatal(err)
	}
	if err := grpctest.Ping(chat, peer.KiB); err != nil {
		e.Fatal(err)
	}
	first := e.last().Remote
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for e.remotes() < 3 {
				if err := grpctest.Unary(e.call(), e.client, peer.KiB); err != nil {
					e.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(grpctest.Ping(chat, peer.MiB), chat.CloseSend(), grpctest.End(chat)); err != nil {
		e.Errorf("the call on the connection from %s: %v", first, err)
	}
}

// remotes returns how many connections there were calls on.
func (e *grpcEnds) remotes() int {
	remotes := make(map[string]bool)
	for _, r := range e.service.Records() {
		remotes[r.Remote] = true
	}
	return len(remotes)
}

const thousand = 1000

var roomy = grpcTuning{
	server:      []grpc.ServerOption{grpc.MaxConcurrentStreams(thousand)},
	serverHTTP2: &http.HTTP2Config{MaxConcurrentStreams: thousand},
}

// grpcThousand fills the connection. The call before tells the client how much it may.
func grpcThousand(e *grpcEnds) {
	e.wantWorks("before them")
	e.together(thousand)
}

var loaded = grpcTuning{late: true}

// grpcGracefulStop has grpc-go stop while calls go on. The rest of the port does not.
func grpcGracefulStop(e *grpcEnds) {
	want := []codes.Code{codes.Unavailable}
	if e.rest != nil && e.via == h2c.ViaUpgrade {
		// Who offers to upgrade is declined now, and the other server does not know the method.
		want = append(want, codes.Unimplemented)
	}
	e.underLoad(e.graceful, want...)
	if e.rest != nil {
		e.rest.more()
	}
}

// grpcLoadedShutdown shuts the whole port down while calls go on.
func grpcLoadedShutdown(e *grpcEnds) { e.underLoad(e.shutdown, codes.Unavailable) }

// underLoad makes calls from several goroutines, each until one fails, and calls stop when all
// are busy. What fails must do so with one of these codes, and not have been handled.
func (e *grpcEnds) underLoad(stop func(context.Context) error, want ...codes.Code) {
	const callers, before = 20, 5
	var busy, over sync.WaitGroup
	busy.Add(callers)
	for range callers {
		over.Go(func() {
			begun := sync.OnceFunc(busy.Done)
			defer begun()
			for n := 1; ; n++ {
				ctx, id := e.callWithID()
				err := grpctest.Unary(ctx, e.client, []int{peer.KiB, 64 * peer.KiB}[n%2])
				if err != nil {
					e.refused(id, status.Code(err))
					if n <= before || !slices.Contains(want, status.Code(err)) {
						e.Errorf("call %d of a caller: %v", n, err)
					}
					return
				}
				if n == before {
					begun()
				}
			}
		})
	}
	busy.Wait()
	ctx, cancel := context.WithTimeout(e.ctx, grpcPatience)
	defer cancel()
	if err := stop(ctx); err != nil {
		e.Errorf("the stop: %v", err)
	}
	over.Wait()
}
