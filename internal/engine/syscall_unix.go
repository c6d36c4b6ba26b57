//go:build unix && !(linux && (amd64 || arm64) && !race && !msan && !asan)

package engine

import "syscall"

func recv(fd uintptr, b []byte) (int, error) { return syscall.Read(int(fd), b) }
func send(fd uintptr, b []byte) (int, error) { return syscall.Write(int(fd), b) }
