package main

import (
	"regexp"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

var proxyDeviations = []matrix.Deviation{
	{
		Peer: "haproxy", Entry: "default", Case: "offer", Shows: tunnel,
		Evidence: isTunnel + " It drops the offer of a request that has a body.",
		RFC:      hopByHop,
	},
	{Peer: "nginx", Entry: "Connection $http_connection", Case: "offer", Shows: tunnel, Evidence: isTunnel, RFC: hopByHop},
	{Peer: "nginx", Entry: "Connection $http_connection", Case: "offer with body", Shows: tunnel, Evidence: isTunnel, RFC: hopByHop},
	{
		Peer: "varnishd", Case: "trailers", Shows: regexp.MustCompile(`unexpected EOF|503 Service Unavailable|body "hello\\n" with trailer map\[\]`),
		Evidence: "It takes the trailer section of a chunked response for an error (FetchError: chunked tail no NL), and answers 503 or breaks off.",
		RFC:      "https://www.rfc-editor.org/rfc/rfc9112.html#section-7.1.2",
	},
}

var tunnel = regexp.MustCompile(`: upgraded through the proxy: `)

const (
	isTunnel = "It passes on Upgrade, HTTP2-Settings and their connection options, and after the 101 it is a tunnel: " +
		"a request in HTTP/2 frames, at which it has not looked, reaches the handler."
	hopByHop = "https://www.rfc-editor.org/rfc/rfc9110.html#section-7.6.1"
)
