package clients

import (
	_ "embed"
	"path/filepath"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

//go:embed testdata/client.py
var hyperH2Source []byte

var hyperH2Driver = &driver{
	// The Python that Debian installs the package for comes first. Another one on the PATH
	// need not have it.
	peer: &peer.Peer{
		Name:  "Python hyper-h2",
		Files: []string{"/usr/bin/python3", "python3"},
		Probe: []string{"-c", "import h2.connection; print(h2.__version__)"},
	},
	files: program("client.py", hyperH2Source),
	args:  func(dir string) []string { return []string{filepath.Join(dir, "client.py")} },
}

// HyperH2 is the package h2 of Python, as a client that our driver writes HTTP/1.1 for. It
// is strict with what it receives.
var HyperH2 = &Client{
	Peer:    hyperH2Driver.peer,
	Entries: []Entry{Upgrade, Prior},
	Send:    hyperH2Driver.send,
}
