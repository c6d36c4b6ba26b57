//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
)

const (
	messageOctets = 1 << 10
	streamLength  = 1000 // messages of a stream from the server
	maxCalls      = 10_000_000
)

func grpcGroup() *group {
	alone := &subject{name: grpcAlone, of: "google.golang.org/grpc"}
	g := &group{
		name: "grpc", title: "gRPC",
		about: "grpc-go's client, in a process of its own, and grpc-go's server: by itself (`Serve` on a plain listener), on a listener of " +
			"`Server.Split`, and by `ServeHTTP` under `ConfigureServer` and under x/net's h2c. A message is 1 KiB, in both directions. " +
			"A server stream has 1,000 messages; in a ping-pong, each message waits for the one before. A case is named by its " +
			"connections × calls at once on each.",
		subjects: []*subject{alone, goSubject(grpcSplit), goSubject(grpcConfigured), goSubject(grpcXNet)},
		baseline: alone,
		figures:  perRequest("message"),
	}
	for _, c := range []struct {
		name         string
		conns, calls int
		work         worker
	}{
		{"unary", 1, 1, unary}, {"unary", 1, 10, unary}, {"unary", 1, 100, unary}, {"unary", 10, 10, unary},
		{"server-stream", 1, 1, serverStream}, {"server-stream", 10, 10, serverStream},
		{"ping-pong", 1, 1, pingPong}, {"ping-pong", 1, 100, pingPong}, {"ping-pong", 10, 10, pingPong},
	} {
		g.cases = append(g.cases, benchCase{
			name:  fmt.Sprintf("%s %dx%d", c.name, c.conns, c.calls),
			begin: grpcCase(c.conns, c.calls, c.work),
		})
	}
	return g
}

// A worker calls once, and again and again until time is up, and returns how many messages came.
type worker func(ctx context.Context, c grpc_testing.BenchmarkServiceClient, up *atomic.Bool) (int, error)

func grpcCase(conns, calls int, work worker) func(context.Context, *server, options) (func(context.Context) (sample, error), error) {
	return func(ctx context.Context, srv *server, o options) (func(context.Context) (sample, error), error) {
		var clients []grpc_testing.BenchmarkServiceClient
		for range conns {
			cc, err := grpctest.Dial(srv.addr, func(ctx context.Context, addr string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", addr)
			})
			if err != nil {
				return nil, err
			}
			srv.onStop(func() { cc.Close() })
			clients = append(clients, grpc_testing.NewBenchmarkServiceClient(cc))
		}
		load := func(ctx context.Context, d time.Duration) (int, error) {
			ctx, cancel := context.WithTimeout(ctx, d+patience)
			defer cancel()
			var up atomic.Bool
			defer time.AfterFunc(d, func() { up.Store(true) }).Stop()
			return together(conns*calls, func(i int) (int, error) { return work(ctx, clients[i%conns], &up) })
		}
		if _, err := load(ctx, o.duration/4); err != nil {
			return nil, err
		}
		return func(ctx context.Context) (sample, error) {
			return timed(srv, func() (int, error) { return load(ctx, o.duration) })
		}, nil
	}
}

// together runs n workers at once, and returns the sum of what they return.
func together(n int, work func(i int) (int, error)) (int, error) {
	var (
		wg   sync.WaitGroup
		sum  atomic.Int64
		errs = make([]error, n)
	)
	for i := range n {
		wg.Go(func() {
			did, err := work(i)
			sum.Add(int64(did))
			errs[i] = err
		})
	}
	wg.Wait()
	return int(sum.Load()), errors.Join(errs...)
}

var message = &grpc_testing.SimpleRequest{
	ResponseSize: messageOctets,
	Payload:      &grpc_testing.Payload{Body: make([]byte, messageOctets)},
}

func unary(ctx context.Context, c grpc_testing.BenchmarkServiceClient, up *atomic.Bool) (n int, err error) {
	for ; n == 0 || n < maxCalls && !up.Load(); n++ {
		if err := whole(c.UnaryCall(ctx, message)); err != nil {
			return n, err
		}
	}
	return n, nil
}

func serverStream(ctx context.Context, c grpc_testing.BenchmarkServiceClient, up *atomic.Bool) (n int, err error) {
	for n == 0 || n < maxCalls && !up.Load() {
		stream, err := c.StreamingFromServer(ctx, message)
		if err != nil {
			return n, fmt.Errorf("opening a stream: %w", err)
		}
		for range streamLength {
			if err := whole(stream.Recv()); err != nil {
				return n, err
			}
			n++
		}
		if err := ended(stream.Recv()); err != nil {
			return n, err
		}
	}
	return n, nil
}

func pingPong(ctx context.Context, c grpc_testing.BenchmarkServiceClient, up *atomic.Bool) (n int, err error) {
	stream, err := c.StreamingCall(ctx)
	if err != nil {
		return 0, fmt.Errorf("opening a stream: %w", err)
	}
	for ; n == 0 || n < maxCalls && !up.Load(); n++ {
		if err := stream.Send(message); err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if err := whole(stream.Recv()); err != nil {
			return n, err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return n, err
	}
	return n, ended(stream.Recv())
}

// whole wants a message.
func whole(m *grpc_testing.SimpleResponse, err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err == nil && len(m.GetPayload().GetBody()) != messageOctets {
		return fmt.Errorf("a message of %d octets came", len(m.GetPayload().GetBody()))
	}
	return err
}

// ended wants no message, but the end of the stream.
func ended(_ *grpc_testing.SimpleResponse, err error) error {
	if err == nil {
		return errors.New("one message too many")
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// service does as little as can be: what is measured is what carries it.
type service struct {
	grpc_testing.UnimplementedBenchmarkServiceServer
}

func registerService(gs *grpc.Server) { grpc_testing.RegisterBenchmarkServiceServer(gs, service{}) }

var response = &grpc_testing.SimpleResponse{Payload: message.Payload}

func (service) UnaryCall(context.Context, *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	return response, nil
}

func (service) StreamingFromServer(_ *grpc_testing.SimpleRequest, stream grpc.ServerStreamingServer[grpc_testing.SimpleResponse]) error {
	for range streamLength {
		if err := stream.Send(response); err != nil {
			return err
		}
	}
	return nil
}

func (service) StreamingCall(stream grpc.BidiStreamingServer[grpc_testing.SimpleRequest, grpc_testing.SimpleResponse]) error {
	for {
		if _, err := stream.Recv(); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := stream.Send(response); err != nil {
			return err
		}
	}
}
