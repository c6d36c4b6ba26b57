package engine

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// inSize is how much a connection reads at once. A frame of the default size fits.
const inSize = 32 << 10

// waitSize is how much it reads at first where it must hold memory while it waits: a request or
// two.
const waitSize = 1 << 10

var (
	inPool   = sync.Pool{New: func() any { return new([inSize]byte) }}
	waitPool = sync.Pool{New: func() any { return new([waitSize]byte) }}
)

// A reader buffers what it reads. While it waits on a socket it holds no memory, and little
// while it waits on another connection.
type reader struct {
	nc   net.Conn
	raw  syscall.RawConn // nil if nc is no socket, or not yet
	buf  []byte          // nil if there is nothing in it
	r, w int

	fill func(fd uintptr) bool // reads once, without waiting
	n    int
	err  error

	heard  atomic.Int64 // when something came last, in nanoseconds since 1970
	timing bool         // whether anybody asks
	before func()       // is called before each wait
}

// A Filter is a connection that stands before another one until something is settled, and then
// gives what comes from there as it is.
type Filter interface {
	// Settled returns that connection, or nil before that, or if others read from it.
	Settled() net.Conn
	// CountRead notes that n octets were read from it.
	CountRead(n int)
}

func (in *reader) init(nc net.Conn) {
	in.nc = nc
	in.fill = in.readSocket
	in.setSocket(nc)
}

func (in *reader) setSocket(nc net.Conn) {
	if !canReadSockets {
		return
	}
	switch nc := nc.(type) { // others may have a Read of their own in front of the socket
	case *net.TCPConn:
		in.raw, _ = nc.SyscallConn()
	case *net.UnixConn:
		in.raw, _ = nc.SyscallConn()
	}
}

// last returns when something came.
func (in *reader) last() time.Time { return time.Unix(0, in.heard.Load()) }

// need returns what is buffered: n octets at least, which must fit.
func (in *reader) need(n int) ([]byte, error) {
	for in.w-in.r < n {
		if err := in.more(); err != nil {
			return nil, err
		}
	}
	return in.buf[in.r:in.w], nil
}

// skip drops n octets that are buffered.
func (in *reader) skip(n int) {
	in.r += n
	if in.r == in.w {
		in.r, in.w = 0, 0
	}
}

// release gives the buffer back.
func (in *reader) release() {
	switch cap(in.buf) {
	case inSize:
		inPool.Put((*[inSize]byte)(in.buf[:inSize]))
	case waitSize:
		waitPool.Put((*[waitSize]byte)(in.buf[:waitSize]))
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// grow has room for more.
func (in *reader) grow() {
	if len(in.buf) == inSize {
		return
	}
	old, n := in.buf, 0
	buf := inPool.Get().(*[inSize]byte)[:]
	n = copy(buf, old[in.r:in.w])
	in.release()
	in.buf, in.r, in.w = buf, 0, n
}

// more reads once.
func (in *reader) more() error {
	switch {
	case in.r == in.w:
		in.r, in.w = 0, 0
		if in.before != nil {
			in.before()
		}
		if in.raw == nil {
			in.unfilter()
		}
	case in.w == len(in.buf) && len(in.buf) == inSize:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	case in.w == len(in.buf):
		in.grow()
	case in.before != nil:
		in.before() // the rest of a frame may be long in coming
	}
	if in.raw == nil {
		return in.moreOf(in.nc)
	}
	in.n, in.err = 0, nil
	if err := in.raw.Read(in.fill); err != nil {
		return err
	}
	if f, ok := in.nc.(Filter); ok {
		f.CountRead(in.n)
	}
	return in.read(in.n, in.err)
}

// unfilter reads from the connection behind a Filter that is settled.
func (in *reader) unfilter() {
	if f, ok := in.nc.(Filter); ok {
		if nc := f.Settled(); nc != nil {
			in.setSocket(nc)
		}
	}
}

// moreOf is more for what is no socket.
func (in *reader) moreOf(nc net.Conn) error {
	full := in.w == len(in.buf)
	switch {
	case in.buf == nil:
		in.buf = waitPool.Get().(*[waitSize]byte)[:]
	case full:
		in.grow()
	}
	n, err := nc.Read(in.buf[in.w:])
	if n > 0 {
		err = nil // it comes again, if it stays
	}
	if in.w+n == waitSize && len(in.buf) == waitSize {
		in.w += n
		in.grow() // there is more
		in.w -= n
	}
	return in.read(n, err)
}

func (in *reader) read(n int, err error) error {
	in.w += n
	if n > 0 && in.timing {
		in.heard.Store(time.Now().UnixNano())
	}
	return err
}
