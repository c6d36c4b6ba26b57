package grpctest

import (
	"context"
	"errors"
	"io"

	"connectrpc.com/connect"
	"google.golang.org/grpc"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
)

type connectClient struct {
	grpc_testing.TestServiceClient // nil: the calls that are not below are not made

	empty  *connect.Client[grpc_testing.Empty, grpc_testing.Empty]
	unary  *connect.Client[grpc_testing.SimpleRequest, grpc_testing.SimpleResponse]
	input  *connect.Client[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse]
	output *connect.Client[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]
	duplex *connect.Client[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]
}

// NewConnectClient returns a client of connect-go that looks like one of grpc-go: it takes
// metadata from the context, and its errors are those of package status.
func NewConnectClient(hc connect.HTTPClient, url string, options ...connect.ClientOption) grpc_testing.TestServiceClient {
	return &connectClient{
		empty:  connect.NewClient[grpc_testing.Empty, grpc_testing.Empty](hc, url+emptyCall, options...),
		unary:  connect.NewClient[grpc_testing.SimpleRequest, grpc_testing.SimpleResponse](hc, url+unaryCall, options...),
		input:  connect.NewClient[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse](hc, url+inputCall, options...),
		output: connect.NewClient[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse](hc, url+outputCall, options...),
		duplex: connect.NewClient[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse](hc, url+duplexCall, options...),
	}
}

func (c *connectClient) EmptyCall(ctx context.Context, in *grpc_testing.Empty, options ...grpc.CallOption) (*grpc_testing.Empty, error) {
	return callUnary(ctx, c.empty, in, options)
}

func (c *connectClient) UnaryCall(ctx context.Context, in *grpc_testing.SimpleRequest, options ...grpc.CallOption) (*grpc_testing.SimpleResponse, error) {
	return callUnary(ctx, c.unary, in, options)
}

func (c *connectClient) StreamingInputCall(ctx context.Context, _ ...grpc.CallOption) (grpc.ClientStreamingClient[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse], error) {
	conn, err := c.input.CallClientStream(ctx).Conn()
	if err != nil {
		return nil, fromConnect(err)
	}
	s := newConnectStream(ctx, conn)
	s.one = true
	return &grpc.GenericClientStream[grpc_testing.StreamingInputCallRequest, grpc_testing.StreamingInputCallResponse]{ClientStream: s}, nil
}

func (c *connectClient) StreamingOutputCall(ctx context.Context, in *grpc_testing.StreamingOutputCallRequest, _ ...grpc.CallOption) (grpc.ServerStreamingClient[grpc_testing.StreamingOutputCallResponse], error) {
	req := connect.NewRequest(in)
	addTo(req.Header(), outgoing(ctx))
	stream, err := c.output.CallServerStream(ctx, req)
	if err != nil {
		return nil, fromConnect(err)
	}
	conn, err := stream.Conn()
	if err != nil {
		return nil, fromConnect(err)
	}
	return &grpc.GenericClientStream[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]{
		ClientStream: &connectStream{ctx: ctx, conn: conn},
	}, nil
}

func (c *connectClient) FullDuplexCall(ctx context.Context, _ ...grpc.CallOption) (grpc.BidiStreamingClient[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse], error) {
	conn, err := c.duplex.CallBidiStream(ctx).Conn()
	if err != nil {
		return nil, fromConnect(err)
	}
	return &grpc.GenericClientStream[grpc_testing.StreamingOutputCallRequest, grpc_testing.StreamingOutputCallResponse]{
		ClientStream: newConnectStream(ctx, conn),
	}, nil
}

// outgoing returns the metadata that a call with the context has.
func outgoing(ctx context.Context) metadata.MD {
	md, _ := metadata.FromOutgoingContext(ctx)
	return md
}

func callUnary[Req, Res any](ctx context.Context, c *connect.Client[Req, Res], in *Req, options []grpc.CallOption) (*Res, error) {
	req := connect.NewRequest(in)
	addTo(req.Header(), outgoing(ctx))
	res, err := c.CallUnary(ctx, req)
	if err != nil {
		return nil, fromConnect(err)
	}
	for _, o := range options {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = toMetadata(res.Header())
		case grpc.TrailerCallOption:
			*o.TrailerAddr = toMetadata(res.Trailer())
		}
	}
	return res.Msg, nil
}

// A connectStream is a stream of connect-go with the methods of one of grpc-go.
type connectStream struct {
	ctx  context.Context
	conn connect.StreamingClientConn
	one  bool // the response is one message
}

func newConnectStream(ctx context.Context, conn connect.StreamingClientConn) *connectStream {
	addTo(conn.RequestHeader(), outgoing(ctx))
	return &connectStream{ctx: ctx, conn: conn}
}

func (s *connectStream) Header() (metadata.MD, error) {
	return toMetadata(s.conn.ResponseHeader()), nil
}

func (s *connectStream) Trailer() metadata.MD     { return toMetadata(s.conn.ResponseTrailer()) }
func (s *connectStream) CloseSend() error         { return fromConnect(s.conn.CloseRequest()) }
func (s *connectStream) Context() context.Context { return s.ctx }

func (s *connectStream) SendMsg(m any) error {
	err := s.conn.Send(m)
	if errors.Is(err, io.EOF) {
		return io.EOF // Receive tells why
	}
	return fromConnect(err)
}

func (s *connectStream) RecvMsg(m any) error {
	err := s.conn.Receive(m)
	if err == nil && !s.one {
		return nil
	}
	if err == nil {
		if err = s.conn.Receive(new(grpc_testing.Empty)); err == nil {
			err = connect.NewError(connect.CodeInternal, errors.New("more than one message"))
		}
		if errors.Is(err, io.EOF) {
			return fromConnect(s.conn.CloseResponse())
		}
	}
	closed := s.conn.CloseResponse()
	if errors.Is(err, io.EOF) && closed == nil {
		return io.EOF
	}
	return fromConnect(errors.Join(err, closed))
}
