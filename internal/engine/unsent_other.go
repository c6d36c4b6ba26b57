//go:build !linux

package engine

import "net"

// boundUnsent does nothing: what the kernel takes is its own affair.
func boundUnsent(net.Conn) {}
