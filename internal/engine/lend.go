package engine

import (
	"errors"
	"sync"
	"time"
)

// To wake a worker for one request costs more than many a handler does. So when requests come one at
// a time and often, or with a body, the worker that reads from a connection runs the handler itself,
// and lends the connection meanwhile: another worker reads from it when the handler has to wait for the
// client, unless for its body, or takes longer than lendTime.

const (
	lendTime     = time.Millisecond       // and up to twice as long
	hotTime      = time.Millisecond       // between two requests that came alone, of a Server
	quickHandler = 100 * time.Microsecond // with its write
	// How many requests workers are woken for after a handler that was not quick, and did not read a
	// body: minHold, twice as many as before when that happens again, and half as many after one that
	// was.
	minHold = 4
	maxHold = 1024
)

// errAlone says that a request has come alone, and is in conn.alone.
var errAlone = errors.New("http2: a request has come alone")

// lends are the connections whose worker runs a handler.
type lends struct {
	mu       sync.Mutex
	conns    map[*conn]lent
	hot      time.Duration // hotTime
	quick    time.Duration // quickHandler
	most     time.Duration // lendTime
	last     time.Time     // when a request came alone
	busy     bool          // a connection was lent since the last look
	watching bool          // a timer is set
	timer    *time.Timer
}

// A lent says for which stream a connection is lent, and since when.
type lent struct {
	st    *stream
	since time.Time
	again bool // its handler has read from the connection
}

// isAlone reports whether the worker that reads is to run the handler of the stream that was
// opened. It is called when there is nothing in the buffer.
func (c *conn) isAlone() bool {
	if len(c.opening) != 1 || c.in.raw == nil {
		return false
	}
	if c.hold > 0 {
		c.hold--
		return false
	}
	st := c.opening[0]
	c.mu.Lock()
	alone, ended := c.running == 1, st.remoteEnded
	c.mu.Unlock()
	if !alone || ended && !c.s.lends.isHot() {
		return false
	}
	if !ended {
		st.body.lent = true
	}
	c.alone, c.opening[0], c.opening = st, nil, c.opening[:0]
	return true
}

// workAlone runs the handler of the stream that has come alone. It reports whether the connection is
// still the caller's.
func (c *conn) workAlone() bool {
	st := c.alone
	c.alone = nil
	returned := false
	c.s.lend(st, false) // from here on c may be somebody else's
	defer func() {
		if returned {
			return
		}
		if _, ok := c.s.takeBack(st); ok {
			c.s.workers.run(c) // the handler has ended the goroutine
		}
	}()
	st.work()
	returned = true
	was, ok := c.s.takeBack(st)
	switch {
	case !ok:
		return false
	case was.again: // how long it took says little
	case time.Since(was.since) < c.s.lends.quick:
		c.nextHold = max(c.nextHold/2, minHold)
	default:
		c.holdBack()
	}
	return true
}

// holdBack has workers woken for requests, for a while.
func (c *conn) holdBack() {
	c.nextHold = max(c.nextHold, minHold)
	c.hold = c.nextHold
	c.nextHold = min(2*c.nextHold, maxHold)
}

// isHot notes that a request has come alone. It reports whether that is often so: otherwise it would
// cost more to watch than it gains.
func (l *lends) isHot() bool {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	hot := now.Sub(l.last) < l.hot
	l.last = now
	return hot
}

// lend has the connection of st watched, whose worker is about to run the handler, or does again.
func (s *Server) lend(st *stream, again bool) {
	now := time.Now()
	l := &s.lends
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns == nil {
		l.conns = make(map[*conn]lent)
	}
	l.conns[st.c] = lent{st, now, again}
	l.busy = true
	if !l.watching {
		l.watching = true
		if l.timer == nil {
			l.timer = time.AfterFunc(l.most, s.watch)
		} else {
			l.timer.Reset(l.most)
		}
	}
}

// takeBack ends what lend has begun. It reports whether nobody has taken over the connection, which
// may have been lent again since.
func (s *Server) takeBack(st *stream) (was lent, ok bool) {
	l := &s.lends
	l.mu.Lock()
	defer l.mu.Unlock()
	was = l.conns[st.c]
	if was.st != st {
		return lent{}, false
	}
	delete(l.conns, st.c)
	return was, true
}

// takeOver has another worker read from c, if it is lent.
func (s *Server) takeOver(c *conn) {
	l := &s.lends
	l.mu.Lock()
	was, ok := l.conns[c]
	delete(l.conns, c)
	l.mu.Unlock()
	if !ok {
		return
	}
	if !was.again {
		c.holdBack()
	}
	s.workers.run(c)
}

// watch has other workers read from connections that have been lent for too long.
func (s *Server) watch() {
	var late []*conn
	now := time.Now()
	l := &s.lends
	l.mu.Lock()
	for c, lent := range l.conns {
		if now.Sub(lent.since) >= l.most {
			late = append(late, c)
		}
	}
	l.watching = l.busy || len(l.conns) > 0
	l.busy = false
	if l.watching {
		l.timer.Reset(l.most)
	}
	l.mu.Unlock()
	for _, c := range late {
		s.takeOver(c)
	}
}
