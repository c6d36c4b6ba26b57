package grpctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Unary sends n octets and wants n octets.
func Unary(ctx context.Context, c grpc_testing.TestServiceClient, n int, options ...grpc.CallOption) error {
	out, err := c.UnaryCall(ctx, &grpc_testing.SimpleRequest{ResponseSize: int32(n), Payload: payload(n)}, options...)
	if err != nil {
		return err
	}
	return want(out.GetPayload(), n)
}

// ClientStream sends a message of each size and wants their sum.
func ClientStream(ctx context.Context, c grpc_testing.TestServiceClient, sizes ...int) error {
	stream, err := c.StreamingInputCall(ctx)
	if err != nil {
		return err
	}
	sum := 0
	for _, n := range sizes {
		if err := stream.Send(&grpc_testing.StreamingInputCallRequest{Payload: payload(n)}); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		sum += n
	}
	out, err := stream.CloseAndRecv()
	if err != nil {
		return err
	}
	if got := out.GetAggregatedPayloadSize(); got != int32(sum) {
		return fmt.Errorf("the service got %d octets of %d", got, sum)
	}
	return nil
}

// ServerStream asks for a message of each size and wants them in that order.
func ServerStream(ctx context.Context, c grpc_testing.TestServiceClient, sizes ...int) error {
	stream, err := c.StreamingOutputCall(ctx, Ask(sizes...))
	if err != nil {
		return err
	}
	for _, n := range sizes {
		if err := receive(stream, n); err != nil {
			return err
		}
	}
	return End(stream)
}

// Ask returns a request for a message of each size.
func Ask(sizes ...int) *grpc_testing.StreamingOutputCallRequest {
	in := new(grpc_testing.StreamingOutputCallRequest)
	for _, n := range sizes {
		in.ResponseParameters = append(in.ResponseParameters, &grpc_testing.ResponseParameters{Size: int32(n)})
	}
	return in
}

// A Chat is a bidirectional stream.
type Chat = grpc.BidiStreamingClient[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]

// PingPong sends a message of each size, the next when the one before has come back.
func PingPong(ctx context.Context, c grpc_testing.TestServiceClient, sizes ...int) error {
	chat, err := c.FullDuplexCall(ctx)
	if err != nil {
		return err
	}
	for _, n := range sizes {
		if err := Ping(chat, n); err != nil {
			return err
		}
	}
	if err := chat.CloseSend(); err != nil {
		return err
	}
	return End(chat)
}

// Ping sends n octets and waits for n octets.
func Ping(chat Chat, n int) error {
	in := Ask(n)
	in.Payload = payload(n)
	// If the stream has ended, Recv says how.
	if err := chat.Send(in); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return receive(chat, n)
}

type receiver interface {
	Recv() (*grpc_testing.StreamingOutputCallResponse, error)
}

// receive wants a message of n octets.
func receive(stream receiver, n int) error {
	out, err := stream.Recv()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	return want(out.GetPayload(), n)
}

// End wants no message any more, and that the call succeeded.
func End(stream receiver) error {
	switch _, err := stream.Recv(); {
	case err == nil:
		return errors.New("one message too many")
	case !errors.Is(err, io.EOF):
		return err
	}
	return nil
}

// want checks the payload of a response.
func want(p *grpc_testing.Payload, n int) error {
	if got := p.GetBody(); !bytes.Equal(got, peer.Payload(n)) {
		return fmt.Errorf("%d octets came, want %d undamaged ones", len(got), n)
	}
	return nil
}
