package examples_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/seed78dc1b7f/h2c"
)

// A grpc-go client needs nothing of this package: it speaks HTTP/2 by prior knowledge, and
// ConfigureServer and NewHandler take that. The service may be of any library that is a
// handler, here connect-go.
func Example_grpcClient() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l := listen()

	const procedure = grpc_testing.TestService_StreamingOutputCall_FullMethodName
	hs := &http.Server{Handler: connect.NewServerStreamHandler(procedure,
		func(_ context.Context, _ *connect.Request[grpc_testing.StreamingOutputCallRequest], stream *connect.ServerStream[grpc_testing.StreamingOutputCallResponse]) error {
			for _, text := range []string{"first", "second"} {
				if err := stream.Send(&grpc_testing.StreamingOutputCallResponse{Payload: payload(text)}); err != nil {
					return err
				}
			}
			return connect.NewError(connect.CodeOutOfRange, errors.New("there is no third"))
		})}
	s := new(h2c.Server)
	check(h2c.ConfigureServer(hs, s))
	go hs.Serve(l)

	cc := dial(l.Addr().String())
	stream, err := grpc_testing.NewTestServiceClient(cc).StreamingOutputCall(ctx, new(grpc_testing.StreamingOutputCallRequest))
	check(err)
	for {
		out, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Printf("%v: %s\n", status.Code(err), status.Convert(err).Message())
			break
		}
		fmt.Printf("%s\n", out.GetPayload().GetBody())
	}
	fmt.Println("connections by prior knowledge:", s.Stats().PriorKnowledge)

	check(cc.Close())
	check(hs.Shutdown(ctx))
	// Output:
	// first
	// second
	// OutOfRange: there is no third
	// connections by prior knowledge: 1
}
