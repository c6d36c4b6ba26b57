package engine

import (
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

const (
	// directSize is from how much on streams take turns with their DATA, in octets, and it is not
	// copied into the buffer where it can be written from where it is.
	directSize = 16 << 10
	// How much of it is written at once from there, before others have their turn: between minDirect and
	// maxDirect, twice as much as before if that took less than quickWrite, half as much if it took
	// more than slowWrite.
	minDirect   = 32 << 10
	firstDirect = 256 << 10
	maxDirect   = 1 << 20
	quickWrite  = 4 * time.Millisecond
	slowWrite   = 2 * quickWrite
)

// maxVectors is how many slices one write of DATA has: what is in the buffer, and for each frame its
// header and its payload.
const maxVectors = 1 + 2*maxDirect/minMaxFrame

// vectors is what one write of DATA needs.
type vectors struct {
	headers [maxDirect / minMaxFrame * headerLen]byte
	bufs    [maxVectors][]byte
	rest    net.Buffers // what is to be written
	raw     rawVectors
}

var vectorPool = sync.Pool{New: func() any { return new(vectors) }}

// vectored returns the connection to which DATA can be written from where it is, or nil.
func (o *writer) vectored() net.Conn {
	if o.timeout > 0 {
		return nil
	}
	nc := o.settled()
	switch nc.(type) {
	case *net.TCPConn, *net.UnixConn:
		return nc
	}
	if anyVectored {
		return nc
	}
	return nil
}

// anyVectored has [writer.vectored] return connections that write one buffer after the other, for
// tests.
var anyVectored bool

// adapt notes how long n octets took.
func (o *writer) adapt(n int64, took time.Duration) {
	switch {
	case took > slowWrite:
		o.direct = max(o.direct/2, minDirect)
	case took < quickWrite && n >= o.direct:
		o.direct = min(2*o.direct, maxDirect)
	}
}

// writeTurn writes what is in the buffer and then p as DATA, or of it what a turn has: n octets, for
// which windows have room, or what fits in the buffer. Nobody writes. It returns the rest, if there is one
// when it is the stream's turn again. mu is held, but not meanwhile.
func (st *stream) writeTurn(p []byte, n int, end bool) []byte {
	c := st.c
	o := &c.out
	nc := o.vectored()
	if nc == nil {
		n = min(n, max(outSize-len(o.buf), 0))
	}
	now, rest := p[:n], p[n:]
	end = end && len(rest) == 0
	if nc == nil {
		o.writing, o.due = true, false
		st.appendData(now, end)
	} else {
		st.writeDirect(nc, now, end)
	}
	more := len(rest) > 0 && st.ended() == nil
	st.forTurn = more
	if more {
		st.queue(false) // behind the others
	}
	c.write() // also what has come meanwhile
	if more {
		c.takeOver()
		<-st.wake
	}
	c.mu.Lock()
	st.takeTurn()
	return rest
}

// appendData puts p into the buffer as DATA, for which there is room, and ends the stream with it if end
// is set. mu is held.
func (st *stream) appendData(p []byte, end bool) {
	o := &st.c.out
	o.ready()
	o.window -= int64(len(p))
	st.window -= int64(len(p))
	for len(p) > 0 {
		var n int
		o.buf, n = st.appendDataHeader(o.buf, p, end)
		o.buf = append(o.buf, p[:n]...)
		p = p[n:]
	}
	if end {
		st.endLocally()
	}
}

// appendDataHeader appends the header of the first frame of p, and returns how many octets that has. mu
// is held.
func (st *stream) appendDataHeader(b, p []byte, end bool) (header []byte, n int) {
	n = min(len(p), st.c.peer.maxFrame)
	var flags http2.Flags
	if end && n == len(p) {
		flags = http2.FlagDataEndStream
	}
	st.c.out.earn(n)
	return appendHeader(b, n, http2.FrameData, flags, st.id), n
}

// endLocally notes that END_STREAM is in the buffer or about to be, before the client can have it: it
// may open another stream then. mu is held.
func (st *stream) endLocally() {
	st.localEnded = true
	st.close()
}

// writeDirect writes what is in the buffer and then p, of maxDirect octets at the most, from where it
// is. mu is held, but not meanwhile.
func (st *stream) writeDirect(nc net.Conn, p []byte, end bool) {
	c := st.c
	o := &c.out
	v := vectorPool.Get().(*vectors)
	headers, bufs := v.headers[:0], v.bufs[:0]
	if len(o.buf) > 0 {
		bufs = append(bufs, o.buf)
	}
	o.window -= int64(len(p))
	st.window -= int64(len(p))
	for len(p) > 0 {
		var n int
		headers, n = st.appendDataHeader(headers, p, end)
		bufs = append(bufs, headers[len(headers)-headerLen:], p[:n])
		p = p[n:]
	}
	if end {
		st.endLocally()
	}
	lead := o.buf
	o.buf, o.spare, o.blocks = o.spare[:0], nil, 0
	o.writing, o.due = true, false
	c.mu.Unlock()
	v.rest = bufs
	begun := time.Now()
	n, err := o.writeVectors(nc, v)
	took := time.Since(begun)
	if f, ok := o.nc.(Filter); ok {
		f.CountWritten(int(n))
	}
	v.rest = nil
	clear(v.bufs[:])
	vectorPool.Put(v)
	if took > slowWrite && !o.bounded {
		o.bounded = true
		boundUnsent(nc)
	}
	c.mu.Lock()
	o.spare = lead
	o.adapt(n, took)
	if err != nil {
		c.cannotWrite()
	}
}

// takeTurn ends the wait of st until nobody writes. mu is held.
func (st *stream) takeTurn() {
	st.forTurn = false
	if o := &st.c.out; o.next == st {
		o.next = nil
	}
}

// writeData sends p as DATA, and ends the stream with it if end is set. It returns why it could
// not. If more is set, the handler is at it, and often returns next: what fits in the buffer leaves
// a moment later, so that the end of the stream goes with it.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.1
func (st *stream) writeData(p []byte, end, more bool) error {
	c := st.c
	o := &c.out
	turn := false // it has had to wait for it
	c.mu.Lock()
	for {
		if err := st.ended(); err != nil {
			o.wakeNext() // in its place
			c.flush()    // what was left to it
			return err
		}
		if len(p) >= directSize && !(more && len(p) <= outSize-len(o.buf)) {
			if o.writing {
				st.forTurn = true
				st.wait(turn) // somebody may have come before it
				st.takeTurn()
				turn = true
				continue
			}
			if n := int(min(int64(len(p)), o.direct, o.window, st.window)); n >= directSize {
				if p = st.writeTurn(p, n, end); len(p) == 0 {
					break
				}
				turn = true
				continue
			}
		}
		if n := int(min(int64(outSize-len(o.buf)), o.window, st.window, int64(len(p)))); n > 0 {
			st.appendData(p[:n], end && n == len(p))
			p = p[n:]
		}
		if len(p) == 0 {
			break
		}
		o.wakeNext() // if it is not for lack of room
		if !o.busy() && len(o.buf) > 0 {
			c.flush()
			c.mu.Lock()
			continue
		}
		st.wait(false)
	}
	if end && !st.localEnded {
		o.ready()
		o.buf = appendHeader(o.buf, 0, http2.FrameData, http2.FlagDataEndStream, st.id)
		st.endLocally()
	}
	o.wakeNext()
	if more {
		c.flushLater()
	} else {
		c.flush()
	}
	return nil
}
