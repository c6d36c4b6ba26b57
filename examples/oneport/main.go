// Command oneport serves gRPC, the gRPC health service and REST on one cleartext port.
//
//	go run ./examples/oneport
//	curl http://127.0.0.1:8080/hello
//	grpcurl -plaintext 127.0.0.1:8080 grpc.health.v1.Health/Check
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	"github.com/seed78dc1b7f/h2c"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "where to listen")
	flag.Parse()
	l, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	log.Print("serving on ", l.Addr())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, l); err != nil {
		log.Fatal(err)
	}
}

// serve serves l until ctx ends, and then lets calls in progress finish.
func serve(ctx context.Context, l net.Listener) error {
	gs := grpc.NewServer(grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: time.Hour}))
	hc := health.NewServer()
	grpc_health_v1.RegisterHealthServer(gs, hc)
	reflection.Register(gs)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello over", r.Proto)
	})
	hs := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}

	s := &h2c.Server{DisableUpgrade: true} // REST clients that offer it stay with REST
	http2, http1 := s.Split(l)
	served := make(chan error, 2)
	go func() { served <- gs.Serve(http2) }()
	go func() { served <- hs.Serve(http1) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
	}

	hc.Shutdown() // health is NOT_SERVING from now on
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, gs.Stop)() // GracefulStop has no bound
	err = errors.Join(err, hs.Shutdown(ctx))
	gs.GracefulStop()
	return errors.Join(err, s.Shutdown(ctx))
}
