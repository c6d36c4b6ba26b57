package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
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

	rested chan bool // receives when no worker reads: whether it rests, or has ended
	begun  bool

	in       reader
	block    headerBlock
	data     payload
	unheeded error     // of a frame: for the worker that reads next
	lastSeen uint32    // the highest stream that the client has opened
	opening  []*stream // whose handlers are to run before the next wait
	alone    *stream   // whose handler the worker is to run itself: see errAlone
	hold     int       // for how many requests it is not
	nextHold int
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
	nextReset int      // the oldest of them, when there are as many as are kept

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

	lease lease

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
	if addr := c.nc.RemoteAddr(); addr != nil {
		c.remote = addr.String()
	}
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

// serve reads until the connection rests or ends, or a request has come alone. It reports whether it
// is one of the first and the last.
func (c *conn) serve() (rests, alone bool) {
	err := c.readAll()
	if err == errAlone {
		return false, true
	}
	if err == errRests {
		c.block.forget()
		c.mu.Lock()
		c.out.forget()
		if len(c.streams) == 0 {
			c.streams = nil
		}
		c.mu.Unlock()
		return true, false
	}
	var ce connError
	if errors.As(err, &ce) {
		c.countError("conn_" + ce.reason)
		c.abort(ce)
	} else {
		c.lost()
	}
	c.stateMu.Lock()
	c.over = true
	c.stateMu.Unlock()
	return false, false
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
	if c.lim.anyCipher {
		return nil
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
		wait = prefaceTimeout
	}
	c.firstTimer = time.AfterFunc(wait, func() { c.timeOut("first_settings_timeout") })
	if c.in.direct.Load() {
		c.flush() // unlocks, and need not wait: there is room in an empty socket
		return
	}
	c.out.due = true
	c.mu.Unlock()
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
		c.mu.Lock()
		if c.err == nil {
			c.firstTimer.Reset(settingsTimeout)
		}
		c.mu.Unlock()
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
	err := c.unheeded
	c.unheeded = nil
	for ; ; err = c.readFrame(false) {
		if err != nil {
			se, ok := err.(streamError)
			if !ok {
				return err
			}
			c.countError("stream_" + se.reason)
			c.resetStream(se)
			if err := c.flood.add(); err != nil {
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
		defer c.recoverHook()
		c.s.hs.ConnState(c.nc, state)
	}
}

func (c *conn) countError(name string) {
	defer c.recoverHook()
	c.lim.countError(name)
}

// recoverHook is deferred where a hook of the user is called, which may be on a goroutine of other
// connections, or of a timer. As in net/http a panic ends the connection.
func (c *conn) recoverHook() {
	if v := recover(); v != nil {
		c.s.LogPanic("http", c.remote, v)
		c.nc.Close()
	}
}
