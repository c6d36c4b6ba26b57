package clients

import (
	_ "embed"
	"path/filepath"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

//go:embed testdata/client.js
var nodeSource []byte

var nodeDriver = &driver{
	peer:  &peer.Peer{Name: "Node http2", Files: []string{"node", "nodejs"}, Probe: []string{"--version"}},
	files: program("client.js", nodeSource),
	args:  func(dir string) []string { return []string{filepath.Join(dir, "client.js")} },
}

// Node is the module http2 of Node.js.
var Node = &Client{
	Peer:    nodeDriver.peer,
	Entries: []Entry{Prior},
	Send:    nodeDriver.send,
}
