package engine

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
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

// lends is what a Server keeps of connections that are lent.
type lends struct {
	hot   time.Duration // hotTime
	quick time.Duration // quickHandler
	most  time.Duration // lendTime
	any   bool          // connections that are no sockets are lent, too, for tests
	start time.Time
	last  atomic.Int64 // when a request came alone, in nanoseconds after start

	mu    sync.Mutex
	conns []*conn // that have been lent lately
	timer *time.Timer
}

// A lease says to the handler of which stream a connection is lent, if to any.
type lease struct {
	mu      sync.Mutex
	st      *stream
	since   time.Time
	again   bool // the handler has read from the connection
	watched bool // it is in conns
}

// isAlone reports whether the worker that reads is to run the handler of the stream that was
// opened. It is called when there is nothing in the buffer.
func (c *conn) isAlone() bool {
	if len(c.opening) != 1 || c.in.raw == nil && !c.s.lends.any {
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
	c.lend(st, false) // from here on c may be somebody else's
	defer func() {
		if !returned && c.takeBack(st) {
			c.s.workers.run(c) // the handler has ended the goroutine
		}
	}()
	st.work()
	returned = true
	if !c.takeBack(st) {
		return false
	}
	switch {
	case c.lease.again: // how long it took says little
	case time.Since(c.lease.since) < c.s.lends.quick:
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
	now := time.Since(l.start)
	return now-time.Duration(l.last.Swap(int64(now))) < l.hot
}

// lend notes that the worker that reads is about to run the handler of st, or goes on with that.
func (c *conn) lend(st *stream, again bool) {
	l := &c.lease
	now := time.Now()
	l.mu.Lock()
	l.st, l.since, l.again = st, now, again
	watched := l.watched
	l.watched = true
	l.mu.Unlock()
	if !watched {
		c.s.lends.add(c)
	}
}

// takeBack ends what lend has begun. It reports whether nobody has taken over the connection, which
// may have been lent again since.
func (c *conn) takeBack(st *stream) bool {
	l := &c.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	lent := l.st == st
	if lent {
		l.st = nil
	}
	return lent
}

// takeOver has another worker read from c, if it is lent.
func (c *conn) takeOver() {
	l := &c.lease
	l.mu.Lock()
	lent, again := l.st != nil, l.again
	l.st = nil
	l.mu.Unlock()
	if !lent {
		return
	}
	if !again {
		c.holdBack()
	}
	c.s.workers.run(c)
}

// add has c watched.
func (l *lends) add(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns = append(l.conns, c)
	switch {
	case l.timer == nil:
		l.timer = time.AfterFunc(l.most, l.watch)
	case len(l.conns) == 1:
		l.timer.Reset(l.most)
	}
}

// watch has other workers read from connections that have been lent for too long.
func (l *lends) watch() {
	var late []*conn
	now := time.Now()
	l.mu.Lock()
	l.conns = slices.DeleteFunc(l.conns, func(c *conn) bool {
		c.lease.mu.Lock()
		defer c.lease.mu.Unlock()
		if c.lease.watched = c.lease.st != nil; c.lease.watched && now.Sub(c.lease.since) >= l.most {
			late = append(late, c)
		}
		return !c.lease.watched
	})
	if len(l.conns) > 0 {
		l.timer.Reset(l.most)
	}
	l.mu.Unlock()
	for _, c := range late {
		c.takeOver()
	}
}
