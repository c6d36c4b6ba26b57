package main

import (
	"bytes"
	"net"
	"sync"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

// A goAwayListener tells when the server has sent GOAWAY on a connection, which is how
// HTTP/2 begins to drain one.
type goAwayListener struct {
	net.Listener
	once sync.Once
	sent chan struct{} // closed then
}

func (l *goAwayListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &goAwayConn{nc.(matrix.Socket), l}, nil
}

type goAwayConn struct {
	matrix.Socket
	l *goAwayListener
}

// goAwayHeader begins a GOAWAY frame without debug data: 8 octets, type 7, stream 0.
var goAwayHeader = []byte{0, 0, 8, 7, 0, 0, 0, 0, 0}

func (c *goAwayConn) Write(p []byte) (int, error) {
	n, err := c.Socket.Write(p)
	if bytes.Contains(p[:n], goAwayHeader) {
		c.l.once.Do(func() { close(c.l.sent) })
	}
	return n, err
}
