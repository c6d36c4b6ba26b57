//go:build unix

package engine

import (
	"io"
	"os"
	"syscall"
)

const canReadSockets = true

// readSocket reads into the buffer, which it holds only if there is something to read.
func (in *reader) readSocket(fd uintptr) (done bool) {
	if in.peek {
		return canRead(int(fd))
	}
	if in.buf == nil {
		in.buf = inPool.Get().(*[inSize]byte)[:]
	}
	for {
		n, err := syscall.Read(int(fd), in.buf[in.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			if in.r == in.w {
				in.release()
			}
			return false
		case err != nil:
			in.err = os.NewSyscallError("read", err)
		case n == 0:
			in.err = io.EOF
		default:
			in.n = n
		}
		return true
	}
}

// canRead reports whether a read would return at once.
func canRead(fd int) bool {
	for {
		var b [1]byte
		switch _, _, err := syscall.Recvfrom(fd, b[:], syscall.MSG_PEEK); err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
}
