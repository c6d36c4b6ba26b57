//go:build unix && !(linux && (amd64 || arm64) && !race && !msan && !asan)

package engine

import "syscall"

func recv(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }

func peek(fd uintptr, b []byte) error {
	_, _, err := syscall.Recvfrom(int(fd), b, syscall.MSG_PEEK)
	return err
}

func send(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
