package engine

import (
	"time"

	"golang.org/x/net/http2"
)

// As in net/http.
const (
	prefaceTimeout  = 10 * time.Second
	settingsTimeout = 2 * time.Second
)

// timeOut closes the connection of a client from which nothing comes.
func (c *conn) timeOut(reason string) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.fail(errClosed)
	c.mu.Unlock()
	c.countError("conn_" + reason)
	c.nc.Close()
}

// setIdle has the connection shut down when it stays idle for too long. mu is held.
func (c *conn) setIdle() {
	if c.lim.idleTimeout <= 0 || c.err != nil {
		return
	}
	if c.idleTimer == nil {
		c.idleTimer = time.AfterFunc(c.lim.idleTimeout, c.idleTimeout)
	} else {
		c.idleTimer.Reset(c.lim.idleTimeout)
	}
}

func (c *conn) idleTimeout() {
	c.mu.Lock()
	if len(c.streams) > 0 || c.err != nil {
		c.mu.Unlock()
		return
	}
	c.draining, c.goneAt = true, c.out.lastStream
	c.out.buf = appendGoAway(c.out.buf, c.goneAt, http2.ErrCodeNo, "")
	c.endIfDone()
	c.flush()
}

// sendPing asks whether the client is still there, when nothing has come for a while.
func (c *conn) sendPing() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.pinged {
		c.mu.Unlock()
		c.timeOut("ping_timeout")
		return
	}
	if idle := time.Since(c.in.last()); idle < c.lim.sendPingTimeout {
		c.pingTimer.Reset(c.lim.sendPingTimeout - idle)
		c.mu.Unlock()
		return
	}
	c.pinged = true
	c.out.buf = appendPing(c.out.buf, false, healthPing)
	c.pingTimer.Reset(c.lim.pingTimeout)
	c.flush()
}

var healthPing = [8]byte{'h', 'e', 'a', 'l', 't', 'h', 'y', '?'}

// pong notes the answer to a PING.
func (c *conn) pong(data [8]byte) {
	switch data {
	case shutdownPing:
		c.mu.Lock()
		idle := len(c.streams) == 0
		c.mu.Unlock()
		if !idle {
			c.endGrace()
		}
		// Else in a second: the JDK's client drops what it has not yet handed on of a response
		// that has ended, when it is told that no streams are left.
	case healthPing:
		c.mu.Lock()
		if c.pinged && c.err == nil {
			c.pinged = false
			c.pingTimer.Reset(c.lim.sendPingTimeout)
		}
		c.mu.Unlock()
	}
}
