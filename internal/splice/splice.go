// Package splice makes a connection that was negotiated in some other way read like an
// HTTP/2 connection begun by prior knowledge, so that any HTTP/2 server or client can take
// it: Conn is the end of a server, ClientConn that of a client. What takes it is called the
// engine here. The package knows bytes and frames, not requests.
package splice

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
)

var (
	// ErrRefused is what the engine gets from a connection that it was not given.
	ErrRefused = errors.New("connection refused")
	// ErrPrefaceInvalid means that the client sent something else than its preface.
	ErrPrefaceInvalid = errors.New("client preface is not 24 octets and a SETTINGS frame")
	// ErrPrefaceTimeout means that the client's preface was not complete in time.
	ErrPrefaceTimeout = errors.New("client preface not received in time")
	// ErrPrefaceMissing means that the connection ended before the client's preface.
	ErrPrefaceMissing = errors.New("connection ended before the client preface")
)

// Config says how a connection was negotiated.
type Config struct {
	// Inject is what the engine reads between the preface and the client's own frames:
	// the upgrade request, as AppendRequest makes it. It is empty for a connection begun by
	// prior knowledge, whose preface somebody has read and checked already.
	Inject []byte
	// InjectedData counts the octets of DATA in Inject.
	InjectedData int
	// Buffered holds what the client sent and somebody read already, to be read before
	// anything from the connection.
	Buffered []byte

	// Accept is written before the engine's first octet, or Refusal in place of all.
	Accept, Refusal []byte

	// Timeout bounds the wait for the client's preface and SETTINGS. Zero means no bound.
	Timeout time.Duration

	// Take is called once, when the engine writes for the first time and so has taken the
	// connection over. If it returns false, the connection is refused.
	Take func() bool
	// Open is called once, just before Accept is written.
	Open func()
	// Closed is called once, after the connection was closed, with what broke the
	// handshake, or nil.
	Closed func(err error)
}

// A Conn is the engine's end. What it reads is: the client preface, what was injected,
// and what the client sends after its own preface. What it writes reaches the client,
// less what only the injected frames called for.
//
// Once that is settled, Read and Write are those of the client's connection.
type Conn struct {
	net.Conn

	in  atomic.Pointer[inbound]  // nil: read from Conn
	out atomic.Pointer[outbound] // nil: write to Conn

	mu       sync.Mutex // guards the rest of the block
	state    state
	given    bool        // the engine has the request, and may serve it
	failure  error       // what broke the handshake
	timer    *time.Timer // bounds the wait for the client's preface
	onClosed func(error)

	read, written atomic.Int64
}

// A handshake is what inbound and outbound share until both are settled, and an idle
// connection does not hold any more.
type handshake struct {
	Config
	upgraded  bool   // the client's own preface is still to come
	tableSize uint32 // SETTINGS_HEADER_TABLE_SIZE after the injected frames
	credit    credit

	taken    chan struct{} // closed when the engine has the connection
	acked    chan struct{} // closed when the engine answered the injected SETTINGS and PING
	prefaced chan struct{} // closed when the client's preface and SETTINGS are here
	closed   chan struct{} // closed with the connection
}

type state int

const (
	stateNew state = iota
	stateTaken
	stateOpen
	stateRefused
	stateClosed
)

// New returns the engine's end of nc.
func New(nc net.Conn, cfg Config) *Conn {
	h := &handshake{
		Config:   cfg,
		upgraded: len(cfg.Inject) > 0,
		taken:    make(chan struct{}),
		acked:    make(chan struct{}),
		prefaced: make(chan struct{}),
		closed:   make(chan struct{}),
	}
	if h.upgraded {
		h.tableSize = tableSize(cfg.Inject)
	} else {
		close(h.prefaced)
	}
	h.credit = credit{withheld: cfg.InjectedData, changed: make(chan struct{})}
	c := &Conn{Conn: nc, onClosed: cfg.Closed}
	in := &inbound{c: c, handshake: h, pending: []byte(http2.ClientPreface)}
	in.next = in.afterPreface
	c.in.Store(in)
	out := &outbound{c: c, handshake: h, isAcked: !h.upgraded, accepted: !h.upgraded}
	out.frames = frames{inspect: out.inspect, judge: out.judge, settled: out.settled}
	c.out.Store(out)
	return c
}

// NetConn returns the client's connection.
func (c *Conn) NetConn() net.Conn { return c.Conn }

// Settled returns the client's connection once what is read from c is what is read from there,
// or nil. Who reads from it in place of c tells CountRead.
func (c *Conn) Settled() net.Conn {
	if c.in.Load() != nil {
		return nil
	}
	return c.Conn
}

// CountRead notes that n octets were read from the client's connection.
func (c *Conn) CountRead(n int) { c.read.Add(int64(n)) }

// SettledOut returns the client's connection once what is written to c is what is written there,
// or nil. Who writes there in place of c tells CountWritten.
func (c *Conn) SettledOut() net.Conn {
	if c.out.Load() != nil {
		return nil
	}
	return c.Conn
}

// CountWritten notes that n octets were written to the client's connection.
func (c *Conn) CountWritten(n int) { c.written.Add(int64(n)) }

// Ready reports whether Read returns at once, with what has been injected.
func (c *Conn) Ready() bool {
	in := c.in.Load()
	return in != nil && (len(in.pending) > 0 || in.Inject != nil && isClosed(in.taken))
}

// CloseWrite ends what goes to the client, where its connection can.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Transferred returns how many octets came from and went to the client through c.
func (c *Conn) Transferred() (read, written int64) {
	return c.read.Load(), c.written.Load()
}

// Read implements [net.Conn]. Only one Read may run at a time.
func (c *Conn) Read(p []byte) (int, error) {
	if in := c.in.Load(); in != nil {
		return in.read(p)
	}
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

func (c *Conn) readConn(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read.Add(int64(n))
	return n, err
}

// Write implements [net.Conn]. Only one Write may run at a time. A Write that waits for
// the client's preface is bounded by Config.Timeout and by Close, not by a deadline.
func (c *Conn) Write(p []byte) (int, error) {
	if out := c.out.Load(); out != nil {
		return out.write(p)
	}
	// net/http writes every frame in a goroutine of its own, and one call more makes many
	// of them grow their stacks.
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func (c *Conn) writeConn(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Take says that the engine has the connection, though it has not written yet. It reports
// whether that is so.
func (c *Conn) Take() bool {
	out := c.out.Load()
	return out == nil || c.take(out.handshake)
}

// take decides, once, whether the engine gets the connection. It reports whether it does.
func (c *Conn) take(h *handshake) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == stateNew && h.Take() {
		c.state = stateTaken
		close(h.taken)
	}
	return c.state == stateTaken || c.state == stateOpen
}

// give notes that the engine gets the request. It reports whether the connection is still there.
func (c *Conn) give() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.given = true
	return c.state == stateTaken || c.state == stateOpen
}

// open notes that Accept goes out. It reports whether the connection is still there.
func (c *Conn) open(h *handshake) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != stateTaken {
		return false
	}
	c.state = stateOpen
	h.Open()
	if h.upgraded && h.Timeout > 0 {
		c.timer = time.AfterFunc(h.Timeout, func() { c.fail(ErrPrefaceTimeout) })
	}
	return true
}

// Refuse answers with Config.Refusal and closes the connection, unless the engine has
// taken it. It returns when the client has the answer, or after half a second.
func (c *Conn) Refuse() { c.refuse(stateNew) }

// refuse is Refuse for a connection that is in state from.
func (c *Conn) refuse(from state) {
	if c.beginRefusal(func() bool { return c.state == from }) {
		c.finishRefusal()
	}
}

// beginRefusal settles that the connection is refused, if may, which is called with mu held, says so.
func (c *Conn) beginRefusal(may func() bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !may() {
		return false
	}
	c.state = stateRefused
	c.failure = ErrRefused
	return true
}

func (c *Conn) finishRefusal() {
	// Not a deadline: the engine sets its own.
	defer time.AfterFunc(lingerTimeout, func() { c.Conn.Close() }).Stop()
	if _, err := c.writeConn(c.out.Load().Refusal); err == nil {
		c.linger()
	}
	c.end(true)
}

const (
	lingerTimeout = 500 * time.Millisecond
	lingerBytes   = 256 << 10
)

// linger reads what the client still sends: a close with unread octets would reset the
// connection, and with it the answer on its way.
// https://www.rfc-editor.org/rfc/rfc9112.html#section-9.6-10
func (c *Conn) linger() {
	half, ok := c.Conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	buf := make([]byte, 4<<10)
	for range lingerBytes / len(buf) {
		if _, err := c.readConn(buf); err != nil {
			return
		}
	}
}

// fail closes the connection because of err.
func (c *Conn) fail(err error) error {
	c.mu.Lock()
	if c.failure == nil {
		c.failure = err
	}
	c.mu.Unlock()
	c.Close()
	return err
}

// Close implements [net.Conn]. If the engine closes the connection before it has the request, the
// client is still owed an answer, and gets the refusal. If it has it, its handler may have run, and
// the refusal would have the client repeat the request.
func (c *Conn) Close() error {
	if c.beginRefusal(func() bool { return c.state == stateNew || c.state == stateTaken && !c.given }) {
		go c.finishRefusal()
		return nil
	}
	return c.end(false)
}

// end closes the connection, for Refuse or for anybody else.
func (c *Conn) end(refused bool) error {
	c.mu.Lock()
	if c.state == stateClosed || c.state == stateRefused && !refused {
		c.mu.Unlock()
		return net.ErrClosed
	}
	out := c.out.Load()
	if c.state == stateOpen && c.failure == nil && out != nil && !isClosed(out.prefaced) {
		c.failure = ErrPrefaceMissing
	}
	c.state = stateClosed
	failure := c.failure
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()

	err := c.Conn.Close()
	if out != nil {
		close(out.closed) // without out, nobody waits
	}
	c.onClosed(failure)
	return err
}

// await returns nil once ch is closed, or why the connection ended before.
func (c *Conn) await(h *handshake, ch <-chan struct{}) error {
	select {
	case <-ch:
		return nil
	case <-h.closed:
		return c.err()
	}
}

// err returns why the connection ended.
func (c *Conn) err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure != nil {
		return c.failure
	}
	return net.ErrClosed
}

// settlePreface notes that the client's preface and SETTINGS have come.
func (c *Conn) settlePreface(h *handshake) {
	c.mu.Lock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	c.mu.Unlock()
	close(h.prefaced)
}
