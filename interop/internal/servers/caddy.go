//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// caddy upgrades by golang.org/x/net/http2/h2c.
var caddy = &Server{
	Name: "Caddy", Peer: caddyProgram.Peer,
	Files:  true,
	Cannot: map[string]string{"upgrade: cancel in handler": notOfItsStream},
	start:  inFront(caddyProgram),
}

var caddyProgram = &peer.Program{
	Peer: &peer.Peer{Name: "caddy", Files: []string{"caddy"}, Probe: []string{"version"}},
	Args: []string{"run", "--adapter", "caddyfile", "--config", "{dir}/conf"},
	Env:  []string{"HOME={dir}", "XDG_DATA_HOME={dir}", "XDG_CONFIG_HOME={dir}"},
	Conf: `{
	admin off
	auto_https off
	servers {
		protocols h1 h2 h2c
	}
}
http://127.0.0.1:{port} {
	handle /bytes/* {
		root * {www}
		file_server
	}
	handle {
		reverse_proxy 127.0.0.1:{backend} {
			flush_interval 1ms
		}
	}
}
`,
}
