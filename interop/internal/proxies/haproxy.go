//go:build unix

package proxies

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

var haproxyPeer = &peer.Peer{Name: "haproxy", Files: peer.InSbin("haproxy"), Probe: []string{"-v"}}

func haproxyProgram(defaults, server string) *peer.Program {
	return &peer.Program{
		Peer: haproxyPeer,
		Args: []string{"-db", "-f", "{dir}/conf"},
		Conf: `global
	maxconn 1000
defaults
	mode http
	timeout connect 10s
	timeout client 30s
	timeout server 30s
` + defaults + `
frontend all
	bind 127.0.0.1:{port}
	default_backend h2c
backend h2c
	server h2c 127.0.0.1:{backend} ` + server + "\n",
	}
}

// haproxy passes on all of an offer, and when that is accepted it is a tunnel. It drops the
// offer of a request that has a body.
var haproxy = &Proxy{
	Entry:    "default",
	Program:  haproxyProgram("", ""),
	Proto:    http11,
	Offer:    plain,
	WithBody: plain,
	Told:     haproxyProgram("\toption forwardfor", ""),
}

// haproxyH2 fails at a request that has an offer and no body, before it asks the server.
var haproxyH2 = &Proxy{
	Entry:    "proto h2",
	Program:  haproxyProgram("", "proto h2"),
	Proto:    http2,
	Offer:    Outcome{Status: 502},
	WithBody: plain,
}
