//go:build unix

package proxies

import (
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var caddyPeer = &peer.Peer{Name: "caddy", Files: []string{"caddy"}, Probe: []string{"version"}}

func caddyProgram(scheme string) *peer.Program {
	return &peer.Program{
		Peer: caddyPeer,
		Args: []string{"run", "--adapter", "caddyfile", "--config", "{dir}/conf"},
		Env:  []string{"HOME={dir}", "XDG_DATA_HOME={dir}", "XDG_CONFIG_HOME={dir}"},
		Conf: `{
	admin off
	auto_https off
}
http://127.0.0.1:{port} {
	reverse_proxy ` + scheme + `127.0.0.1:{backend}
}
`,
	}
}

// caddy passes on Upgrade and HTTP2-Settings, but not the connection option of the latter.
var caddy = &Proxy{
	Entry:    "default",
	Program:  caddyProgram(""),
	Proto:    http11,
	Offer:    Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
	WithBody: Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
}

// caddyH2C fails at a request with an Upgrade field, before it asks the server.
var caddyH2C = &Proxy{
	Entry:    "h2c://",
	Program:  caddyProgram("h2c://"),
	Proto:    http2,
	Offer:    Outcome{Status: 502},
	WithBody: Outcome{Status: 502},
}
