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

	"github.com/seed78dc1b7f/h2c"
)

// A connect-go client takes an http.Client over a Transport, a connect-go server is a handler.
// Streams in both directions at once need HTTP/2, whatever the protocol.
func Example_connect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l := listen()

	const procedure = grpc_testing.TestService_FullDuplexCall_FullMethodName
	mux := http.NewServeMux()
	mux.Handle(procedure, connect.NewBidiStreamHandler(procedure,
		func(_ context.Context, stream *connect.BidiStream[grpc_testing.SimpleRequest, grpc_testing.SimpleResponse]) error {
			for {
				in, err := stream.Receive()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if err := stream.Send(&grpc_testing.SimpleResponse{Payload: in.GetPayload()}); err != nil {
					return err
				}
			}
		}))
	hs := &http.Server{Handler: mux}
	check(h2c.ConfigureServer(hs, nil))
	go hs.Serve(l)

	tr := &h2c.Transport{Base: new(http.Transport)} // no proxy from the environment
	for _, protocol := range []connect.ClientOption{
		connect.WithGRPC(),
		connect.WithGRPCWeb(),
		connect.WithClientOptions(), // the Connect protocol
	} {
		client := connect.NewClient[grpc_testing.SimpleRequest, grpc_testing.SimpleResponse](
			&http.Client{Transport: tr}, "http://"+l.Addr().String()+procedure, protocol)
		stream := client.CallBidiStream(ctx)
		for _, text := range []string{"first", "second"} {
			check(stream.Send(&grpc_testing.SimpleRequest{Payload: payload(text)}))
			out, err := stream.Receive()
			check(err)
			fmt.Printf("%s: %s\n", stream.Peer().Protocol, out.GetPayload().GetBody())
		}
		check(stream.CloseRequest())
		check(stream.CloseResponse())
	}
	fmt.Println("connections upgraded:", tr.Stats().Upgraded)

	check(tr.Close())
	check(hs.Shutdown(ctx))
	// Output:
	// grpc: first
	// grpc: second
	// grpcweb: first
	// grpcweb: second
	// connect: first
	// connect: second
	// connections upgraded: 1
}
