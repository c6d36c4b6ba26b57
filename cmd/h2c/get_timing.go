package main

import (
	"context"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// timings is what -json says of times, in milliseconds since the request began. What did
// not happen is nil.
type timings struct {
	Connect   *float64 `json:"connect,omitempty"` // how long; not on a connection in use
	FirstByte *float64 `json:"first_byte,omitempty"`
	Head      *float64 `json:"head,omitempty"`
	Total     *float64 `json:"total,omitempty"`
}

// timing follows a request. A request that is repeated counts with its last attempt.
type timing struct {
	start time.Time

	mu      sync.Mutex
	conn    *tappedConn // nil unless there is a wiretap
	stream  uint32
	connect *float64
	first   *float64
	head    *float64
	total   *float64
}

// trace returns a context in which a request is followed from now on. It calls begun when
// the head of the request is sent, and interim with each 1xx response.
func (t *timing) trace(ctx context.Context, begun func(), interim func(head)) context.Context {
	t.start = time.Now()
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: t.gotConn,
		WroteHeaders: func() {
			begun()
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.conn != nil {
				t.stream = t.conn.stream()
			}
		},
		Got1xxResponse: func(code int, header textproto.MIMEHeader) error {
			interim(head{strconv.Itoa(code) + " " + http.StatusText(code), http.Header(header)})
			return nil
		},
		GotFirstResponseByte: func() { t.set(&t.first, time.Since(t.start)) },
	})
}

func (t *timing) gotConn(info httptrace.GotConnInfo) {
	c := tapped(info.Conn)
	t.mu.Lock()
	t.conn, t.stream, t.connect, t.first = c, 0, nil, nil
	t.mu.Unlock()
	if c != nil && !info.Reused {
		t.set(&t.connect, c.connect)
	}
}

func (t *timing) set(p **float64, d time.Duration) {
	ms := float64(d.Microseconds()) / 1000
	t.mu.Lock()
	defer t.mu.Unlock()
	*p = &ms
}

func (t *timing) gotHead() { t.set(&t.head, time.Since(t.start)) }
func (t *timing) ended()   { t.set(&t.total, time.Since(t.start)) }

func (t *timing) timings() timings {
	t.mu.Lock()
	defer t.mu.Unlock()
	return timings{t.connect, t.first, t.head, t.total}
}

// way says how a response in a version of HTTP came: on what kind of connection, and on
// which stream of it.
func (t *timing) way(major int) (h2c.Via, uint32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case major != 2:
		return h2c.ViaHTTP1, 0
	case t.conn == nil:
		return "", 0
	case t.stream == 0:
		return h2c.ViaUpgrade, 1 // what asked for it was in HTTP/1.1
	}
	return t.conn.via(), t.stream
}
