package splice

import (
	"context"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
)

// A ClientConn is the end of an HTTP/2 client on a connection that a server has switched
// by a 101. The client believes that it sends the first request; the splice swallows it,
// since the server has it. For the HPACK tables to stay in step, the client's table has no
// room while it encodes that request: a SETTINGS frame that it reads first says so, and
// another one afterwards takes that back. What the server sends is read after both.
//
// Once that is settled, Read and Write are those of the connection.
type ClientConn struct {
	net.Conn

	in  atomic.Pointer[clientIn]  // nil: read from Conn
	out atomic.Pointer[clientOut] // nil: write to Conn

	ready     chan struct{} // closed when the client may send the request
	requested chan struct{} // closed when it has
	closed    chan struct{}
	closeOnce sync.Once
}

// NewClient returns the client's end of nc, on which nothing has been sent or received
// after the 101.
func NewClient(nc net.Conn) *ClientConn {
	c := &ClientConn{
		Conn:      nc,
		ready:     make(chan struct{}),
		requested: make(chan struct{}),
		closed:    make(chan struct{}),
	}
	c.in.Store(&clientIn{c: c, pending: tableSizeFrame(0)})
	out := &clientOut{c: c, preface: len(http2.ClientPreface)}
	out.frames = frames{inspect: func(frameHeader) int { return 0 }, judge: out.judge, settled: out.settled}
	c.out.Store(out)
	return c
}

func tableSizeFrame(size uint32) []byte {
	return appendSettings(nil, []http2.Setting{{ID: http2.SettingHeaderTableSize, Val: size}})
}

// NetConn returns the connection.
func (c *ClientConn) NetConn() net.Conn { return c.Conn }

// Ready waits until the client may be given the request.
func (c *ClientConn) Ready(ctx context.Context) error {
	select {
	case <-c.ready:
		return nil
	case <-c.closed:
		return net.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Read implements [net.Conn]. Only one Read may run at a time.
func (c *ClientConn) Read(p []byte) (int, error) {
	if in := c.in.Load(); in != nil {
		return in.read(p)
	}
	return c.Conn.Read(p)
}

// Write implements [net.Conn]. Only one Write may run at a time.
func (c *ClientConn) Write(p []byte) (int, error) {
	if out := c.out.Load(); out != nil {
		return out.write(p)
	}
	return c.Conn.Write(p)
}

// Close implements [net.Conn].
func (c *ClientConn) Close() error {
	err := net.ErrClosed
	c.closeOnce.Do(func() {
		err = c.Conn.Close()
		close(c.closed)
	})
	return err
}

// clientIn is what the client reads before anything from the server.
type clientIn struct {
	c       *ClientConn
	pending []byte
	second  bool // pending is the second frame
}

func (in *clientIn) read(p []byte) (int, error) {
	if len(in.pending) == 0 {
		if in.second {
			in.c.in.Store(nil)
			return in.c.Conn.Read(p)
		}
		select {
		case <-in.c.requested:
		case <-in.c.closed:
			return 0, net.ErrClosed
		}
		in.pending, in.second = tableSizeFrame(defaultTableSize), true
	}
	n := copy(p, in.pending)
	in.pending = in.pending[n:]
	return n, nil
}

// clientOut filters what the client writes: its preface passes, its first request and its
// answers to the two SETTINGS frames do not.
type clientOut struct {
	c         *ClientConn
	preface   int // octets of the preface that are still to come
	frames    frames
	acks      int  // acknowledgements that were dropped
	requested bool // the request was dropped
	buf       []byte
}

func (out *clientOut) write(p []byte) (int, error) {
	n := min(out.preface, len(p))
	out.preface -= n
	requested := out.requested
	out.buf = out.frames.filter(append(out.buf[:0], p[:n]...), p[n:])
	if len(out.buf) > 0 {
		if _, err := out.c.Conn.Write(out.buf); err != nil {
			return 0, err
		}
	}
	if out.settled() && out.frames.atBoundary() {
		out.c.out.Store(nil)
	}
	if out.requested && !requested {
		close(out.c.requested)
	}
	return len(p), nil
}

func (out *clientOut) settled() bool { return out.acks == 2 && out.requested }

// judge reports whether the server is to see a frame.
func (out *clientOut) judge(header frameHeader, _ []byte) bool {
	switch header.frameType() {
	case http2.FrameSettings:
		if header.isSettings(true) && out.acks < 2 {
			if out.acks++; out.acks == 1 {
				close(out.c.ready)
			}
			return false
		}
	case http2.FrameHeaders, http2.FrameContinuation:
		if header.stream() == 1 && !out.requested {
			out.requested = header.flags().Has(http2.FlagHeadersEndHeaders)
			return false
		}
	}
	return true
}
