package grpctest

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc/stats"
)

// Counts are what a server of grpc-go tells of its connections and calls, for
// [google.golang.org/grpc.StatsHandler].
type Counts struct {
	connections, ended, calls atomic.Int64
}

// Connections returns how many there were, but for those through ServeHTTP.
func (c *Counts) Connections() int64 { return c.connections.Load() }

// Open returns how many of these there are now.
func (c *Counts) Open() int64 { return c.connections.Load() - c.ended.Load() }

// Calls returns how many calls have begun.
func (c *Counts) Calls() int64 { return c.calls.Load() }

// TagRPC implements [stats.Handler].
func (c *Counts) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context { return ctx }

// TagConn implements [stats.Handler].
func (c *Counts) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleRPC implements [stats.Handler].
func (c *Counts) HandleRPC(_ context.Context, s stats.RPCStats) {
	if _, ok := s.(*stats.Begin); ok {
		c.calls.Add(1)
	}
}

// HandleConn implements [stats.Handler].
func (c *Counts) HandleConn(_ context.Context, s stats.ConnStats) {
	switch s.(type) {
	case *stats.ConnBegin:
		c.connections.Add(1)
	case *stats.ConnEnd:
		c.ended.Add(1)
	}
}
