package examples_test

import (
	"context"
	"net/http"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// The same by GRPC: one http.Server for all, with REST in whatever version of HTTP it comes, and
// middleware around gRPC. Where grpc-go's own keepalive, limits on the age of connections,
// statistics or speed matter, use Split.
func Example_handler() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l := listen()

	gs := newGRPC()
	hs := &http.Server{Handler: h2c.GRPC(gs, http.HandlerFunc(rest))}
	check(h2c.ConfigureServer(hs, nil))
	go hs.Serve(l)

	callAll(ctx, l.Addr().String())

	// The connections are those of hs, so hs drains them. GracefulStop breaks calls off here.
	check(hs.Shutdown(ctx))
	gs.Stop()
	// Output:
	// gRPC: hello
	// health: SERVING
	// REST: GET over HTTP/2.0
}
