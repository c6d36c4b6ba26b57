// Package grpctest is a gRPC service and calls of it, for the matrix and for benchmarks.
package grpctest

import (
	_ "connectrpc.com/connect"
	_ "google.golang.org/grpc"
	_ "google.golang.org/grpc/interop/grpc_testing"
	_ "google.golang.org/protobuf/proto"
)
