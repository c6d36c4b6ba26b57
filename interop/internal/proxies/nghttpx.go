//go:build unix

package proxies

import (
	"net/http"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var nghttpxPeer = &peer.Peer{Name: "nghttpx", Files: peer.InSbin("nghttpx"), Probe: []string{"--version"}}

func nghttpxProgram(proto string) *peer.Program {
	return &peer.Program{
		Peer: nghttpxPeer,
		Args: []string{
			"--conf=/dev/null", "--no-ocsp", "--workers=1", "--single-process",
			"--frontend=127.0.0.1,{port};no-tls", "--backend=127.0.0.1,{backend};;" + proto,
		},
	}
}

// nghttpx accepts an offer itself, whatever the server says to it.
var nghttpx = &Proxy{
	Entry:    "default",
	Program:  nghttpxProgram("proto=http/1.1"),
	Proto:    http11,
	Offer:    Outcome{Status: http.StatusSwitchingProtocols},
	WithBody: Outcome{Status: http.StatusSwitchingProtocols},
}

var nghttpxH2 = &Proxy{
	Entry:    "proto=h2",
	Program:  nghttpxProgram("proto=h2"),
	Proto:    http2,
	Offer:    Outcome{Status: http.StatusSwitchingProtocols},
	WithBody: Outcome{Status: http.StatusSwitchingProtocols},
}
