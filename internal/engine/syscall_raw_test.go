//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package engine

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// A connection that rests holds no thread in blocking mode either: it can be closed.
func TestBlockingSocketRests(t *testing.T) {
	c := dialTCP(t, echoPath)
	c.get(nil)
	c.s.mu.Lock()
	var nc net.Conn
	for sc := range c.s.conns {
		nc = sc.nc
	}
	c.s.mu.Unlock()
	raw, err := nc.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) })
	if err != nil {
		t.Fatal(err)
	}
	c.rest()
	time.Sleep(20 * time.Millisecond) // it waits for the client
	c.get(nil)
	c.rest()
	time.Sleep(20 * time.Millisecond)
	closed := make(chan bool)
	go func() {
		nc.Close()
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(5 * time.Second):
		t.Error("Close waits for the client")
	}
}
