package examples_test

import (
	"context"
	"net/http"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// gRPC, health and REST on one port, by Split: HTTP/2 connections go to grpc-go, which serves
// them itself, and HTTP/1.1 connections to an http.Server. REST over HTTP/2 is for h2c.GRPC.
func Example_split() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	l := listen()

	// REST clients that offer to upgrade, such as Java's HttpClient, stay with REST. On a port
	// for gRPC alone, leave upgrades on.
	s := &h2c.Server{DisableUpgrade: true}
	http2, http1 := s.Split(l)

	gs := newGRPC()
	go gs.Serve(http2)
	hs := &http.Server{Handler: http.HandlerFunc(rest)}
	go hs.Serve(http1)

	callAll(ctx, l.Addr().String())

	// Each server drains its own connections, and s what neither of them has accepted.
	check(hs.Shutdown(ctx))
	gs.GracefulStop()
	check(s.Shutdown(ctx))
	// Output:
	// gRPC: hello
	// health: SERVING
	// REST: GET over HTTP/1.1
}
