package h2c

import (
	"net/http"
	"strings"
)

// GRPC returns a handler that passes gRPC requests to grpc, such as a *grpc.Server, and all
// others to other. By it gRPC and REST share a port in whatever version of HTTP they come:
//
//	hs := &http.Server{Handler: h2c.GRPC(grpcServer, mux)}
//	h2c.ConfigureServer(hs, nil)
//
// A gRPC request is one of HTTP/2 whose Content-Type is application/grpc, alone or with a
// subtype such as application/grpc+proto
// (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md). Those of gRPC-Web
// (application/grpc-web) and of the Connect protocol are not, and go to other.
//
// Through a handler, grpc-go serves requests by http.Server, without its own transport: no
// keepalive, no limit on the age of connections, no statistics, no GracefulStop. Where these or
// speed matter, and gRPC does not come through middleware, give grpc-go a listener of
// [Server.Split].
// If other is nil, it is [http.DefaultServeMux].
func GRPC(grpc, other http.Handler) http.Handler {
	if other == nil {
		other = http.DefaultServeMux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isGRPC(r) {
			grpc.ServeHTTP(w, r)
		} else {
			other.ServeHTTP(w, r)
		}
	})
}

func isGRPC(r *http.Request) bool {
	const name = "application/grpc"
	value := r.Header.Get("Content-Type")
	if r.ProtoMajor != 2 || len(value) < len(name) || !strings.EqualFold(value[:len(name)], name) {
		return false
	}
	rest := strings.TrimLeft(value[len(name):], " \t")
	return rest == "" || rest[0] == '+' || rest[0] == ';'
}
