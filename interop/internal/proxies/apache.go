//go:build unix

package proxies

import (
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var apachePeer = &peer.Peer{Name: "apache2", Files: peer.InSbin("apache2"), Probe: []string{"-v"}}

func apacheProgram(scheme, options string) *peer.Program {
	return &peer.Program{
		Peer: apachePeer,
		Args: []string{"-d", "{dir}", "-f", "{dir}/conf", "-DFOREGROUND"},
		Conf: `
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so
LoadModule proxy_http_module /usr/lib/apache2/modules/mod_proxy_http.so
LoadModule proxy_http2_module /usr/lib/apache2/modules/mod_proxy_http2.so
ServerName localhost
Listen 127.0.0.1:{port}
User www-data
Group www-data
DefaultRuntimeDir {dir}
PidFile {dir}/pid
ErrorLog /dev/stderr
ProxyPass / ` + scheme + "://127.0.0.1:{backend}/" + options + "\n",
	}
}

var apache = &Proxy{
	Entry:    "default",
	Program:  apacheProgram("http", ""),
	Proto:    http11,
	Cannot:   noTrailers,
	Offer:    plain,
	WithBody: plain,
}

var apacheH2C = &Proxy{
	Entry:    "h2c://",
	Program:  apacheProgram("h2c", ""),
	Proto:    http2,
	Cannot:   noTrailers,
	Offer:    plain,
	WithBody: plain,
}

// apacheUpgrade passes on Upgrade and HTTP2-Settings, but not the connection option of the
// latter.
var apacheUpgrade = &Proxy{
	Entry:    "upgrade=ANY",
	Program:  apacheProgram("http", " upgrade=ANY"),
	Proto:    http11,
	Cannot:   noTrailers,
	Offer:    Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
	WithBody: Outcome{Status: 200, Declined: h2c.ReasonConnectionTokens},
}
