package grpctest

import (
	"context"
	"errors"
	"io"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// NewConnectHandler returns handlers of connect-go with the service: gRPC, gRPC-Web and the
// Connect protocol. They do not compress: it takes longer than the calls, and random payloads
// do not get smaller.
func NewConnectHandler(s *Service, options ...connect.HandlerOption) http.Handler {
	options = append([]connect.HandlerOption{connect.WithCompression("gzip", nil, nil)}, options...)
	mux := http.NewServeMux()
	mux.Handle(emptyCall, connect.NewUnaryHandlerSimple(emptyCall, unary(s.EmptyCall), options...))
	mux.Handle(unaryCall, connect.NewUnaryHandlerSimple(unaryCall, unary(s.UnaryCall), options...))
	mux.Handle(inputCall, connect.NewClientStreamHandlerSimple(inputCall,
		func(ctx context.Context, stream *connect.ClientStream[grpc_testing.StreamingInputCallRequest]) (*grpc_testing.StreamingInputCallResponse, error) {
			out := &serverStream{ctx: incoming(ctx), conn: stream.Conn(), one: true}
			err := s.StreamingInputCall(&grpc.GenericServerStream[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse]{ServerStream: out})
			if err != nil {
				return nil, toConnect(err)
			}
			return out.message.(*grpc_testing.StreamingInputCallResponse), nil
		}, options...))
	mux.Handle(outputCall, connect.NewServerStreamHandlerSimple(outputCall,
		func(ctx context.Context, in *grpc_testing.StreamingOutputCallRequest, stream *connect.ServerStream[grpc_testing.StreamingOutputCallResponse]) error {
			return toConnect(s.StreamingOutputCall(in, duplex(ctx, stream.Conn())))
		}, options...))
	mux.Handle(duplexCall, connect.NewBidiStreamHandler(duplexCall,
		func(ctx context.Context, stream *connect.BidiStream[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]) error {
			return toConnect(s.FullDuplexCall(duplex(ctx, stream.Conn())))
		}, options...))
	return mux
}

func unary[Req, Res any](method func(context.Context, *Req) (*Res, error)) func(context.Context, *Req) (*Res, error) {
	return func(ctx context.Context, in *Req) (*Res, error) {
		out, err := method(incoming(ctx), in)
		return out, toConnect(err)
	}
}

func duplex(ctx context.Context, conn connect.StreamingHandlerConn) *grpc.GenericServerStream[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse] {
	return &grpc.GenericServerStream[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]{
		ServerStream: &serverStream{ctx: incoming(ctx), conn: conn},
	}
}

// incoming returns the context of a call as grpc-go has it.
func incoming(ctx context.Context) context.Context {
	info, ok := connect.CallInfoForHandlerContext(ctx)
	if !ok {
		return ctx
	}
	ctx = metadata.NewIncomingContext(ctx, toMetadata(info.RequestHeader()))
	ctx = peer.NewContext(ctx, &peer.Peer{Addr: address(info.Peer().Addr)})
	return grpc.NewContextWithServerTransportStream(ctx, answer{info})
}

type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// An answer takes the metadata that the service answers with.
type answer struct{ info connect.CallInfo }

func (a answer) Method() string                  { return a.info.Spec().Procedure }
func (a answer) SendHeader(md metadata.MD) error { return a.SetHeader(md) }

func (a answer) SetHeader(md metadata.MD) error {
	addTo(a.info.ResponseHeader(), md)
	return nil
}

func (a answer) SetTrailer(md metadata.MD) error {
	addTo(a.info.ResponseTrailer(), md)
	return nil
}

// A serverStream is a stream of connect-go with those methods of one of grpc-go that the
// service calls.
type serverStream struct {
	grpc.ServerStream // nil

	ctx     context.Context
	conn    connect.StreamingHandlerConn
	one     bool // the response is one message, which the handler returns
	message any
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) RecvMsg(m any) error {
	err := s.conn.Receive(m)
	if errors.Is(err, io.EOF) {
		return io.EOF
	}
	return fromConnect(err)
}

func (s *serverStream) SendMsg(m any) error {
	if s.one {
		s.message = m
		return nil
	}
	return fromConnect(s.conn.Send(m))
}
