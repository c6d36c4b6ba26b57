package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// A conn is an HTTP/2 connection. What stands before mu belongs to the goroutine that reads.
type conn struct {
	s  *Server
	nc net.Conn
	Options
	base   context.Context
	remote string
	lim    *limits

	rested   chan bool // receives when no worker reads: whether it rests, or has ended
	begun    bool
	panicked any // what ended it, if a hook did

	in       reader
	block    headerBlock
	lastSeen uint32    // the highest stream that the client has opened
	opening  []*stream // whose handlers are to run before the next wait
	flood    flood

	mu      sync.Mutex
	streams map[uint32]*stream
	running int // handlers
	opened  int // streams that the client may count: not ended by both sides

	out  writer
	peer peerSettings
	used int64 // octets of the connection window that the client has used and not got back
	owed int64 // of these, what it is to get back with the next frame

	resets    []uint32 // streams that ended before the client knew
	nextReset int      // the oldest of them, when there are recentResets

	err        error  // why the connection ends; it does not when nil
	asked      bool   // to rest
	draining   bool   // GOAWAY has been sent
	goneAt     uint32 // last stream that the GOAWAY named
	unacked    int    // SETTINGS sent and not acknowledged
	idleTimer  *time.Timer
	pingTimer  *time.Timer
	pinged     bool // a PING of ours is not answered
	graceTimer *time.Timer
	firstTimer *time.Timer // until the first frame

	stateMu sync.Mutex
	state   http.ConnState // as ConnState was told
	over    bool           // it is told no more
}

// peerSettings are what the client has said of itself.
type peerSettings struct {
	maxFrame      int
	initialWindow int64
}

var (
	errClosed   = errors.New("client disconnected") // as net/http says
	errShutdown = errors.New("http2: connection is shut down")
)

// A connError ends the connection.
type connError struct {
	code   http2.ErrCode
	reason string // as told to CountError, and to the client
}

func (e connError) Error() string { return "http2: " + e.code.String() + ": " + e.reason }

// A streamError ends a stream.
type streamError struct {
	id     uint32
	code   http2.ErrCode
	reason string
}

func (e streamError) Error() string { return "http2: stream: " + e.code.String() + ": " + e.reason }

// begin says hello.
func (c *conn) begin() error {
	c.base = withValue(withValue(c.Context, http.LocalAddrContextKey, c.nc.LocalAddr()), http.ServerContextKey, c.s.hs)
	c.remote = c.nc.RemoteAddr().String()
	c.lim = c.s.limits()
	c.peer = peerSettings{maxFrame: minMaxFrame, initialWindow: initialWindow}
	c.in.init(c)
	c.block.init(c)
	c.out.init(c)
	c.hello()
	if c.s.add(c) {
		c.shutdown()
	}
	if err := c.inadequate(); err != nil {
		return err
	}
	return c.readPreface()
}

// withValue returns ctx with a value, which net/http has often put there already.
func withValue(ctx context.Context, key, value any) context.Context {
	if ctx.Value(key) != nil {
		return ctx
	}
	return context.WithValue(ctx, key, value)
}

// serve reads until the connection rests or ends. It reports whether it rests.
func (c *conn) serve() (rests bool) {
	err := c.readAll()
	if err == errRests {
		c.block.forget()
		c.mu.Lock()
		c.out.forget()
		if len(c.streams) == 0 {
			c.streams = nil
		}
		c.mu.Unlock()
		return true
	}
	var ce connError
	if errors.As(err, &ce) {
		c.lim.countError("conn_" + ce.reason)
		c.abort(ce)
	} else {
		c.lost()
	}
	c.stateMu.Lock()
	c.over = true
	c.stateMu.Unlock()
	return false
}

// inadequate returns an error if TLS is not as HTTP/2 has it.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-9.2
func (c *conn) inadequate() error {
	if c.TLS == nil || c.TLS.Version >= tls.VersionTLS13 {
		return nil
	}
	if c.TLS.Version < tls.VersionTLS12 {
		return connError{http2.ErrCodeInadequateSecurity, "tls_version"}
	}
	switch c.TLS.CipherSuite {
	// Those of crypto/tls that are not in the list of
	// https://www.rfc-editor.org/rfc/rfc9113.html#appendix-A
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return nil
	}
	return connError{http2.ErrCodeInadequateSecurity, "tls_cipher"}
}

// hello sends the server preface.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4
func (c *conn) hello() {
	c.mu.Lock()
	c.out.buf = appendSettings(c.out.buf,
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(c.lim.maxFrame)},
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: c.lim.maxStreams},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(c.lim.maxHeaderList)},
		http2.Setting{ID: http2.SettingHeaderTableSize, Val: c.lim.decoderTable},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(c.lim.streamWindow)},
		http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: extendedConnect()},
		http2.Setting{ID: http2.SettingNoRFC7540Priorities, Val: 1},
	)
	c.unacked++
	if extra := c.lim.connWindow - initialWindow; extra > 0 {
		c.out.buf = appendWindowUpdate(c.out.buf, 0, uint32(extra))
	}
	c.setIdle()
	if c.lim.sendPingTimeout > 0 {
		c.pingTimer = time.AfterFunc(c.lim.sendPingTimeout, c.sendPing)
	}
	wait := settingsTimeout
	if !c.SawPreface {
		wait += prefaceTimeout
	}
	c.firstTimer = time.AfterFunc(wait, func() { c.timeOut("first_settings_timeout") })
	if c.in.direct.Load() {
		c.flush() // unlocks, and need not wait: there is room in an empty socket
		return
	}
	c.out.due = true
	c.mu.Unlock()
}

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
	c.lim.countError("conn_" + reason)
	c.nc.Close()
}

// readPreface takes the client preface, with its SETTINGS.
func (c *conn) readPreface() error {
	if !c.SawPreface {
		b, err := c.in.need(len(http2.ClientPreface))
		if err != nil {
			return err
		}
		if string(b[:len(http2.ClientPreface)]) != http2.ClientPreface {
			return connError{http2.ErrCodeProtocol, "bad_preface"}
		}
		c.in.skip(len(http2.ClientPreface))
	}
	c.tell(http.StateActive) // as net/http does
	c.tellState()
	if err := c.readFrame(true); err != nil {
		return err
	}
	c.mu.Lock()
	c.firstTimer.Stop()
	c.firstTimer = nil
	c.mu.Unlock()
	return nil
}

// readAll takes frames until there is an error.
func (c *conn) readAll() error {
	defer c.in.release()
	defer c.handle()
	if !c.begun {
		c.begun = true
		if err := c.begin(); err != nil {
			return err
		}
	}
	for {
		if err := c.readFrame(false); err != nil {
			se, ok := err.(streamError)
			if !ok {
				return err
			}
			c.lim.countError("stream_" + se.reason)
			c.resetStream(se)
			if err := c.flood.add(1); err != nil {
				return err
			}
		}
	}
}

// tellState tells ConnState whether there are streams. mu is not held.
func (c *conn) tellState() {
	if c.s.hs.ConnState == nil {
		return
	}
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.mu.Lock()
	state := http.StateActive
	if len(c.streams) == 0 {
		state = http.StateIdle
	}
	c.mu.Unlock()
	c.tell(state)
}

func (c *conn) tell(state http.ConnState) {
	if c.s.hs.ConnState != nil && c.state != state && !c.over {
		c.state = state
		c.s.hs.ConnState(c.nc, state)
	}
}

// abort ends the connection with a GOAWAY that says why, and all of its streams.
func (c *conn) abort(ce connError) {
	c.mu.Lock()
	if c.err == nil {
		c.out.buf = appendGoAway(c.out.buf, c.lastSeen, ce.code, ce.reason)
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
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8-17
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

// halfClose ends what goes to the client. The goroutine that reads goes on until the client has
// closed the connection, too, or for a while.
func (c *conn) halfClose() {
	if half, ok := c.nc.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	c.nc.SetReadDeadline(time.Now().Add(lingerTimeout))
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

// flushLater is flush for the goroutine that reads, which must not wait until the client does:
// that may be after it has written more.
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
	if o.writing || o.dead || len(o.buf) == 0 && !o.last {
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
		o.buf, o.spare = o.spare[:0], nil
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
