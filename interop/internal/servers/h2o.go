//go:build unix

package servers

import (
	"os"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// h2o sends the whole response before it has the client preface, and SETTINGS twice.
var h2o = &Server{
	Name: "h2o", Peer: h2oProgram.Peer,
	Files:  true,
	Cannot: map[string]string{"trailers": dropsTrailers},
	start:  inFront(h2oProgram),
}

var h2oProgram = &peer.Program{
	Peer: &peer.Peer{Name: "h2o", Files: []string{"h2o"}, Probe: []string{"--version"}},
	Args: []string{"-c", "{dir}/conf"},
	Conf: h2oUser() + `
num-threads: 1
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      /bytes:
        file.dir: {www}/bytes
      /:
        proxy.reverse.url: http://127.0.0.1:{backend}/
`,
}

// h2oUser keeps h2o from asking for another user, which only root may.
func h2oUser() string {
	if os.Geteuid() == 0 {
		return "user: root"
	}
	return ""
}
