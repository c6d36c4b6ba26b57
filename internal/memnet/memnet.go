// Package memnet is a network in memory for tests: connections with deadlines, latency and
// faults, whose waiting testing/synctest understands.
package memnet

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// bufferSize is how much one end may write before the other reads.
const bufferSize = 256 << 10

// ErrFault is what a Read or Write returns that was told to fail.
var ErrFault = errors.New("memnet: fault")

// Options say how both ends of a connection behave.
type Options struct {
	Latency time.Duration // of each direction
	MaxRead int           // octets that one Read returns at the most; zero: no limit

	// FailRead and FailWrite make the Nth Read or Write of the accepting end fail, counted
	// from 1, and every later one. Zero: none.
	FailRead, FailWrite int
}

// A Listener hands out connections made by Dial.
type Listener struct {
	options Options
	conns   chan net.Conn
	closed  chan struct{}
	once    sync.Once
	dialed  atomic.Int64
}

// Listen returns a Listener.
func Listen(o Options) *Listener {
	return &Listener{options: o, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Dial connects to l.
func (l *Listener) Dial() (net.Conn, error) {
	client, server := Pipe(l.options, int(l.dialed.Add(1)))
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return addr("server") }

type addr string

func (addr) Network() string  { return "memnet" }
func (a addr) String() string { return string(a) }

// Pipe returns the two ends of connection number n.
func Pipe(o Options, n int) (client, server *Conn) {
	up, down := newStream(o.Latency), newStream(o.Latency)
	name := addr(fmt.Sprintf("client-%d", n))
	client = &Conn{in: down, out: up, local: name, remote: addr("server"), maxRead: o.MaxRead}
	server = &Conn{in: up, out: down, local: addr("server"), remote: name, maxRead: o.MaxRead,
		failRead: int64(o.FailRead), failWrite: int64(o.FailWrite)}
	return client, server
}

// A Conn is one end of a connection.
type Conn struct {
	in, out             *stream
	local, remote       net.Addr
	maxRead             int
	failRead, failWrite int64
	reads, writes       atomic.Int64
}

// Calls returns how often Read and Write were called.
func (c *Conn) Calls() (reads, writes int) { return int(c.reads.Load()), int(c.writes.Load()) }

// Read implements [net.Conn].
func (c *Conn) Read(p []byte) (int, error) {
	if n := c.reads.Add(1); c.failRead > 0 && n >= c.failRead {
		return 0, ErrFault
	}
	if c.maxRead > 0 && len(p) > c.maxRead {
		p = p[:c.maxRead]
	}
	return c.in.read(p)
}

// Write implements [net.Conn].
func (c *Conn) Write(p []byte) (int, error) {
	if n := c.writes.Add(1); c.failWrite > 0 && n >= c.failWrite {
		return 0, ErrFault
	}
	return c.out.write(p)
}

// Close implements [net.Conn].
func (c *Conn) Close() error {
	c.out.closeWrite()
	return c.in.closeRead()
}

// CloseWrite ends what the other end reads.
func (c *Conn) CloseWrite() error {
	c.out.closeWrite()
	return nil
}

// LocalAddr implements [net.Conn].
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements [net.Conn].
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements [net.Conn].
func (c *Conn) SetDeadline(t time.Time) error {
	c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements [net.Conn].
func (c *Conn) SetReadDeadline(t time.Time) error { return c.in.readDeadline.set(c.in, t) }

// SetWriteDeadline implements [net.Conn].
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.out.writeDeadline.set(c.out, t) }

// A stream is one direction of a connection.
type stream struct {
	latency time.Duration

	mu                          sync.Mutex
	cond                        sync.Cond
	chunks                      []chunk
	buffered                    int
	writeClosed, readClosed     bool
	eofAt                       time.Time
	readDeadline, writeDeadline deadline
}

type chunk struct {
	at time.Time // when it arrives
	b  []byte
}

func newStream(latency time.Duration) *stream {
	s := &stream{latency: latency}
	s.cond.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case s.readClosed:
			return 0, net.ErrClosed
		case s.readDeadline.expired:
			return 0, os.ErrDeadlineExceeded
		case len(s.chunks) > 0 && !s.chunks[0].at.After(now):
			n := copy(p, s.chunks[0].b)
			if s.chunks[0].b = s.chunks[0].b[n:]; len(s.chunks[0].b) == 0 {
				s.chunks = s.chunks[1:]
			}
			s.buffered -= n
			s.cond.Broadcast()
			return n, nil
		case len(s.chunks) == 0 && s.writeClosed && !s.eofAt.After(now):
			return 0, io.EOF
		}
		s.cond.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.writeClosed:
			return n, net.ErrClosed
		case s.readClosed:
			return n, io.ErrClosedPipe
		case s.writeDeadline.expired:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		case s.buffered < bufferSize:
			m := min(len(p), bufferSize-s.buffered)
			s.chunks = append(s.chunks, chunk{time.Now().Add(s.latency), append([]byte(nil), p[:m]...)})
			s.buffered += m
			n, p = n+m, p[m:]
			s.wake(s.latency)
			continue
		}
		s.cond.Wait()
	}
}

// wake wakes who waits, after d.
func (s *stream) wake(d time.Duration) {
	if d == 0 {
		s.cond.Broadcast()
		return
	}
	time.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cond.Broadcast()
	})
}

func (s *stream) closeWrite() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.writeClosed {
		s.writeClosed = true
		s.eofAt = time.Now().Add(s.latency)
		s.cond.Broadcast()
		s.wake(s.latency)
	}
	s.writeDeadline.stop()
}

func (s *stream) closeRead() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.readClosed {
		return net.ErrClosed
	}
	s.readClosed = true
	s.readDeadline.stop()
	s.cond.Broadcast()
	return nil
}

type deadline struct {
	expired bool
	timer   *time.Timer
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) set(s *stream, t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.expired = false
	if t.IsZero() {
		return nil
	}
	left := time.Until(t)
	if left <= 0 {
		d.expired = true
		s.cond.Broadcast()
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.timer == timer {
			d.expired = true
			s.cond.Broadcast()
		}
	})
	d.timer = timer
	return nil
}
