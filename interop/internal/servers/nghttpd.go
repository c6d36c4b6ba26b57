//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// nghttpd answers HTTP/1.1 by SETTINGS and closes.
var nghttpd = &Server{
	Name: "nghttpd", Peer: nghttpdProgram.Peer, Speaks: OnlyHTTP2,
	Files:  true,
	Cannot: noHandler(map[string]string{}),
	start:  ofFiles(nghttpdProgram),
}

var nghttpdProgram = &peer.Program{
	Peer: &peer.Peer{Name: "nghttpd", Files: peer.InSbin("nghttpd"), Probe: []string{"--version"}},
	Args: []string{
		"--no-tls", "--address=127.0.0.1", "--htdocs={www}",
		"--echo-upload", "--trailer=x-check: done", "{port}",
	},
	Files: map[string]string{"www/trailers": "hello\n"},
}
