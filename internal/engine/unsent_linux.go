package engine

import (
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// maxUnsent is how much the kernel takes before it can send it from a connection on which large writes
// are slow, in octets. By itself it takes megabytes: nothing more urgent can overtake these, and with
// many connections they have left the processor's cache when they are sent.
const maxUnsent = 256 << 10

// tcpNotsentLowat is TCP_NOTSENT_LOWAT of include/uapi/linux/tcp.h, which syscall lacks.
const tcpNotsentLowat = 25

// mayBoundUnsent is false where the system has a lower bound.
var mayBoundUnsent = sync.OnceValue(func() bool {
	b, err := os.ReadFile("/proc/sys/net/ipv4/tcp_notsent_lowat")
	if err != nil {
		return true
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return err != nil || n > maxUnsent
})

// boundUnsent sets maxUnsent, unless somebody has set a bound.
func boundUnsent(nc net.Conn) {
	tcp, ok := nc.(*net.TCPConn)
	if !ok || !mayBoundUnsent() {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	raw.Control(func(fd uintptr) {
		if n, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat); err == nil && n <= 0 {
			syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat, maxUnsent)
		}
	})
}
