package engine

import "runtime"

// flushDue has the answers to frames written, before the goroutine that reads waits.
func (c *conn) flushDue() {
	c.mu.Lock()
	if c.out.due {
		c.flushLater()
	} else {
		c.mu.Unlock()
	}
}

// flush writes what is in the buffer, unless somebody is at that. mu is held, and is not
// afterwards.
func (c *conn) flush() {
	if !c.beginWrite() {
		c.mu.Unlock()
		return
	}
	if c.running > 1 {
		// The others are about to have something to write, too.
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	c.write()
}

// flushLater is flush by a worker: for the goroutine that reads, which must not wait until the client
// does, since that may be after it has written more, and for a handler that often has more to add.
func (c *conn) flushLater() {
	begun := c.beginWrite()
	c.mu.Unlock()
	if begun {
		c.s.workers.run(output{c})
	}
}

// output is the task to write what is in the buffer.
type output struct{ c *conn }

func (o output) work() {
	c := o.c
	c.mu.Lock()
	if c.running > 0 {
		c.mu.Unlock()
		runtime.Gosched() // their responses may go with it
		c.mu.Lock()
	}
	c.write()
}

// beginWrite reports whether there is something to write, and the caller is to do that. mu is
// held.
func (c *conn) beginWrite() bool {
	o := &c.out
	o.due = false
	if o.flooded() && c.err == nil {
		c.cannotWrite()
	}
	if o.dead || len(o.buf) == 0 && !o.last || o.writing || o.next != nil && c.err == nil {
		return false
	}
	o.writing = true
	return true
}

// cannotWrite ends the connection. mu is held.
func (c *conn) cannotWrite() {
	c.out.dead = true
	c.fail(errClosed)
	c.nc.Close() // so that reading ends, too
	c.out.wakeAll()
}

// write writes what is in the buffer. mu is held, and is not afterwards.
func (c *conn) write() {
	o := &c.out
	for len(o.buf) > 0 && !o.dead {
		b := o.buf
		o.buf, o.spare, o.blocks = o.spare[:0], nil, 0
		c.mu.Unlock()
		err := o.write(b)
		c.mu.Lock()
		o.spare = b
		if err != nil {
			c.cannotWrite()
			break
		}
		o.wakeNext()
	}
	o.writing = false
	o.wakeNext()
	if o.written != nil {
		close(o.written)
		o.written = nil
	}
	last := o.last && !o.dead
	if last {
		o.last, o.dead = false, true
	}
	o.rest()
	c.mu.Unlock()
	if last {
		c.halfClose()
	}
}
