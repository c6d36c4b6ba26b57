//go:build linux

package engine

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// What the kernel holds unsent is bounded once a connection is slow to take large DATA, unless the user
// did so.
func TestBoundUnsent(t *testing.T) {
	bound := maxUnsent
	if !mayBoundUnsent() {
		bound = 0 // net.ipv4.tcp_notsent_lowat of this system is lower, and holds
	}
	sockopt := func(nc net.Conn, do func(fd int) error) {
		t.Helper()
		raw, err := nc.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = do(int(fd)) })
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		size, user, want int
	}{
		"small":         {directSize - 1, 0, 0},
		"large":         {1 << 20, 0, bound},
		"bound by user": {1 << 20, 1 << 19, 1 << 19},
	} {
		t.Run(name, func(t *testing.T) {
			c, nc := tcpPair(t)
			nc.(*net.TCPConn).SetWriteBuffer(32 << 10)
			c.(*net.TCPConn).SetReadBuffer(32 << 10)
			if tt.user > 0 {
				sockopt(nc, func(fd int) error {
					return syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, tcpNotsentLowat, tt.user)
				})
			}
			wrote, ended := make(chan bool), make(chan bool)
			go func() {
				defer close(ended)
				New(&http.Server{}).Serve(nc, Options{Context: context.Background(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					n, _ := strconv.Atoi(r.URL.Path[1:])
					w.Write(make([]byte, n))
					close(wrote)
				})})
			}()
			c.Write(join([]byte(http2.ClientPreface), appendSettings(nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}),
				appendWindowUpdate(nil, 0, 1<<30), frame(http2.FrameHeaders, endBoth, 1, get("/"+strconv.Itoa(tt.size)))))
			go func() {
				for {
					if _, err := io.CopyN(io.Discard, c, 64<<10); err != nil {
						return
					}
					time.Sleep(slowWrite)
				}
			}()
			<-wrote
			got := 0
			sockopt(nc, func(fd int) (err error) {
				got, err = syscall.GetsockoptInt(fd, syscall.IPPROTO_TCP, tcpNotsentLowat)
				return err
			})
			if got = max(got, 0); got != tt.want {
				t.Errorf("bound of %d octets, want %d", got, tt.want)
			}
			c.Close()
			<-ended
		})
	}
}
