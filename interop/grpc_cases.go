package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// grpcCases are the columns of the table, with what they prove of a Transport.
var grpcCases = []struct {
	name string
	ids  []string
	test func(*grpcEnds)

	tuning grpcTuning
	itself bool // for servers of grpc-go's own alone
}{
	{name: "unary", ids: ids{"C-10"}, test: grpcUnary},
	{name: "client streaming", ids: ids{"C-10"}, test: grpcClientStreaming},
	{name: "server streaming", ids: ids{"C-10"}, test: grpcServerStreaming},
	{name: "bidirectional", ids: ids{"C-10"}, test: grpcBidirectional},
	{name: "4 MiB", ids: ids{"C-10"}, test: grpcLarge},
	{name: "metadata", ids: ids{"C-03"}, test: grpcMetadata},
	{name: "status details", ids: ids{"C-03"}, test: grpcStatus},
	{name: "deadline", ids: ids{"C-13"}, test: grpcDeadline},
	{name: "cancel", ids: ids{"C-13"}, test: grpcCancel},
	{name: "100 at once", ids: ids{"C-04"}, test: grpcAtOnce},
	{name: "1,000 at once", ids: ids{"C-04"}, test: grpcThousand, tuning: roomy},
	{name: "1,000 in a row", ids: ids{"C-04"}, test: grpcInARow},
	{name: "server pings", test: grpcServerPings, tuning: serverPings},
	{name: "client pings", test: grpcClientPings, tuning: clientPings},
	{name: "age", ids: ids{"C-11"}, test: grpcAge, tuning: ageing, itself: true},
	{name: "shutdown", ids: ids{"C-11"}, test: grpcShutdown},
	{name: "shutdown under load", ids: ids{"C-11"}, test: grpcLoadedShutdown, tuning: loaded},
	{name: "GracefulStop under load", ids: ids{"C-11"}, test: grpcGracefulStop, tuning: loaded, itself: true},
}

// grpcSizes are those of the messages of a stream.
var grpcSizes = []int{0, 1, peer.KiB, 64 << 10, 100_000, peer.MiB, 1}

func grpcUnary(e *grpcEnds) {
	for _, n := range []int{0, peer.KiB, peer.MiB} {
		if err := grpctest.Unary(e.call(), e.client, n); err != nil {
			e.Errorf("%d octets: %v", n, err)
		}
	}
}

func grpcClientStreaming(e *grpcEnds) {
	if err := grpctest.ClientStream(e.call(), e.client, grpcSizes...); err != nil {
		e.Error(err)
	}
}

func grpcServerStreaming(e *grpcEnds) {
	if err := grpctest.ServerStream(e.call(), e.client, grpcSizes...); err != nil {
		e.Error(err)
	}
}

func grpcBidirectional(e *grpcEnds) {
	if err := grpctest.PingPong(e.call(), e.client, grpcSizes...); err != nil {
		e.Error(err)
	}
}

func grpcLarge(e *grpcEnds) {
	if err := grpctest.Unary(e.call(), e.client, 4*peer.MiB); err != nil {
		e.Errorf("unary: %v", err)
	}
	if err := grpctest.PingPong(e.call(), e.client, 4*peer.MiB); err != nil {
		e.Errorf("bidirectional: %v", err)
	}
}

// grpcMetadata has binary values, two values of a key, and more than fits a HEADERS frame.
func grpcMetadata(e *grpcEnds) {
	var octets []byte
	for i := range 256 {
		octets = append(octets, byte(i))
	}
	sent := make(metadata.MD)
	for _, prefix := range []string{grpctest.EchoPrefix, grpctest.TrailPrefix} {
		sent.Append(prefix+"text", "one, two", "three")
		sent.Append(prefix+"octets-bin", string(octets), "", "\x00")
		sent.Append(prefix+"long", strings.Repeat("0123456789", 2000))
	}
	// want checks what came of it, but for what is under other keys.
	want := func(what string, got metadata.MD, prefixes ...string) {
		for key, values := range sent {
			wanted := slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(key, p) })
			if wanted && !slices.Equal(got[key], values) {
				e.Errorf("%s: %s is %q, want %q", what, key, got[key], values)
			}
			if !wanted && got[key] != nil {
				e.Errorf("%s has %s", what, key)
			}
		}
	}
	call := func() context.Context {
		ctx := e.call()
		md, _ := metadata.FromOutgoingContext(ctx)
		return metadata.NewOutgoingContext(ctx, metadata.Join(md, sent))
	}

	var header, trailer metadata.MD
	if err := grpctest.Unary(call(), e.client, 1, grpc.Header(&header), grpc.Trailer(&trailer)); err != nil {
		e.Fatalf("unary: %v", err)
	}
	want("unary request", e.last().Metadata, grpctest.EchoPrefix, grpctest.TrailPrefix)
	want("unary header", header, grpctest.EchoPrefix)
	want("unary trailer", trailer, grpctest.TrailPrefix)

	chat, err := e.client.FullDuplexCall(call())
	if err != nil {
		e.Fatalf("bidirectional: %v", err)
	}
	err = errors.Join(grpctest.Ping(chat, 1), chat.CloseSend(), grpctest.End(chat))
	if err != nil {
		e.Fatalf("bidirectional: %v", err)
	}
	header, err = chat.Header()
	if err != nil {
		e.Fatalf("bidirectional: %v", err)
	}
	want("bidirectional request", e.last().Metadata, grpctest.EchoPrefix, grpctest.TrailPrefix)
	want("bidirectional header", header, grpctest.EchoPrefix)
	want("bidirectional trailer", chat.Trailer(), grpctest.TrailPrefix)
}

// grpcStatus asks for an error at once, which goes without a body, and for one after messages.
func grpcStatus(e *grpcEnds) {
	asked := &grpc_testing.EchoStatus{Code: int32(codes.FailedPrecondition), Message: "zu spät: 100 %\n"}
	want := func(what string, err error) {
		st := status.Convert(err)
		if st.Code() != codes.FailedPrecondition || st.Message() != asked.GetMessage() {
			e.Errorf("%s: %v", what, err)
		}
		details := st.Details()
		if len(details) != 2 {
			e.Errorf("%s: details %v, want 2", what, details)
			return
		}
		if got, ok := details[0].(*grpc_testing.EchoStatus); !ok || !proto.Equal(got, asked) {
			e.Errorf("%s: the first detail is %v, want %v", what, details[0], asked)
		}
		if got, ok := details[1].(*grpc_testing.Payload); !ok || !bytes.Equal(got.GetBody(), peer.Payload(peer.KiB)) {
			e.Errorf("%s: the second detail is not the payload: %v", what, details[1])
		}
	}

	_, err := e.client.UnaryCall(e.call(), &grpc_testing.SimpleRequest{ResponseStatus: asked})
	want("unary", err)

	in := grpctest.Ask(1, peer.KiB)
	in.ResponseStatus = asked
	stream, err := e.client.StreamingOutputCall(e.call(), in)
	if err != nil {
		e.Fatalf("server streaming: %v", err)
	}
	for i := range 2 {
		if _, err := stream.Recv(); err != nil {
			e.Fatalf("server streaming: message %d: %v", i+1, err)
		}
	}
	want("server streaming", grpctest.End(stream))
}

// grpcDeadline has calls that would sleep for longer than they may take.
func grpcDeadline(e *grpcEnds) {
	const timeout = 200 * time.Millisecond
	sleeping := func() (context.Context, context.CancelFunc) {
		ctx := metadata.AppendToOutgoingContext(e.call(), grpctest.SleepKey, "20s")
		return context.WithTimeout(ctx, timeout)
	}
	want := func(what string, began time.Time, err error) {
		if code := status.Code(err); code != codes.DeadlineExceeded {
			e.Errorf("%s: %v, want %v", what, err, codes.DeadlineExceeded)
		}
		// It goes as whole milliseconds, rounded down.
		if took := time.Since(began); took < timeout-10*time.Millisecond {
			e.Errorf("%s: it failed after %v, before the deadline", what, took)
		}
		r := e.last()
		if r.Deadline.IsZero() || r.Deadline.After(began.Add(timeout+time.Second)) {
			e.Errorf("%s: the service was told the deadline %v", what, r.Deadline)
		}
		e.wantContextErr(what, r, context.DeadlineExceeded, context.Canceled)
	}

	e.wantWorks("before it") // so that the deadline is not over before there is a connection
	ctx, cancel := sleeping()
	defer cancel()
	began := time.Now()
	want("unary", began, grpctest.Unary(ctx, e.client, peer.KiB))

	ctx, cancel = sleeping()
	defer cancel()
	began = time.Now()
	want("bidirectional", began, grpctest.PingPong(ctx, e.client, peer.KiB))

	e.wantWorks("after it")
	if d := e.last().Deadline; !d.IsZero() {
		e.Errorf("a call without a deadline has one: %v", d)
	}
}

// wantContextErr checks that the context of the call has ended, and with it the call.
func (e *grpcEnds) wantContextErr(what string, r *grpctest.Record, want ...error) {
	select {
	case <-r.Ended():
		if err := r.ContextErr(); !slices.Contains(want, err) {
			e.Errorf("%s: the service's context ended with %v, want one of %v", what, err, want)
		}
	case <-time.After(10 * time.Second):
		e.Errorf("%s: the service is not done with the call", what)
	}
}

// wantWorks makes a call, which check expects on the one connection.
func (e *grpcEnds) wantWorks(when string) {
	if err := grpctest.Unary(e.call(), e.client, peer.KiB); err != nil {
		e.Errorf("the call %s: %v", when, err)
	}
}

// grpcCancel gives up a stream whose second message would come in 20 seconds.
func grpcCancel(e *grpcEnds) {
	ctx, cancel := context.WithCancel(e.call())
	defer cancel()
	in := grpctest.Ask(peer.KiB, peer.KiB)
	in.ResponseParameters[1].IntervalUs = int32(20 * time.Second / time.Microsecond)
	stream, err := e.client.StreamingOutputCall(ctx, in)
	if err != nil {
		e.Fatal(err)
	}
	if _, err := stream.Recv(); err != nil {
		e.Fatalf("first message: %v", err)
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		e.Errorf("second message: %v, want %v", err, codes.Canceled)
	}
	e.wantContextErr("server streaming", e.last(), context.Canceled)
	e.wantWorks("after it")
}

// grpcAtOnce makes 100 calls before any other.
func grpcAtOnce(e *grpcEnds) { e.together(100) }

// together makes calls that end when all of them are in progress.
func (e *grpcEnds) together(n int) {
	var wg sync.WaitGroup
	for range n {
		ctx := metadata.AppendToOutgoingContext(e.call(), grpctest.TogetherKey, fmt.Sprint(n))
		wg.Go(func() {
			if err := grpctest.Unary(ctx, e.client, peer.KiB); err != nil {
				e.Error(err)
			}
		})
	}
	wg.Wait()
}

func grpcInARow(e *grpcEnds) {
	for i := range 1000 {
		if err := grpctest.Unary(e.call(), e.client, peer.KiB); err != nil {
			e.Fatalf("call %d: %v", i+1, err)
		}
	}
}

// grpcShutdown shuts the server down while a call is in progress.
func grpcShutdown(e *grpcEnds) {
	chat, err := e.client.FullDuplexCall(e.call())
	if err != nil {
		e.Fatal(err)
	}
	if err := grpctest.Ping(chat, peer.KiB); err != nil {
		e.Fatalf("before the shutdown: %v", err)
	}
	done := make(chan error, 1)
	ctx, cancel := context.WithTimeout(e.ctx, grpcPatience)
	defer cancel()
	go func() { done <- e.shutdown(ctx) }()

	e.wantUnavailable()
	if err := grpctest.Ping(chat, peer.MiB); err != nil {
		e.Errorf("during the shutdown: %v", err)
	}
	select {
	case err := <-done:
		e.Errorf("the server was shut down before the call was over: %v", err)
		done <- err
	default:
	}
	if err := errors.Join(chat.CloseSend(), grpctest.End(chat)); err != nil {
		e.Errorf("the end of the call: %v", err)
	}
	if err := <-done; err != nil {
		e.Errorf("shutdown: %v", err)
	}
	if err := grpctest.Unary(e.ctx, e.client, 1); status.Code(err) != codes.Unavailable {
		e.Errorf("a call after the shutdown: %v, want %v", err, codes.Unavailable)
	}
}

// wantUnavailable waits until calls fail as they should. Before GOAWAY has come, they do not;
// when it comes, the server does not listen any more.
func (e *grpcEnds) wantUnavailable() {
	e.Eventually("calls fail", func() bool {
		err := grpctest.Unary(e.ctx, e.client, 1)
		if err == nil {
			e.calls++
			return false
		}
		if status.Code(err) != codes.Unavailable {
			e.Errorf("a call during the shutdown: %v, want %v", err, codes.Unavailable)
		}
		return true
	})
}
