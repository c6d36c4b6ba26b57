package clients

import (
	"context"
	_ "embed"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

//go:embed testdata/client.js
var nodeSource string

var nodeDriver = &driver{
	peer: &peer.Peer{Name: "Node http2", Files: []string{"node", "nodejs"}, Probe: []string{"--version"}},
	args: func(context.Context, string, string) ([]string, error) { return []string{"-e", nodeSource}, nil },
}

// Node is the module http2 of Node.js.
var Node = &Client{
	Peer:    nodeDriver.peer,
	Entries: []Entry{Prior},
	Send:    nodeDriver.send,
}
