// Package grpctest is a gRPC service and calls of it: for the matrix and for benchmarks, with
// grpc-go and with connect-go at either end.
package grpctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Metadata that a call asks the service for something with.
const (
	EchoPrefix    = "x-echo-"    // comes back in the header of the response
	TrailPrefix   = "x-trail-"   // comes back in the trailer
	SleepKey      = "x-sleep"    // how long the call sleeps before it does anything
	TogetherKey   = "x-together" // the call waits until so many are in progress
	callKey       = "x-call"     // the call is kept as a Record under that name
	longestSleep  = 30 * time.Second
	detailPayload = 1 << 10
)

// Service is the TestService of the interop tests of gRPC. Payloads are those of
// [peer.Payload] in both directions; others are refused. The zero value is ready to use.
type Service struct {
	grpc_testing.UnimplementedTestServiceServer

	mu       sync.Mutex
	records  []*Record
	waiting  int
	together chan struct{} // closed when all that wait for each other are there
}

// EmptyCall answers nothing.
func (s *Service) EmptyCall(ctx context.Context, in *grpc_testing.Empty) (*grpc_testing.Empty, error) {
	return in, s.serve(ctx, func() error { return nil })
}

// UnaryCall answers with a payload of the size that is asked for, or with the status.
func (s *Service) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest) (*grpc_testing.SimpleResponse, error) {
	out := new(grpc_testing.SimpleResponse)
	err := s.serve(ctx, func() error {
		if err := check(in.GetPayload()); err != nil {
			return err
		}
		out.Payload = payload(int(in.GetResponseSize()))
		return failure(in.GetResponseStatus())
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// StreamingInputCall answers with the size of all payloads.
func (s *Service) StreamingInputCall(stream grpc.ClientStreamingServer[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse]) error {
	return s.serve(stream.Context(), func() error {
		for size := 0; ; {
			in, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return stream.SendAndClose(&grpc_testing.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
			}
			if err != nil {
				return err
			}
			if err := check(in.GetPayload()); err != nil {
				return err
			}
			size += len(in.GetPayload().GetBody())
		}
	})
}

// StreamingOutputCall answers with the payloads that are asked for, and with the status.
func (s *Service) StreamingOutputCall(in *grpc_testing.StreamingOutputCallRequest, stream grpc.ServerStreamingServer[grpc_testing.StreamingOutputCallResponse]) error {
	return s.serve(stream.Context(), func() error { return send(stream, in) })
}

// FullDuplexCall answers each request as StreamingOutputCall does.
func (s *Service) FullDuplexCall(stream grpc.BidiStreamingServer[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
	return s.serve(stream.Context(), func() error {
		for {
			in, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := send(stream, in); err != nil {
				return err
			}
		}
	})
}

// send sends the payloads, each after its interval.
func send(stream grpc.ServerStreamingServer[grpc_testing.StreamingOutputCallResponse], in *grpc_testing.StreamingOutputCallRequest) error {
	if err := check(in.GetPayload()); err != nil {
		return err
	}
	for _, p := range in.GetResponseParameters() {
		if err := sleep(stream.Context(), time.Duration(p.GetIntervalUs())*time.Microsecond); err != nil {
			return err
		}
		if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: payload(int(p.GetSize()))}); err != nil {
			return err
		}
	}
	return failure(in.GetResponseStatus())
}

// serve keeps the record of a call, and does what its metadata asks for before f.
func (s *Service) serve(ctx context.Context, f func() error) error {
	md, _ := metadata.FromIncomingContext(ctx)
	if id := md.Get(callKey); len(id) > 0 {
		r := s.begin(ctx, id[0], md)
		defer func() { r.end(ctx.Err()) }()
	}
	grpc.SetHeader(ctx, withPrefix(md, EchoPrefix))
	grpc.SetTrailer(ctx, withPrefix(md, TrailPrefix))
	if v := md.Get(SleepKey); len(v) > 0 {
		d, err := time.ParseDuration(v[0])
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := sleep(ctx, d); err != nil {
			return err
		}
	}
	if v := md.Get(TogetherKey); len(v) > 0 {
		n, err := strconv.Atoi(v[0])
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		if err := s.await(ctx, n); err != nil {
			return err
		}
	}
	return f()
}

// await waits until n calls wait.
func (s *Service) await(ctx context.Context, n int) error {
	s.mu.Lock()
	if s.together == nil {
		s.together = make(chan struct{})
	}
	all := s.together
	if s.waiting++; s.waiting == n {
		close(all)
		s.together, s.waiting = nil, 0
	}
	s.mu.Unlock()
	select {
	case <-all:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	case <-time.After(longestSleep):
		return status.Errorf(codes.Aborted, "the %d calls did not come together", n)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(min(d, longestSleep))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

func withPrefix(md metadata.MD, prefix string) metadata.MD {
	found := make(metadata.MD)
	for k, v := range md {
		if strings.HasPrefix(k, prefix) {
			found[k] = v
		}
	}
	return found
}

// payload returns a payload of n octets.
func payload(n int) *grpc_testing.Payload {
	return &grpc_testing.Payload{Body: peer.Payload(n)}
}

// check says what is wrong with a payload.
func check(p *grpc_testing.Payload) error {
	if n := len(p.GetBody()); n > peer.MaxPayload || !bytes.Equal(p.GetBody(), peer.Payload(n)) {
		return status.Errorf(codes.DataLoss, "%d octets came damaged", n)
	}
	return nil
}

// failure returns the error that is asked for, with that request and a payload for details.
func failure(want *grpc_testing.EchoStatus) error {
	if want.GetCode() == int32(codes.OK) {
		return nil
	}
	st, err := status.New(codes.Code(want.GetCode()), want.GetMessage()).WithDetails(want, payload(detailPayload))
	if err != nil {
		return fmt.Errorf("status %v: %w", want, err)
	}
	return st.Err()
}
