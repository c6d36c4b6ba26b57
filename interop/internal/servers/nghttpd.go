//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// nghttpd speaks nothing but HTTP/2: it answers HTTP/1.1 by SETTINGS and closes.
var nghttpd = &peer.Program{
	Peer: &peer.Peer{Name: "nghttpd", Files: peer.InSbin("nghttpd"), Probe: []string{"--version"}},
	Args: []string{"--no-tls", "--address=127.0.0.1", "--htdocs={www}", "{port}"},
}

// nghttpx upgrades on its own, whatever is behind it, and sends the whole response before
// it has the client preface.
var nghttpx = &peer.Program{
	Peer: &peer.Peer{Name: "nghttpx", Files: peer.InSbin("nghttpx"), Probe: []string{"--version"}},
	Args: []string{
		"--conf=/dev/null", "--no-ocsp", "--workers=1",
		"--frontend=127.0.0.1,{port};no-tls", "--backend=127.0.0.1,{backend};;proto=h2",
	},
}
