//go:build unix

// Package proxies has the reverse proxies that are run in front of this library, one file
// for each.
package proxies

import (
	"net/http"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A Proxy is a reverse proxy in one configuration.
type Proxy struct {
	Entry   string // the configuration, as the matrix shows it
	Program *peer.Program
	Proto   string // by which requests reach the server behind it

	// Cannot says why it cannot do a case, by the name of the case.
	Cannot map[string]string

	// Offer is what comes of a client's offer of h2c, and WithBody what comes of one whose
	// request has a body.
	Offer, WithBody Outcome

	// Told is the program configured to name itself to the server. It is set if the proxy
	// passes on all of an offer.
	Told *peer.Program
}

// An Outcome is what comes of an offer.
type Outcome struct {
	Status   int        // of the answer; 101 if the proxy itself switches to HTTP/2
	Declined h2c.Reason // what the server behind the proxy says to it; "" if it sees no offer
	Failed   h2c.Reason // what it says to the frames that follow; "" if it sees none
}

// plain is the outcome where the server sees a request like any other.
var plain = Outcome{Status: http.StatusOK}

// noTrailers is for proxies that make use of their right to discard them: RFC 9110, Section
// 6.5.1.
var noTrailers = map[string]string{"trailers": "it drops trailers"}

// All are the rows of the matrix.
var All = []*Proxy{
	haproxy, haproxyH2,
	nginx, nginxWebsocket, nginxConnection, nginxGRPC,
	apache, apacheH2C, apacheUpgrade,
	caddy, caddyH2C,
	varnish, varnishPipe,
	nghttpx, nghttpxH2,
}

const (
	http10 = "HTTP/1.0"
	http11 = "HTTP/1.1"
	http2  = "HTTP/2.0"
)
