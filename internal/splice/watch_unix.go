//go:build unix

package splice

import (
	"net"
	"strings"
	"syscall"

	"golang.org/x/net/http2"
)

// WatchPreface calls begun if the first octets that come on nc are the beginning of a
// client preface, but not the whole, and ended if what comes then is something else. It
// consumes nothing: while it looks, others who read from nc wait, until there is something to
// read that is no such beginning, or, on Linux, the client has ended. If that is no preface
// at all and other is not nil, what has come is dropped, and other is called. It reports
// whether it can see the octets of nc at all.
//
// It must be called before anybody reads from nc.
func WatchPreface(nc net.Conn, begun, ended, other func()) bool {
	var sc syscall.Conn
	switch nc := nc.(type) { // others may have a Read of their own in front of the socket
	case *net.TCPConn:
		sc = nc
	case *net.UnixConn:
		sc = nc
	default:
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	watching := make(chan struct{})
	go func() {
		looked, begins, isOther := false, false, false
		err := rc.Read(func(fd uintptr) (done bool) {
			if !looked {
				looked = true
				defer close(watching) // nobody can read before this returns
			}
			n, is := peekPreface(int(fd))
			if !is && begins {
				ended()
			}
			switch {
			case !is && other != nil:
				drop(int(fd))
				isOther = true
				return true
			case !is || n == len(http2.ClientPreface):
				return true
			case n == 0:
				return false
			case !begins:
				begins = true
				begun()
			}
			// An event alone says nothing: it may be that of octets which the last look has found.
			return hasEnded(int(fd))
		})
		if err != nil && !looked {
			close(watching) // nc is closed already
		}
		if isOther {
			other()
		}
	}()
	<-watching
	return true
}

// peekPreface returns how many octets of a client preface wait on a socket, and whether what waits
// is one as far as it goes. An error, or the end, is for others to find.
func peekPreface(fd int) (n int, is bool) {
	var buf [len(http2.ClientPreface)]byte
	n, err := recv(fd, buf[:], syscall.MSG_PEEK)
	switch {
	case err == syscall.EAGAIN:
		return 0, true
	case err != nil || n <= 0:
		return len(buf), true
	}
	return n, strings.HasPrefix(http2.ClientPreface, string(buf[:n]))
}

// drop reads what waits on a socket.
func drop(fd int) {
	buf := make([]byte, 4<<10)
	for range lingerBytes / len(buf) {
		if n, err := recv(fd, buf, 0); err != nil || n <= 0 {
			return
		}
	}
}

func recv(fd int, p []byte, flags int) (n int, err error) {
	for err = syscall.EINTR; err == syscall.EINTR; {
		n, _, err = syscall.Recvfrom(fd, p, flags)
	}
	return n, err
}
