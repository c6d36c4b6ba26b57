package engine

import (
	"errors"

	"golang.org/x/net/http2"
)

// A handler to which the connection is lent reads its body from there itself, with no worker to wake
// and to be woken by. Any frame but DATA of its own ends that: another worker reads from then on.

// errOther says that the next frame is not for a handler.
var errOther = errors.New("http2: a frame for others")

// readLent reads from the connection, if that is still lent, once there is something in it. It returns
// how many octets of the body it has put into p. It may return 0 though nothing is wrong. mu is held,
// but not meanwhile.
func (b *requestBody) readLent(p []byte) int {
	c := b.st.c
	b.reading = true
	b.mu.Unlock()
	n := 0
	lent := c.takeBack(b.st)
	if lent {
		var err error
		n, err = c.readBody(b, p)
		if lent = err == nil; !lent {
			c.heedLater(err)
			c.s.workers.run(c)
		}
	}
	b.mu.Lock()
	b.reading = false
	b.lent = lent
	if lent {
		c.lend(b.st, true) // though the handler may have returned, and others may wait: for lendTime
	}
	return n
}

// leave takes what the client has already sent, up to bulkSize octets, of a body that the handler has
// done with: if that is all, the client is not told to stop.
func (b *requestBody) leave() {
	c := b.st.c
	b.mu.Lock()
	lent := b.lent && !b.reading && b.err == nil
	b.mu.Unlock()
	if !lent || !c.takeBack(b.st) {
		return
	}
	last := newChunk(false)
	c.in.hurry = true
	var err error
	for n, most := 0, bulkSize; err == nil && most > 0 && !b.ended(); most -= n {
		n, err = c.readBody(b, last.b)
		c.credit(n)
	}
	c.in.hurry = false
	last.release()
	// What is wrong with the stream is of no use: it is about to end.
	if se, ok := c.data.wrong.(streamError); ok && se.id == b.st.id {
		c.data.wrong = nil
	}
	if _, ok := err.(streamError); !ok {
		c.heedLater(err)
	}
	c.lend(b.st, c.lease.again)
}

func (b *requestBody) ended() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err != nil
}

// heedLater notes an error of readBody for the worker that reads next.
func (c *conn) heedLater(err error) {
	switch err {
	case nil, errOther, errRests, errNothing:
	default:
		c.unheeded = err
	}
}

// readBody reads DATA of body into p, without waiting for more if it has some. It returns an error if
// somebody else is to go on.
func (c *conn) readBody(body *requestBody, p []byte) (n int, err error) {
	in, d := &c.in, &c.data
	in.yields = true
	defer func() { in.yields = false }()
	for n < len(p) {
		if !d.open {
			if n > 0 && in.w-in.r < headerLen {
				break
			}
			b, err := in.need(headerLen)
			if err != nil {
				return n, err
			}
			f := parseHeader(b)
			if f.kind != http2.FrameData || f.flags.Has(http2.FlagDataPadded) || f.length > c.lim.maxFrame || c.block.open {
				return n, errOther
			}
			in.skip(headerLen)
			if err := c.recvData(f); err != nil {
				return n, err
			}
		}
		if d.body != body {
			return n, errOther
		}
		if d.n > 0 {
			if n > 0 && in.r == in.w {
				break
			}
			b, err := in.part(min(d.n, len(p)-n))
			if err != nil {
				return n, err
			}
			n += copy(p[n:], b)
			d.n -= len(b)
		}
		if d.n == 0 {
			end := d.end
			if err := c.endData(); err != nil || end {
				return n, err
			}
		}
	}
	return n, nil
}
