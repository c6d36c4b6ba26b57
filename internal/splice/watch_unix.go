//go:build unix

package splice

import (
	"net"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// WatchPreface calls begun if the first octets that come on nc are the beginning of a
// client preface, but not the whole. It consumes nothing: while it looks, others who read
// from nc wait, until there is something to read that is no such beginning, or a second
// look finds no more of it. It reports whether it can see the octets of nc at all.
//
// It must be called before anybody reads from nc.
func WatchPreface(nc net.Conn, begun func()) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	watching := make(chan struct{})
	go func() {
		seen := -1 // octets at the last look
		err := rc.Read(func(fd uintptr) (done bool) {
			first := seen < 0
			if first {
				seen = 0
				defer close(watching) // nobody can read before this returns
			}
			n := peekPreface(int(fd))
			switch {
			case n == 0:
				return false
			case n < 0 || n <= seen:
				return true
			case seen == 0:
				begun()
			}
			seen = n
			return false
		})
		if err != nil && seen < 0 {
			close(watching) // nc is closed already
		}
	}()
	<-watching
	return true
}

// peekPreface returns how many octets of a client preface wait on a socket: 0 if there is
// nothing to read yet, -1 if it is the whole preface or none.
func peekPreface(fd int) int {
	var buf [len(http2.ClientPreface)]byte
	n, _, err := syscall.Recvfrom(fd, buf[:], syscall.MSG_PEEK)
	for err == syscall.EINTR {
		n, _, err = syscall.Recvfrom(fd, buf[:], syscall.MSG_PEEK)
	}
	switch {
	case err == syscall.EAGAIN:
		return 0
	case err != nil || n <= 0 || n == len(buf) || !strings.HasPrefix(http2.ClientPreface, string(buf[:n])):
		return -1
	}
	return n
}
