//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// node is a server of Node's http2 module, which takes HTTP/2 alone.
var node = &Server{
	Name: "Node http2", Peer: nodeProgram.Peer, Speaks: OnlyHTTP2,
	start: native(as(nodeProgram), true),
}

var nodeProgram = &peer.Program{
	Peer:  &peer.Peer{Name: "Node http2", Files: []string{"node", "nodejs"}, Probe: []string{"--version"}},
	Args:  []string{"{dir}/server.js", "{port}", "{www}"},
	Files: map[string]string{"server.js": source("server.js")},
}
