package main

import (
	"regexp"
	"slices"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

// serverDeviations are what servers are known to do.
var serverDeviations = slices.Concat(
	apacheDeviations, varnishDeviations, jettyDeviations, proxiedDeviations,
)

const (
	rfcUpgrade      = "https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2"
	rfcChunked      = "https://www.rfc-editor.org/rfc/rfc9112.html#section-7.1"
	rfcExpect       = "https://www.rfc-editor.org/rfc/rfc9110.html#section-10.1.1"
	rfcInterim      = "https://www.rfc-editor.org/rfc/rfc9110.html#section-15.2"
	rfcSwitch       = "https://www.rfc-editor.org/rfc/rfc9110.html#section-7.8"
	rfcWindowUpdate = "https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9"
	rfcStreamStates = "https://www.rfc-editor.org/rfc/rfc9113.html#section-5.1"
)

// in returns d once for each case.
func in(d matrix.Deviation, cases ...string) []matrix.Deviation {
	var all []matrix.Deviation
	for _, c := range cases {
		d.Case = c
		all = append(all, d)
	}
	return all
}

// With mpm_worker it does not.
var apacheDeviations = in(matrix.Deviation{
	Peer: "Apache mpm_event", Entry: byUpgrade,
	Shows:     regexp.MustCompile(`GOAWAY|^\d+ connections upgraded|^response in HTTP/1.1`),
	Sometimes: true,
	Evidence: "After an Upgrade it sends GOAWAY with NO_ERROR and \"timeout\", and closes the connection, as soon as it waits for the client: " +
		"in the middle of the response to the request that was upgraded, if that is large, and before any other. curl and nghttp get no more.",
	RFC: rfcUpgrade,
}, "POST", "POST 1 MiB", "chunked", "Expect", "100 at once", "50 cold", "16 MiB", "events", "cancel", "close")

var varnishDeviations = slices.Concat(
	in(matrix.Deviation{
		Peer: "Varnish", Entry: byUpgrade,
		Shows:     regexp.MustCompile(`GOAWAY.*PROTOCOL_ERROR|INTERNAL_ERROR; received from peer|^\d connections (upgraded|dialed)|was handled \d times`),
		Sometimes: true,
		Evidence: "It does not count stream 1 of an upgraded connection among those that were opened, and answers a WINDOW_UPDATE on it by " +
			"GOAWAY with PROTOCOL_ERROR and the last stream 0, then RST_STREAM. So a response on stream 1 that is large enough to need one often breaks off.",
		RFC: rfcStreamStates,
	}, "50 cold", "16 MiB", "cancel", "close"),
	in(matrix.Deviation{
		Peer:     "Varnish",
		Shows:    regexp.MustCompile(`trailer X-Check ""$`),
		Evidence: "A chunked response with trailers, of the server behind it, is a broken one to it: it answers 503, or 200 without the body.",
		RFC:      rfcChunked,
	}, "trailers"),
	in(matrix.Deviation{
		Peer:     "Varnish",
		Shows:    regexp.MustCompile(`^503 Service Unavailable|^early hints with Link \[\]$`),
		Evidence: "It answers 503 if the server behind it sends 103.",
		RFC:      rfcInterim,
	}, "early hints"),
)

var jettyDeviations = slices.Concat(
	in(matrix.Deviation{
		Peer: "Jetty", Entry: byUpgrade,
		Shows:    regexp.MustCompile(`h2c: switch_invalid: 101 that does not switch to h2c: Upgrade is \[\]$`),
		Evidence: "Its 101 has no field at all, so nothing says what the connection is switched to.",
		RFC:      rfcSwitch,
	}, "modes", "GET", "HEAD", "POST", "POST 1 MiB", "chunked", "Expect", "after HTTP/1.1", "three in a row", "100 at once", "50 cold",
		"16 MiB", "trailers", "events", "cancel", "shutdown", "close"),
	in(matrix.Deviation{
		Peer: "Jetty", Entry: byPrior,
		Shows:     regexp.MustCompile(`ENHANCE_YOUR_CALM|unexpected EOF|reset by peer|broken pipe|force closed|^\d connections dialed|^0 connections upgraded|was handled \d times`),
		Sometimes: true,
		Evidence: "It takes WINDOW_UPDATE on streams that have just ended for an attack if many come, sends GOAWAY with ENHANCE_YOUR_CALM " +
			"and \"invalid_window_update_frame_rate\", and closes the connection. net/http alone has the same from it.",
		RFC: rfcWindowUpdate,
	}, "50 cold"),
)

var proxiedDeviations = slices.Concat(
	in(matrix.Deviation{
		Peer:     "h2o",
		Shows:    regexp.MustCompile(`^no 100 Continue`),
		Evidence: "In HTTP/2 no 100 comes before the body.",
		RFC:      rfcExpect,
	}, "Expect"),
	in(matrix.Deviation{
		Peer:     "h2o",
		Shows:    regexp.MustCompile(`^early hints with Link \[\]$`),
		Evidence: "It drops a 103 of the server behind it.",
		RFC:      rfcInterim,
	}, "early hints"),
	in(matrix.Deviation{
		Peer:     "nghttpx",
		Shows:    regexp.MustCompile(`^no 100 Continue`),
		Evidence: "In HTTP/2 the first request of a connection has its 100 at once, later ones only after their body.",
		RFC:      rfcExpect,
	}, "Expect"),
	in(matrix.Deviation{
		Peer:     "nginx",
		Shows:    regexp.MustCompile(`^no 100 Continue`),
		Evidence: "In HTTP/2 no 100 comes before the body.",
		RFC:      rfcExpect,
	}, "Expect"),
	in(matrix.Deviation{
		Peer:     "nginx",
		Shows:    regexp.MustCompile(`PROTOCOL_ERROR`),
		Evidence: "After a 103 of the server behind it, it sends DATA without HEADERS.",
		RFC:      rfcInterim,
	}, "early hints"),
)
