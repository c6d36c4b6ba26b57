//go:build unix

package servers

import "github.com/seed78dc1b7f/h2c/interop/internal/peer"

// varnish sends nothing before it has the client preface. It takes requests of HTTP/1.1 to
// what is behind it.
//
// Known deviation: it does not count stream 1 of an upgraded connection among those that
// were opened, and answers a WINDOW_UPDATE on it by GOAWAY with PROTOCOL_ERROR and the last
// stream 0. That stream is half-closed, where WINDOW_UPDATE is allowed: RFC 7540, Section
// 3.2 and RFC 9113, Section 5.1. So a response on stream 1 that is large enough to need one
// often breaks off, and here the first one is small.
var varnish = &peer.Program{
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
