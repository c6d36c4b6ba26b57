//go:build unix

package interop

// apache sends the whole response before it has the client preface, and advertises h2c in
// every response of HTTP/1.1. With mpm_event it would send GOAWAY to idle connections
// within 100 ms; RFC 9113, Section 6.8 allows that at any time.
var apache = &program{
	peer: &peer{name: "apache2", files: installed("apache2"), probe: []string{"-v"}},
	args: []string{"-d", "{dir}", "-f", "{dir}/conf", "-DFOREGROUND"},
	conf: `
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
