//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// haproxy has a port for HTTP/2 alone, and closes others without an answer.
var haproxy = &Server{
	Name: "HAProxy", Peer: haproxyProgram.Peer, Speaks: SilentHTTP2,
	start: inFront(haproxyProgram),
}

var haproxyProgram = &peer.Program{
	Peer: &peer.Peer{Name: "haproxy", Files: peer.InSbin("haproxy"), Probe: []string{"-v"}},
	Args: []string{"-db", "-f", "{dir}/conf"},
	Conf: `global
	maxconn 1000
defaults
	mode http
	option abortonclose
	timeout connect 10s
	timeout client 30s
	timeout server 30s
frontend all
	bind 127.0.0.1:{port} proto h2
	default_backend handler
backend handler
	server handler 127.0.0.1:{backend}
`,
}
