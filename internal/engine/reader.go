package engine

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// inSize is how much a connection reads at once. A frame of the default size fits.
const inSize = 32 << 10

// bulkSize is how much it reads at once of bodies: after a read of minBulk octets or more.
const (
	bulkSize = 128 << 10
	minBulk  = 4 << 10
)

// waitSize is how much it reads at first where it must hold memory while it waits: a request or
// two.
const waitSize = 1 << 10

var (
	inPool   = sync.Pool{New: func() any { return new([inSize]byte) }}
	bulkPool = sync.Pool{New: func() any { return new([bulkSize]byte) }}
	waitPool = sync.Pool{New: func() any { return new([waitSize]byte) }}
)

// A reader buffers what it reads. While it waits on a socket between two frames it holds no memory,
// and little while it waits on another connection.
type reader struct {
	nc   net.Conn
	raw  syscall.RawConn // nil if nc is no socket, or not yet
	buf  []byte          // nil if there is nothing in it
	r, w int

	fill func(fd uintptr) bool // reads once, without waiting
	n    int
	err  error
	bulk bool // it returned minBulk or more

	heard  atomic.Int64  // when something came last, in nanoseconds since 1970
	timing bool          // whether anybody asks
	reads  atomic.Uint64 // of which something came
	direct atomic.Bool   // raw is set
	rests  bool          // it may be asked to: it is between two frames
	yields bool          // and may anywhere
	hurry  bool          // it does not wait: see errNothing
	peek   bool          // fill does not read
	c      *conn
}

// A Filter is a connection that stands before another one until something is settled, and then
// gives what comes from there as it is.
type Filter interface {
	// Settled returns that connection, or nil before that, or if others read from it.
	Settled() net.Conn
	// CountRead notes that n octets were read from it.
	CountRead(n int)
	// SettledOut and CountWritten are the same for what is written.
	SettledOut() net.Conn
	CountWritten(n int)
	// Ready reports whether a Read is sure to return at once.
	Ready() bool
}

// errNothing says that there is nothing to read yet.
var errNothing = errors.New("http2: nothing to read")

func (in *reader) init(c *conn) {
	in.c, in.nc = c, c.nc
	in.timing = c.lim.sendPingTimeout > 0
	in.fill = in.readSocket
	in.setSocket(c.nc)
}

func (in *reader) setSocket(nc net.Conn) {
	in.raw = rawConn(nc)
	in.direct.Store(in.raw != nil)
}

// rawConn returns the socket that nc is, or nil.
func rawConn(nc net.Conn) (raw syscall.RawConn) {
	if !hasSockets {
		return nil
	}
	switch nc := nc.(type) { // others may have a Read of their own in front of the socket
	case *net.TCPConn:
		raw, _ = nc.SyscallConn()
	case *net.UnixConn:
		raw, _ = nc.SyscallConn()
	}
	return raw
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

// part returns and drops what is buffered: one octet at least, and n at the most. It is valid until
// the next read.
func (in *reader) part(n int) ([]byte, error) {
	b, err := in.need(1)
	if err != nil {
		return nil, err
	}
	b = b[:min(n, len(b))]
	in.skip(len(b))
	return b, nil
}

// needNext is need for the beginning of a frame. If there is none, it returns errRests when the
// connection was asked to rest, and errAlone when the caller is to do something else first.
func (in *reader) needNext(n int) ([]byte, error) {
	in.rests = true
	defer func() { in.rests = false }()
	return in.need(n)
}

// await returns when there is something to read, or an error to be had.
func (in *reader) await() {
	in.peek = true
	in.raw.Read(in.fill)
	in.peek = false
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
	case bulkSize:
		bulkPool.Put((*[bulkSize]byte)(in.buf[:bulkSize]))
	case inSize:
		inPool.Put((*[inSize]byte)(in.buf[:inSize]))
	case waitSize:
		waitPool.Put((*[waitSize]byte)(in.buf[:waitSize]))
	}
	in.buf, in.r, in.w = nil, 0, 0
}

// move puts what is buffered, which must fit, into a buffer of inSize.
func (in *reader) move() {
	buf := inPool.Get().(*[inSize]byte)[:]
	n := copy(buf, in.buf[in.r:in.w])
	in.release()
	in.buf, in.r, in.w = buf, 0, n
}

// shrink has no more memory held than what is buffered needs.
func (in *reader) shrink() {
	switch {
	case in.r == in.w:
		in.release()
	case len(in.buf) == bulkSize && in.w-in.r < inSize:
		in.move()
	}
}

// more reads once.
func (in *reader) more() error {
	if in.rests && in.r == in.w && in.c.isAlone() {
		return errAlone
	}
	in.c.handle()
	ready := false
	switch {
	case in.r == in.w:
		if in.bulk && len(in.buf) < bulkSize {
			in.release()
		}
		in.r, in.w = 0, 0
		ready = in.raw == nil && in.unfilter()
	case in.w < len(in.buf):
	case len(in.buf) >= inSize:
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	default:
		in.move()
	}
	if !ready {
		in.c.flushDue() // the rest of a frame, too, may be long in coming
	}
	var err error
	switch {
	case in.raw != nil:
		err = in.moreOfSocket()
	case in.hurry:
		return errNothing
	default:
		err = in.moreOf(in.nc)
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) || !in.c.askedToRest() {
		return err
	}
	if in.yields || in.rests && in.r == in.w && in.raw != nil { // without a socket nothing ends a rest
		return errRests
	}
	return nil
}

func (in *reader) moreOfSocket() error {
	in.n, in.err = 0, nil
	if err := in.raw.Read(in.fill); err != nil {
		return err
	}
	if f, ok := in.nc.(Filter); ok {
		f.CountRead(in.n)
	}
	return in.read(in.n, in.err)
}

// unfilter has the connection behind a Filter read from, if that is settled. It reports whether
// the Filter is sure to have something instead.
func (in *reader) unfilter() (ready bool) {
	f, ok := in.nc.(Filter)
	if !ok {
		return false
	}
	if nc := f.Settled(); nc != nil {
		in.setSocket(nc)
		return false
	}
	return f.Ready()
}

// moreOf is more for what is no socket.
func (in *reader) moreOf(nc net.Conn) error {
	if in.buf == nil {
		in.buf = waitPool.Get().(*[waitSize]byte)[:]
	}
	n, err := nc.Read(in.buf[in.w:])
	if n > 0 {
		err = nil // it comes again, if it stays
	}
	if in.w+n == waitSize && len(in.buf) == waitSize {
		in.w += n
		in.move() // there is more
		in.w -= n
	}
	return in.read(n, err)
}

func (in *reader) read(n int, err error) error {
	in.w += n
	in.reads.Add(1)
	if n > 0 && in.timing {
		in.heard.Store(time.Now().UnixNano())
	}
	return err
}
