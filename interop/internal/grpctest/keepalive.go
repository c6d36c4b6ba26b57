package grpctest

import (
	"time"
	_ "unsafe" // for go:linkname
)

// PingAfter is the shortest time after which grpc-go, asked to, pings a peer that is silent.
// By itself it raises shorter ones to 10 seconds for clients and a second for servers; of the
// variables that have these it says that tests may set them lower.
const PingAfter = 50 * time.Millisecond

//go:linkname minClientPing google.golang.org/grpc/internal.KeepaliveMinPingTime
var minClientPing time.Duration

//go:linkname minServerPing google.golang.org/grpc/internal.KeepaliveMinServerPingTime
var minServerPing time.Duration

func init() { minClientPing, minServerPing = PingAfter, PingAfter }
