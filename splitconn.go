package h2c

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

const (
	clientPreface = http2.ClientPreface
	// prefaceHead is as much of it as reads like the head of a request.
	prefaceHead = "PRI * HTTP/2.0\r\n\r\n"

	maxSplitHead = 16 << 10 // octets of a head in which Split looks for an offer
)

type splitKey struct{} // *splitConn of a request to a server of a splitter

func withSplitConn(ctx context.Context, nc net.Conn) context.Context {
	return context.WithValue(ctx, splitKey{}, nc)
}

// A splitConn is a connection that was split and does not speak HTTP/2, or not yet. What was
// read to find that out is read again from it.
type splitConn struct {
	net.Conn
	sp *splitter

	addrMu    sync.Mutex
	local     net.Addr // nil until somebody has asked
	forgotten bool     // no request comes from it any more

	seen   []byte // what has been read; once it is yielded, what is left of that
	again  int    // octets of it that the negotiator has read
	silent bool   // waits for the first octet; guarded by sp.mu
	mode   atomic.Int32

	unclaimed bool // its server is missing, not only busy

	declined *http.Request // its first request, until NewHandler has heard of that
	verdict  offer
}

// The modes of a splitConn.
const (
	splitPlain     = iota
	splitUndecided // the negotiator has it, and nothing that it does shows
	splitDecided   // the negotiator accepts the offer
)

func newSplitConn(sp *splitter, nc net.Conn) *splitConn {
	return &splitConn{Conn: nc, sp: sp, silent: true}
}

// ownAddr returns an address that is like addr, and equal to no other where it is compared as
// an interface. By it NewHandler knows from which Split a request comes.
func ownAddr(addr net.Addr) net.Addr {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if a != nil {
			own := *a
			return &own
		}
	case *net.UnixAddr:
		if a != nil {
			own := *a
			return &own
		}
	}
	return &otherAddr{addr}
}

type otherAddr struct{ net.Addr }

// splitConnOf returns the connection of r if it came from a Split of s, or nil.
func (s *Server) splitConnOf(r *http.Request) *splitConn {
	addr := localAddr(r)
	switch addr.(type) {
	case *net.TCPAddr, *net.UnixAddr, *otherAddr:
		if c, ok := s.splitConns.Load(addr); ok {
			return c.(*splitConn)
		}
	}
	return nil
}

// LocalAddr implements [net.Conn]. The connection below is asked no sooner: behind a proxy that sends
// the addresses first, it waits for the client.
func (c *splitConn) LocalAddr() net.Addr {
	addr := ownAddr(c.Conn.LocalAddr())
	c.addrMu.Lock()
	defer c.addrMu.Unlock()
	if c.local == nil {
		c.local = addr
		if !c.forgotten {
			c.sp.s.splitConns.Store(addr, c)
		}
	}
	return c.local
}

// unlist says that no request is on the connection any more.
func (c *splitConn) unlist() {
	c.addrMu.Lock()
	defer c.addrMu.Unlock()
	c.forgotten = true
	if c.local != nil {
		c.sp.s.splitConns.Delete(c.local)
	}
}

// NetConn returns the connection that was accepted. What was read from it to find out what it
// speaks is read from c alone.
func (c *splitConn) NetConn() net.Conn { return c.Conn }

func (c *splitConn) remote() string { return remoteAddr(c.Conn) }

// isTLS reports whether nobody may be offered h2c on the connection.
// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
func (c *splitConn) isTLS() bool {
	_, ok := c.Conn.(interface{ ConnectionState() tls.ConnectionState })
	return ok
}

// splitBegin is what a connection begins with.
type splitBegin int

const (
	beginNothing splitBegin = iota // it has ended
	beginPreface                   // the client preface, or with an error half of it
	beginOffer                     // a head with an offer, by the look of it
	beginHTTP1                     // anything else
)

// readBegin reads as much of a connection as tells what it begins with.
func (c *splitConn) readBegin(timeout time.Duration) (splitBegin, error) {
	var deadline time.Time
	if timeout > 0 {
		deadline = time.Now().Add(timeout)
		c.Conn.SetReadDeadline(deadline)
	}
	if c.sp.isClosing() {
		return beginNothing, nil
	}
	for {
		if len(c.seen) == cap(c.seen) {
			c.seen = append(make([]byte, 0, max(512, 2*cap(c.seen))), c.seen...)
		}
		n, err := c.Conn.Read(c.seen[len(c.seen):cap(c.seen)])
		if n > 0 && len(c.seen) == 0 {
			c.heard(deadline)
		}
		c.seen = c.seen[:len(c.seen)+n]
		begin, known := judgeBegin(c.seen)
		switch {
		case known && begin == beginPreface && string(c.seen[:len(prefaceHead)]) == prefaceHead && !bytes.HasPrefix(c.seen, []byte(clientPreface)):
			return begin, splice.ErrPrefaceInvalid
		case known:
			c.Conn.SetReadDeadline(time.Time{})
			return begin, nil
		case err == nil:
			continue
		}
		expired := errors.Is(err, os.ErrDeadlineExceeded)
		switch {
		case len(c.seen) > 0 && strings.HasPrefix(clientPreface, string(c.seen)):
			if expired {
				return beginPreface, splice.ErrPrefaceTimeout
			}
			return beginPreface, splice.ErrPrefaceMissing
		case expired && !c.heard(time.Time{}) || len(c.seen) > 0:
			c.Conn.SetReadDeadline(time.Time{})
			return beginHTTP1, nil
		}
		return beginNothing, nil
	}
}

// judgeBegin tells what a connection begins with, as soon as b shows it.
func judgeBegin(b []byte) (begin splitBegin, known bool) {
	n := min(len(b), len(clientPreface))
	switch {
	case string(b[:n]) == clientPreface[:n]:
		return beginPreface, n == len(clientPreface)
	case bytes.HasPrefix(b, []byte(prefaceHead)):
		return beginPreface, true // and wrong
	case bytes.Contains(b, []byte("\n\r\n")) || bytes.Contains(b, []byte("\n\n")):
		if mentionsH2C(b) {
			return beginOffer, true
		}
		return beginHTTP1, true
	}
	return beginHTTP1, len(b) >= maxSplitHead
}

// mentionsH2C reports whether there is a "h2c" in b.
func mentionsH2C(b []byte) bool {
	for {
		i := bytes.Index(b, []byte("2"))
		if i < 0 || i+1 == len(b) {
			return false
		}
		if i > 0 && b[i-1]|0x20 == 'h' && b[i+1]|0x20 == 'c' {
			return true
		}
		b = b[i+1:]
	}
}

// hurry ends the wait for the first octet. sp.mu is held.
func (c *splitConn) hurry() {
	if c.silent {
		c.Conn.SetReadDeadline(time.Now())
	}
}

// heard notes that the wait for the first octet is over, and undoes what hurry may have done.
// It reports whether the splitter is closing.
func (c *splitConn) heard(deadline time.Time) bool {
	c.sp.mu.Lock()
	defer c.sp.mu.Unlock()
	c.silent = false
	if c.sp.closing {
		c.Conn.SetReadDeadline(deadline)
	}
	return c.sp.closing
}

// Read implements [net.Conn].
func (c *splitConn) Read(p []byte) (int, error) {
	switch c.mode.Load() {
	case splitPlain:
		if len(c.seen) > 0 {
			n := copy(p, c.seen)
			if c.seen = c.seen[n:]; len(c.seen) == 0 {
				c.seen = nil
			}
			return n, nil
		}
		return c.Conn.Read(p)
	case splitUndecided:
		if c.again == len(c.seen) {
			n, err := c.Conn.Read(p)
			c.seen = append(c.seen, p[:n]...)
			c.again += n
			return n, err
		}
	}
	if c.again < len(c.seen) {
		n := copy(p, c.seen[c.again:])
		c.again += n
		return n, nil
	}
	return c.Conn.Read(p)
}

// Write implements [net.Conn].
func (c *splitConn) Write(p []byte) (int, error) {
	if c.mode.Load() == splitUndecided {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// ReadFrom implements [io.ReaderFrom], for what the connection below makes of it.
func (c *splitConn) ReadFrom(r io.Reader) (int64, error) {
	if c.mode.Load() == splitUndecided {
		return io.Copy(io.Discard, r)
	}
	return io.Copy(c.Conn, r)
}

// CloseWrite ends the octets to the client, where the connection below can.
func (c *splitConn) CloseWrite() error {
	if c.mode.Load() == splitUndecided {
		return nil
	}
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// Close implements [net.Conn]. A connection on which no offer was accepted goes on to http1,
// unless it is the Close of the negotiator that closes it, which may still read.
func (c *splitConn) Close() error {
	if !c.sp.aborted.Load() && c.mode.CompareAndSwap(splitUndecided, splitPlain) {
		c.Conn.SetDeadline(time.Time{})
		go c.sp.yield(c)
		return nil
	}
	c.forget()
	return c.Conn.Close()
}

// release returns the connection itself, for HTTP/2, and what was read of it beside buffered.
func (c *splitConn) release(buffered []byte) (net.Conn, []byte) {
	c.unlist()
	if c.mode.Load() == splitDecided { // and still pending
		return c.Conn, append(buffered, c.seen[c.again:]...)
	}
	return c.Conn, append(buffered, c.seen...)
}

// forget is unlist, and has nobody wait for c.
func (c *splitConn) forget() {
	c.unlist()
	c.sp.remove(c)
}
