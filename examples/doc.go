// Package examples has gRPC, with grpc-go and connect-go, over the cleartext connections of
// package h2c. The examples are its tests. Command oneport is the first of them as a server.
//
// They share the service and the calls of shared_test.go. Messages and services are those that
// grpc-go brings along, so that nothing has to be generated.
package examples
