//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package engine

import (
	"testing"
	"time"
)

// A connection that rests holds no thread in blocking mode either: it can be closed.
func TestBlockingSocketRests(t *testing.T) {
	c := dialTCP(t, echoPath)
	c.get(nil)
	nc := c.setBlocking()
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
