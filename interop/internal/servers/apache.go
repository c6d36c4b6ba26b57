//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

var apachePeer = &peer.Peer{Name: "apache2", Files: peer.InSbin("apache2"), Probe: []string{"-v"}}

// apacheWorker sends the whole response before it has the client preface, and advertises h2c
// in every response of HTTP/1.1.
var apacheWorker = &Server{
	Name: "Apache mpm_worker", Peer: apachePeer,
	WithBody: Declined, WithMore: Declined,
	Files:  true,
	Cannot: map[string]string{"cancel in handler": waits},
	start:  inFront(apacheProgram("worker", "")),
}

// apacheEvent is apacheWorker, but ends an idle connection after KeepAliveTimeout, and after
// an Upgrade when the client's next frames come.
var apacheEvent = &Server{
	Name: "Apache mpm_event", Peer: apachePeer,
	WithBody: Declined, WithMore: Declined,
	Files: true, Restless: true,
	Cannot: map[string]string{"cancel in handler": waits},
	start:  inFront(apacheProgram("event", "KeepAliveTimeout 500ms")),
}

func apacheProgram(mpm, directive string) *peer.Program {
	return &peer.Program{
		Peer: apachePeer,
		Args: []string{"-d", "{dir}", "-f", "{dir}/conf", "-DFOREGROUND"},
		Conf: `
LoadModule mpm_` + mpm + `_module /usr/lib/apache2/modules/mod_mpm_` + mpm + `.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
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
H2EarlyHints on
ProxyPass /bytes !
ProxyPass / http://127.0.0.1:{backend}/ flushpackets=on
` + directive + "\n",
	}
}
