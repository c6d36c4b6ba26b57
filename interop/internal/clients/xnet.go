//lint:file-ignore SA1019 Clients in use have it.

package clients

import (
	"context"
	"crypto/tls"
	"net"
	"runtime/debug"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// XNet is the client of golang.org/x/net/http2. It says that it expects 100, and does not
// wait for it.
var XNet = &Client{
	Peer:    &peer.Peer{Name: "x/net/http2", Says: func() string { return moduleVersion("golang.org/x/net") }},
	Entries: []Entry{Prior},
	Send: func(ctx context.Context, job Job) ([]Response, error) {
		tr := &http2.Transport{
			AllowHTTP:          true,
			DisableCompression: true,
			IdleConnTimeout:    idleConnTimeout,
			DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, addr)
			},
		}
		defer tr.CloseIdleConnections()
		return sendByGo(ctx, tr, job)
	},
}

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return m.Version
			}
		}
	}
	return "unknown"
}
