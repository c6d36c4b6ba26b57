package engine

import (
	"errors"
	"net"
	"time"
)

// sweepInterval is how often connections are looked for from which nothing has come since the
// last time.
const sweepInterval = time.Second

// aLongTimeAgo is a deadline that ends a wait at once.
var aLongTimeAgo = time.Unix(1, 0)

// errRests says that nothing is to be read, and has not been for a while.
var errRests = errors.New("http2: the connection rests")

// Serve serves a connection, and returns when it has ended.
//
// A worker reads from it. When nothing has come for a while, the worker is free for others, and
// the caller's goroutine waits for more: it has done nothing else, so that its stack has stayed
// small.
func (s *Server) Serve(nc net.Conn, o Options) {
	c := &conn{s: s, nc: nc, Options: o, rested: make(chan bool, 1)}
	s.workers.open(1)
	defer s.workers.open(-1)
	for s.workers.run(c); <-c.rested; s.workers.run(c) {
		c.in.await()
	}
}

// work reads from the connection until it rests or has ended.
func (c *conn) work() {
	s := c.s
	rests, returned, lent := false, false, false
	defer func() {
		if lent {
			return // another worker reads from it
		}
		if !returned {
			s.LogPanic("http", c.remote, recover())
			c.lost()
		}
		s.mu.Lock()
		delete(s.awake, c)
		if !rests {
			delete(s.conns, c)
		}
		s.mu.Unlock()
		c.rested <- rests
	}()
	s.wake(c)
	for {
		if rests, lent = c.serve(); !lent {
			break
		}
		if !c.workAlone() {
			return
		}
	}
	returned = true
}

// add notes that c has said hello. It reports whether it came too late.
func (s *Server) add(c *conn) (closing bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return s.closing
}

// wake notes that a worker reads from c.
func (s *Server) wake(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awake[c] = 1<<64 - 1
	if !s.sweeping {
		s.sweeping = true
		time.AfterFunc(sweepInterval, s.sweep)
	}
}

// sweep is called as long as workers read.
func (s *Server) sweep() {
	s.askIdle()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping = len(s.awake) > 0
	if s.sweeping {
		time.AfterFunc(sweepInterval, s.sweep)
	}
}

// askIdle asks connections to rest that nothing has come from since it was called last.
func (s *Server) askIdle() {
	var idle []*conn
	s.mu.Lock()
	for c, before := range s.awake {
		reads := c.in.reads.Load()
		if reads == before && c.in.direct.Load() {
			idle = append(idle, c)
		}
		s.awake[c] = reads
	}
	s.mu.Unlock()
	for _, c := range idle {
		c.askToRest()
	}
}

// askToRest ends the wait of the worker that reads.
func (c *conn) askToRest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil || c.err == errShutdown {
		c.asked = true
		c.nc.SetReadDeadline(aLongTimeAgo)
	}
}

// askedToRest reports whether it was that which ended a wait.
func (c *conn) askedToRest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.asked || c.err != nil && c.err != errShutdown { // there are other deadlines when it ends by an error
		return false
	}
	c.asked = false
	c.nc.SetReadDeadline(time.Time{})
	return true
}
