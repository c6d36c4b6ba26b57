//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// apache sends the whole response before it has the client preface, and advertises h2c in
// every response of HTTP/1.1. With mpm_event it would send GOAWAY to idle connections
// within 100 ms; RFC 9113, Section 6.8 allows that at any time.
var apache = &peer.Program{
	Peer: &peer.Peer{Name: "apache2", Files: peer.InSbin("apache2"), Probe: []string{"-v"}},
	Args: []string{"-d", "{dir}", "-f", "{dir}/conf", "-DFOREGROUND"},
	Conf: `
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
ServerName localhost
Listen 127.0.0.1:{port}
User www-data
Group www-data
DefaultRuntimeDir {dir}
PidFile {dir}/pid
ErrorLog /dev/stderr
DocumentRoot {www}
Protocols h2c http/1.1
H2Upgrade on
H2Direct on
`,
}
