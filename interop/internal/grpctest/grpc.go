package grpctest

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/interop/grpc_testing"
)

// maxMessage bounds a message. What grpc-go has for a default is less than 4 MiB of payload.
const maxMessage = 16 << 20

// NewServer returns a server of grpc-go with the service. It serves a listener by itself, or
// requests as an http.Handler.
func NewServer(s *Service, options ...grpc.ServerOption) *grpc.Server {
	gs := grpc.NewServer(append([]grpc.ServerOption{grpc.MaxRecvMsgSize(maxMessage)}, options...)...)
	grpc_testing.RegisterTestServiceServer(gs, s)
	return gs
}

// Dial returns a client of grpc-go for the server at an address. It connects with the first
// call.
func Dial(addr string, dial func(context.Context, string) (net.Conn, error), options ...grpc.DialOption) (*grpc.ClientConn, error) {
	return grpc.NewClient("passthrough:///"+addr, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(dial),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessage)),
	}, options...)...)
}
