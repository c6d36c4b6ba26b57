//go:build unix

package engine

import (
	"errors"
	"net"
	"net/http"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// tcpPair returns the ends of a TCP connection.
func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	if b, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return a, b
}

// setBlocking puts the server's socket, which it returns, into blocking mode.
func (c *tcpConn) setBlocking() (nc net.Conn) {
	c.t.Helper()
	c.s.mu.Lock()
	for sc := range c.s.conns {
		nc = sc.nc
	}
	c.s.mu.Unlock()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		c.t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) })
	if err != nil {
		c.t.Fatal(err)
	}
	return nc
}

// A socket in blocking mode, which net.TCPConn.File and os.File.Fd leave behind, is served like any
// other, and the garbage collector does not wait for its client.
func TestBlockingSocket(t *testing.T) {
	c := dialTCP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			for range 16 << 20 / directSize {
				w.Write(make([]byte, directSize-1))
			}
			return
		}
		echoPath(w, r)
	})
	c.get(nil)
	c.setBlocking()
	collect := func() {
		time.Sleep(20 * time.Millisecond) // it waits for the client
		runtime.GC()
	}
	for range 3 {
		c.get(nil)
		collect()
	}
	c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	c.fr.WriteWindowUpdate(0, 1<<30)
	c.Write(post(c.next))
	collect()
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := f.(*http2.DataFrame); ok && f.StreamEnded() {
			break
		}
	}
}

// A write that the socket refuses is not taken for done.
func TestWriteError(t *testing.T) {
	nc, _ := tcpPair(t)
	if err := nc.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	o := &writer{nc: nc}
	if err := o.write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("%v, want %v", err, syscall.EPIPE)
	}
}
