package grpctest

import (
	"context"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// A Record is what the service saw of a call.
type Record struct {
	ID       string
	Remote   string // address of the client
	Metadata metadata.MD
	Deadline time.Time // zero if the call has none

	ended chan struct{}
	err   error
}

// WithID returns a context for a call, which the service keeps a record of.
func WithID(ctx context.Context, id string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, callKey, id)
}

func (s *Service) begin(ctx context.Context, id string, md metadata.MD) *Record {
	r := &Record{ID: id, Metadata: md, ended: make(chan struct{})}
	if p, ok := peer.FromContext(ctx); ok {
		r.Remote = p.Addr.String()
	}
	r.Deadline, _ = ctx.Deadline()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records = append(s.records, r)
	return r
}

func (r *Record) end(err error) {
	r.err = err
	close(r.ended)
}

// Ended returns what is closed when the service is done with the call.
func (r *Record) Ended() <-chan struct{} { return r.ended }

// ContextErr returns why the context of the call had ended, or nil if it had not, when the
// service was done with the call.
func (r *Record) ContextErr() error {
	<-r.ended
	return r.err
}

// Records returns those of the calls that had an ID so far.
func (s *Service) Records() []*Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Record(nil), s.records...)
}
