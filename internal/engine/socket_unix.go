//go:build unix

package engine

import (
	"io"
	"os"
	"syscall"
)

// hasSockets says that there are readSocket and writeSocket.
const hasSockets = true

// readSocket reads into the buffer, which it holds only if there is something to read.
func (in *reader) readSocket(fd uintptr) (done bool) {
	if in.peek {
		return canRead(fd)
	}
	switch {
	case in.buf != nil:
	case in.bulk:
		in.buf = bulkPool.Get().(*[bulkSize]byte)[:]
	default:
		in.buf = inPool.Get().(*[inSize]byte)[:]
	}
	for {
		n, err := recv(fd, in.buf[in.w:])
		switch {
		case err == syscall.EINTR:
			continue
		case err == syscall.EAGAIN:
			in.shrink()
			if in.hurry {
				in.err = errNothing
			}
			return in.hurry
		case err != nil:
			in.err = os.NewSyscallError("read", err)
		case n == 0:
			in.err = io.EOF
		default:
			in.n = n
			in.bulk = n >= minBulk
		}
		return true
	}
}

// canRead reports whether a read would return at once.
func canRead(fd uintptr) bool {
	for {
		var b [1]byte
		switch err := peek(fd, b[:]); err {
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			return true
		}
	}
}

// writeSocket writes what is pending.
func (o *writer) writeSocket(fd uintptr) (done bool) {
	for len(o.pending) > 0 {
		n, err := send(fd, o.pending)
		switch {
		case err == syscall.EINTR:
		case err == syscall.EAGAIN:
			return false
		case err != nil:
			o.failure = os.NewSyscallError("write", err)
			return true
		default:
			o.pending = o.pending[n:]
		}
	}
	return true
}
