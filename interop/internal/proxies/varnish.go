//go:build unix

package proxies

import (
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var varnishPeer = &peer.Peer{Name: "varnishd", Files: peer.InSbin("varnishd"), Probe: []string{"-V"}}

func varnishProgram(vcl string) *peer.Program {
	return &peer.Program{
		Peer: varnishPeer,
		Args: []string{"-F", "-n", "{dir}/varnish", "-a", "127.0.0.1:{port}", "-f", "{dir}/conf", "-s", "malloc,64m"},
		Conf: `vcl 4.1;
backend default {
	.host = "127.0.0.1";
	.port = "{backend}";
}
` + vcl,
	}
}

// varnish caches what it can.
//
// Known deviation: it takes the trailer section of a chunked response for an error.
var varnish = &Proxy{
	Entry:    "default",
	Program:  varnishProgram(""),
	Proto:    http11,
	Offer:    plain,
	WithBody: plain,
}

// varnishPipe is the recipe of its documentation for websockets, for any protocol: such a
// request and all that follows it is passed on as it is, but for HTTP2-Settings.
var varnishPipe = &Proxy{
	Entry: "upgrade recipe",
	Program: varnishProgram(`
sub vcl_recv {
	if (req.http.upgrade) {
		return (pipe);
	}
}
sub vcl_pipe {
	if (req.http.upgrade) {
		set bereq.http.upgrade = req.http.upgrade;
		set bereq.http.connection = req.http.connection;
	}
}
`),
	Proto:    http11,
	Offer:    Outcome{Status: 200, Declined: h2c.ReasonSettingsCount, Failed: h2c.ReasonPrefaceLate},
	WithBody: Outcome{Status: 200, Declined: h2c.ReasonSettingsCount, Failed: h2c.ReasonPrefaceLate},
}
