//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// hyperH2 is a server of this package, on top of h2.
var hyperH2 = &Server{
	Name: "hyper-h2", Peer: hyperH2Program.Peer,
	start: native(as(hyperH2Program), false),
}

// The first python3 on the PATH need not be the one that the h2 package is installed for.
var hyperH2Program = &peer.Program{
	Peer: &peer.Peer{
		Name: "Python hyper-h2", Files: []string{"/usr/bin/python3", "python3"},
		Probe: []string{"-c", "import h2; print(h2.__version__)"},
	},
	Args:  []string{"{dir}/server.py", "{port}", "{www}"},
	Files: map[string]string{"server.py": source("server.py")},
}
