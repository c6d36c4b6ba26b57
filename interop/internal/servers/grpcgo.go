//go:build unix

package servers

import (
	"errors"
	"net"
	"net/http"

	"google.golang.org/grpc"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// grpcGo is the server of grpc-go, which answers all that is not gRPC by 415.
var grpcGo = &Server{
	Name:   "grpc-go",
	Peer:   &peer.Peer{Name: "grpc-go", Says: func() string { return grpc.Version }},
	Speaks: OnlyHTTP2,
	Only:   http.StatusUnsupportedMediaType,
	Cannot: onlyGRPC("HEAD", "POST", "POST 1 MiB", "chunked", "Expect", "16 MiB", "trailers", "early hints",
		"events", "cancel", "cancel in handler", "shutdown"),
	start: startGRPC,
}

func onlyGRPC(cases ...string) map[string]string {
	cannot := make(map[string]string)
	for _, name := range cases {
		cannot[name] = "it serves gRPC only; see that table"
	}
	return cannot
}

func startGRPC(string) (*Instance, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := grpc.NewServer()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return &Instance{
		URL:       "http://" + l.Addr().String(),
		terminate: func() { go s.GracefulStop() },
		stop: func() error {
			s.Stop()
			if err := <-served; !errors.Is(err, grpc.ErrServerStopped) {
				return err
			}
			return nil
		},
		log: new(peer.Log),
	}, nil
}
