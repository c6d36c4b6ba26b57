//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// nghttpx upgrades on its own, whatever is behind it, and sends the whole response before
// it has the client preface.
var nghttpx = &Server{
	Name: "nghttpx", Peer: nghttpxProgram.Peer,
	start: inFront(nghttpxProgram),
}

var nghttpxProgram = &peer.Program{
	Peer: &peer.Peer{Name: "nghttpx", Files: peer.InSbin("nghttpx"), Probe: []string{"--version"}},
	Args: []string{
		"--conf=/dev/null", "--no-ocsp", "--workers=1",
		"--frontend=127.0.0.1,{port};no-tls", "--backend=127.0.0.1,{backend}",
	},
}
