package engine

import (
	"time"

	"golang.org/x/net/http2"
)

// abort ends the connection with a GOAWAY that says why, and all of its streams.
func (c *conn) abort(ce connError) {
	c.mu.Lock()
	if c.err == nil {
		last := c.lastSeen
		if c.draining {
			last = min(last, c.goneAt) // https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
		}
		c.out.buf = appendGoAway(c.out.buf, last, ce.code, ce.reason)
		c.fail(ce)
		c.out.last = true
		// Whoever writes must not wait for a client that does not read.
		c.nc.SetWriteDeadline(time.Now().Add(lingerTimeout))
		c.flush()
		c.awaitWriter()
		c.linger()
	} else {
		c.mu.Unlock()
	}
	c.closeAll()
}

// lost ends the connection, since it cannot be read from.
func (c *conn) lost() {
	c.mu.Lock()
	c.fail(errClosed)
	c.mu.Unlock()
	c.closeAll()
}

// fail notes why the connection ends. mu is held.
func (c *conn) fail(err error) {
	if c.err == nil {
		c.err = err
	}
	for _, t := range []*time.Timer{c.idleTimer, c.pingTimer, c.graceTimer, c.firstTimer} {
		if t != nil {
			t.Stop()
		}
	}
	c.out.wakeAll()
}

// closeAll closes the connection, and ends all streams.
func (c *conn) closeAll() {
	c.nc.Close()
	c.mu.Lock()
	var open []*stream
	for _, st := range c.streams {
		open = append(open, st)
	}
	c.mu.Unlock()
	for _, st := range open {
		st.end(errClosed)
	}
}

const (
	lingerTimeout = 500 * time.Millisecond
	lingerBytes   = 256 << 10
)

// linger reads what is on its way: a close with unread octets would reset the connection, and
// the GOAWAY could be lost.
func (c *conn) linger() {
	if _, ok := c.nc.(interface{ CloseWrite() error }); !ok {
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
	buf := make([]byte, 4<<10)
	for n := 0; n < lingerBytes; {
		m, err := c.nc.Read(buf)
		if err != nil {
			return
		}
		n += m
	}
}

// awaitWriter returns when nobody writes any more, or has for too long.
func (c *conn) awaitWriter() {
	c.mu.Lock()
	if !c.out.writing {
		c.mu.Unlock()
		return
	}
	written := make(chan struct{})
	c.out.written = written
	c.mu.Unlock()
	select {
	case <-written:
	case <-time.After(lingerTimeout):
	}
}

// shutdown makes the connection end when its streams have. The first GOAWAY names the highest
// possible stream, so that requests on their way are still served; the second one follows when
// the client has answered a PING, and so knows of the first, or in a second.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8-18
func (c *conn) shutdown() {
	c.mu.Lock()
	if c.draining || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.draining = true
	c.goneAt = 1<<31 - 1
	c.out.buf = appendGoAway(c.out.buf, c.goneAt, http2.ErrCodeNo, "")
	c.out.buf = appendPing(c.out.buf, false, shutdownPing)
	c.graceTimer = time.AfterFunc(time.Second, c.endGrace)
	c.flushLater()
}

var shutdownPing = [8]byte{'s', 'h', 'u', 't', 'd', 'o', 'w', 'n'}

// endGrace sends the GOAWAY that says which streams are served.
func (c *conn) endGrace() {
	c.mu.Lock()
	if c.goneAt != 1<<31-1 || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.graceTimer.Stop()
	c.goneAt = c.out.lastStream
	c.out.buf = appendGoAway(c.out.buf, c.goneAt, http2.ErrCodeNo, "")
	c.endIfDone()
	c.flushLater()
}

// endIfDone has the connection closed, once all is written, if it is shut down and has no streams
// left. mu is held, and flush follows.
func (c *conn) endIfDone() {
	if c.draining && c.goneAt != 1<<31-1 && len(c.streams) == 0 && c.err == nil {
		c.fail(errShutdown)
		c.out.last = true
	}
}

// A connection that has ended is closed when nothing has come from the client for closeTimeout, or
// after maxClose.
const (
	closeTimeout = time.Second // as in net/http
	maxClose     = 10 * time.Second
)

// halfClose ends what goes to the client. The goroutine that reads goes on until the client has
// closed the connection, too, or for a while: what comes after a close would reset the connection,
// and a slow client would lose the end of a response.
func (c *conn) halfClose() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.closeLater(time.Now().Add(maxClose))
}

func (c *conn) closeLater(end time.Time) {
	reads := c.in.reads.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.graceTimer = time.AfterFunc(min(closeTimeout, time.Until(end)), func() {
		if c.in.reads.Load() == reads || !time.Now().Before(end) {
			c.nc.Close()
		} else {
			c.closeLater(end)
		}
	})
}
