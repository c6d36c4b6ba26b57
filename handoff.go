package h2c

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

// A handoff gives one connection to an http.Server, as a listener that yields it and then
// waits until the server's HTTP/2 engine has taken it over. Until then Shutdown closes the
// listener, and the connection is refused; from then on Shutdown finds the connection
// among the engine's, and drains it.
type handoff struct {
	s      *Server
	via    Via
	base   context.Context // what BaseContext returns for it
	remote string
	front  *http.Server // see engine
	conn   *splice.Conn

	opened time.Time // zero until the client hears of it

	mu       sync.Mutex
	accepted bool
	state    handoffState
	settled  chan struct{} // closed when state is not handoffWaiting
}

type handoffState int

const (
	handoffWaiting handoffState = iota
	handoffTaken
	handoffRefused
)

// handOver hands nc over to e, to which it was announced. It returns when e has taken or refused it.
func (s *Server) handOver(e announced, remote string, nc net.Conn, via Via, cfg splice.Config) {
	h := &handoff{
		s:       s,
		via:     via,
		remote:  remote,
		front:   e.front,
		settled: make(chan struct{}),
	}
	if e.split == nil {
		h.base = context.WithValue(e.base, handoffKey{}, h)
	}
	cfg.Take, cfg.Open, cfg.Closed = h.take, h.open, h.closed
	h.conn = splice.New(nc, cfg)

	defer h.conn.Refuse() // unless it was taken
	switch {
	case e.split != nil:
		e.split.handOver(h)
	case e.direct != nil:
		e.direct.serve(e.anchor, h)
	default:
		e.server.Serve(h) // always fails, since there is one connection only
	}
}

func (h *handoff) Accept() (net.Conn, error) {
	h.mu.Lock()
	first := !h.accepted && h.state == handoffWaiting
	h.accepted = true
	h.mu.Unlock()
	if first {
		return h.conn, nil
	}
	<-h.settled
	return nil, net.ErrClosed
}

// Addr returns the address on which the connection came in.
func (h *handoff) Addr() net.Addr { return h.conn.LocalAddr() }

// Close refuses the connection, unless it has been taken over.
func (h *handoff) Close() error {
	h.settle(handoffRefused)
	return nil
}

// settle ends the wait, if it has not ended, and returns how it ended.
func (h *handoff) settle(s handoffState) handoffState {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == handoffWaiting {
		h.state = s
		close(h.settled)
	}
	return h.state
}

// waiting reports whether nobody has taken or refused the connection yet.
func (h *handoff) waiting() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.state == handoffWaiting
}

// take reports whether the engine, which has the connection now, may keep it.
func (h *handoff) take() bool { return h.settle(handoffTaken) == handoffTaken }

// open is called when the client is about to hear that it speaks HTTP/2.
func (h *handoff) open() {
	h.opened = time.Now()
	h.s.negotiated(Negotiation{Via: h.via, RemoteAddr: h.remote})
}

// closed is called when the connection is closed, with what broke the handshake, or nil.
func (h *handoff) closed(err error) {
	defer runtime.KeepAlive(h.front)
	h.Close() // in case that nobody took it
	if h.opened.IsZero() && h.via == ViaPriorKnowledge && err == nil {
		h.open() // it has left before the engine wrote
	}
	if h.opened.IsZero() {
		h.s.negotiated(Negotiation{
			Via: h.via, Reason: ReasonShutdown, Err: err,
			RemoteAddr: h.remote,
		})
		return
	}
	info := ConnInfo{
		Via: h.via, Reason: prefaceReason(err), Err: err,
		RemoteAddr: h.remote,
		Duration:   time.Since(h.opened),
	}
	info.BytesRead, info.BytesWritten = h.conn.Transferred()
	h.s.closed(info)
}

// prefaceReason tells in which way the client failed to send its preface.
func prefaceReason(err error) Reason {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, splice.ErrPrefaceTimeout):
		return ReasonPrefaceTimeout
	case errors.Is(err, splice.ErrPrefaceMissing):
		return ReasonPrefaceMissing
	}
	return ReasonPrefaceInvalid
}
