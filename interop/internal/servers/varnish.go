//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// varnish sends nothing before it has the client preface. It takes requests of HTTP/1.1 to
// what is behind it.
var varnish = &Server{
	Name: "Varnish", Peer: varnishProgram.Peer,
	WithBody: Declined, WithMore: Declined,
	Cannot: map[string]string{"cancel in handler": waits},
	start:  inFront(varnishProgram),
}

var varnishProgram = &peer.Program{
	Peer: &peer.Peer{Name: "varnishd", Files: peer.InSbin("varnishd"), Probe: []string{"-V"}},
	Args: []string{
		"-F", "-n", "{dir}/varnish", "-a", "127.0.0.1:{port}", "-f", "{dir}/conf",
		"-p", "feature=+http2", "-s", "malloc,16m",
	},
	Conf: `vcl 4.1;
backend default {
	.host = "127.0.0.1";
	.port = "{backend}";
}
sub vcl_recv {
	return (pass);
}
`,
}
