package h2c

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
)

// An origin is what a Transport knows of one host and port.
type origin struct {
	t    *Transport
	addr string // host:port

	users atomic.Int64 // requests that have it

	mu           sync.Mutex
	protocol     protocol
	refusedUntil time.Time
	refusals     int
	conns        []*clientConn
	negotiation  *turn // in progress, or nil
}

// protocol is what an origin is known to take besides HTTP/1.1.
type protocol int

const (
	unknown protocol = iota
	priorKnowledge
)

// dialAddr returns what net/http dials for a URL.
func dialAddr(u *url.URL) string {
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "80")
	}
	if ascii, err := httpguts.PunycodeHostPort(addr); err == nil {
		addr = ascii
	}
	return addr
}

// origin returns the origin of u, for a request to use.
func (t *Transport) origin(u *url.URL) *origin {
	addr := strings.ToLower(dialAddr(u))
	t.mu.Lock()
	defer t.mu.Unlock()
	o, ok := t.origins[addr]
	if !ok {
		if len(t.origins) >= t.sweepAt {
			t.sweep()
		}
		o = &origin{t: t, addr: addr}
		t.origins[addr] = o
	}
	o.users.Add(1)
	return o
}

// sweep forgets origins of which there is nothing to know, when there are twice as many as
// were left the last time.
func (t *Transport) sweep() {
	for addr, o := range t.origins {
		o.mu.Lock()
		if o.users.Load() == 0 && len(o.conns) == 0 && o.protocol == unknown && time.Now().After(o.refusedUntil) {
			delete(t.origins, addr)
		}
		o.mu.Unlock()
	}
	t.sweepAt = max(minSweep, 2*len(t.origins))
}

const minSweep = 1024

// takeConns takes connections out of the pool: those without a request in progress, or all.
func (t *Transport) takeConns(idle bool) []*clientConn {
	t.mu.Lock()
	defer t.mu.Unlock()
	var taken []*clientConn
	for _, o := range t.origins {
		o.mu.Lock()
		var left []*clientConn
		for _, c := range o.conns {
			if idle && c.requests > 0 {
				left = append(left, c)
			} else {
				taken = append(taken, c)
			}
		}
		o.conns = left
		o.mu.Unlock()
	}
	return taken
}

// A turn is a request's turn to find out what an origin speaks, while others wait.
type turn struct {
	o    *origin
	done chan struct{} // closed when it ends
	made chan struct{} // closed when there is a connection for others, too
	once sync.Once
	err  error       // what the others would get, too
	slow atomic.Bool // others have waited long enough
}

// fail notes that a connection could not be made, or that the server does not speak HTTP/2
// where nothing else is spoken. Those who wait need not try one after the other; but that the
// request of this turn was given up is not their matter.
func (t *turn) fail(req *http.Request, err error) {
	if req.Context().Err() != nil {
		return
	}
	var failed *HandshakeError
	if !isDial(err) && (t.o.t.Mode != ModePriorKnowledge || !errors.As(err, &failed)) {
		return
	}
	t.o.mu.Lock()
	defer t.o.mu.Unlock()
	if t.o.negotiation == t {
		t.err = err
	}
}

func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// end lets the others go on.
func (t *turn) end() {
	t.once.Do(func() {
		t.o.mu.Lock()
		t.o.negotiation = nil
		t.o.mu.Unlock()
		close(t.done)
	})
}

var errCanceled = errors.New("h2c: request canceled")

// turn returns a connection on which the request is counted; or the turn to negotiate one; or
// neither, when the request is to go over HTTP/1.1.
func (t *Transport) turn(o *origin, req *http.Request) (*clientConn, *turn, error) {
	var expired <-chan time.Time
	for refusals := -1; ; {
		c, turn, wait := o.next(t.Mode, &refusals)
		if wait == nil {
			return c, turn, nil
		}
		if expired == nil && t.Mode != ModePriorKnowledge && t.handshakeTimeout() > 0 {
			timer := time.NewTimer(t.handshakeTimeout())
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case <-wait.done:
			if wait.err != nil {
				return nil, nil, wait.err
			}
		case <-expired:
			wait.slow.Store(true)
			if t.mayHTTP1(o) {
				return nil, nil, nil
			}
		case <-req.Cancel: //lint:ignore SA1019 net/http honours it
			return nil, nil, errCanceled
		case <-req.Context().Done():
			return nil, nil, context.Cause(req.Context())
		}
	}
}

// next returns what turn does, or what to wait for. Who has waited for an offer that was
// declined, as *refusals tells, does not make another.
func (o *origin) next(mode Mode, refusals *int) (c *clientConn, mine, others *turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.conns {
		if c.requests < c.limit() {
			c.requests++
			return c, nil, nil
		}
		if c.requests == 0 {
			go c.review() // closing runs the hook, which takes the lock
		}
	}
	waited := *refusals >= 0 && o.refusals > *refusals
	if mode != ModePriorKnowledge && (waited || time.Now().Before(o.refusedUntil)) {
		return nil, nil, nil
	}
	*refusals = o.refusals
	if o.negotiation != nil {
		if o.negotiation.slow.Load() && mode != ModePriorKnowledge && o.protocol != priorKnowledge {
			return nil, nil, nil
		}
		return nil, nil, o.negotiation
	}
	o.negotiation = &turn{o: o, done: make(chan struct{}), made: make(chan struct{})}
	return nil, o.negotiation, nil
}

func (o *origin) speaks() protocol {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.protocol
}

// prefer notes what the origin takes.
func (o *origin) prefer(p protocol) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.protocol = p
	o.refusedUntil = time.Time{}
}

// refuse notes that the origin declined an offer.
func (o *origin) refuse() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.refusedUntil = time.Now().Add(o.t.refusalTTL())
	o.refusals++
}

// add puts a connection into the pool.
func (o *origin) add(c *clientConn) {
	o.mu.Lock()
	o.conns = append(o.conns, c)
	o.mu.Unlock()
	c.cc.SetStateHook(func(*http.ClientConn) { c.review() })
}

// remove takes a connection out of the pool, under the lock.
func (o *origin) remove(c *clientConn) {
	for i, other := range o.conns {
		if other == c {
			o.conns = append(o.conns[:i:i], o.conns[i+1:]...)
			return
		}
	}
}
