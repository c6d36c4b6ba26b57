//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package engine

import (
	"net"
	"os"
	"syscall"
	"unsafe"
)

// maxRawVectors is maxRaw for a write of vectors, whose calls cost more.
const maxRawVectors = 256 << 10

type rawVectors [maxVectors]syscall.Iovec

// writeVectors writes the vectors, to a socket as send does.
func (o *writer) writeVectors(nc net.Conn, v *vectors) (n int64, err error) {
	if !o.isSocket() {
		return v.rest.WriteTo(nc)
	}
	rest := v.raw[:0]
	for _, b := range v.rest {
		rest = append(rest, iovec(b))
	}
	defer clear(v.raw[:len(rest)])
	var failure error
	err = o.raw.Write(func(fd uintptr) (done bool) {
		for len(rest) > 0 {
			sent, errno := sendVectors(fd, rest)
			switch errno {
			case 0:
			case syscall.EINTR:
				continue
			case syscall.EAGAIN:
				return false
			default:
				failure = os.NewSyscallError("sendmsg", errno)
				return true
			}
			n += int64(sent)
			rest = skipVectors(rest, sent)
		}
		return true
	})
	if err == nil {
		err = failure
	}
	return n, err
}

func iovec(b []byte) syscall.Iovec {
	return syscall.Iovec{Base: unsafe.SliceData(b), Len: uint64(len(b))}
}

// sendVectors writes of the vectors what it can, maxRawVectors octets at the most.
func sendVectors(fd uintptr, v []syscall.Iovec) (int, syscall.Errno) {
	if v[0].Len > maxRawVectors {
		v = []syscall.Iovec{{Base: v[0].Base, Len: maxRawVectors}}
	}
	n, size := 0, uint64(0)
	for n < len(v) && size+v[n].Len <= maxRawVectors {
		size += v[n].Len
		n++
	}
	msg := syscall.Msghdr{Iov: &v[0], Iovlen: uint64(n)}
	sent, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&msg)),
		syscall.MSG_NOSIGNAL|syscall.MSG_DONTWAIT)
	return int(sent), errno
}

// skipVectors drops n octets of the vectors.
func skipVectors(v []syscall.Iovec, n int) []syscall.Iovec {
	for n > 0 && uint64(n) >= v[0].Len {
		n -= int(v[0].Len)
		v = v[1:]
	}
	if n > 0 {
		v[0] = iovec(unsafe.Slice(v[0].Base, v[0].Len)[n:])
	}
	return v
}
