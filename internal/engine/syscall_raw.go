//go:build linux && (amd64 || arm64) && !race && !msan && !asan

package engine

import (
	"syscall"
	"unsafe"
)

// The runtime is not told of these system calls, which do not wait: otherwise it takes the processor
// from this thread when the call lasts 20 µs, and finds it another one afterwards. The race detector
// and its like are told of calls by package syscall.

// maxRaw is how much such a call copies, in octets: the garbage collector waits for its end.
const maxRaw = 128 << 10

// recv reads from a socket. It fails with EAGAIN if there is nothing, whatever the mode of fd.
func recv(fd uintptr, b []byte) (int, error) { return transfer(syscall.SYS_RECVFROM, fd, b, 0) }

// peek is recv for octets that are to be read again.
func peek(fd uintptr, b []byte) error {
	_, err := transfer(syscall.SYS_RECVFROM, fd, b, syscall.MSG_PEEK)
	return err
}

// send writes to a socket. It fails with EAGAIN if there is no room, whatever the mode of fd.
func send(fd uintptr, b []byte) (int, error) {
	return transfer(syscall.SYS_SENDTO, fd, b, syscall.MSG_NOSIGNAL)
}

func transfer(call, fd uintptr, b []byte, flags uintptr) (int, error) {
	n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(b))),
		uintptr(min(len(b), maxRaw)), flags|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
