//go:build unix

package interop

import "os"

// h2o sends the whole response before it has the client preface, and SETTINGS twice.
var h2o = &program{
	peer: &peer{name: "h2o", files: named("h2o"), probe: []string{"--version"}},
	args: []string{"-c", "{dir}/conf"},
	conf: h2oUser() + `
num-threads: 1
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      /:
        file.dir: {www}
`,
}

// h2oUser keeps h2o from asking for another user, which only root may.
func h2oUser() string {
	if os.Geteuid() == 0 {
		return "user: root"
	}
	return ""
}
