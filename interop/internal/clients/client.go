// Package clients has the clients that are run against this library, one file for each.
package clients

import (
	"context"
	"net/http"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// An Entry is how a client begins HTTP/2.
type Entry string

const (
	Upgrade Entry = "upgrade"
	Prior   Entry = "prior knowledge"
)

// A Client sends requests.
type Client struct {
	Peer    *peer.Peer
	Entries []Entry
	// Cannot says why it cannot do a case, by the name of the case, alone or with the entry
	// in front ("upgrade: POST").
	Cannot map[string]string
	// Send sends the requests of a job and returns a response for each, in their order. The
	// error is for what kept it from doing that; a response that broke off is in Response.Err.
	Send func(ctx context.Context, job Job) ([]Response, error)
}

// A Job is what a client is to do, on one connection if it can.
type Job struct {
	Entry    Entry
	Requests []Request // one after the other
	AtOnce   bool      // all but the first at once, when the first is answered or before
	Cold     bool      // with AtOnce, the first as well
	Dir      string    // for files
}

// A Request is a request to send.
type Request struct {
	Method string // "": GET
	URL    string
	Target string // instead of the path of URL: "*"
	Header http.Header
	Body   []byte
	NoSize bool // the length of Body is not said: chunked in HTTP/1.1
	Expect bool // 100-continue
	HTTP1  bool // it makes no offer, and leaves the connection as it is
	Cancel bool // when OnData has returned for the first time, the response is given up

	// OnData, if not nil, is called with parts of the response body as they come, and not
	// concurrently.
	OnData func([]byte)
}

// A Response is what a client made of one.
type Response struct {
	Proto   string // HTTP/2.0 or HTTP/1.1
	Status  int
	Interim []int // the statuses before it, 101 included, as far as the client tells
	Header  http.Header
	Switch  http.Header // of the 101; nil if the client does not tell
	Trailer http.Header // nil if the client does not tell
	Early   http.Header // of the last 103; nil if the client does not tell
	Size    int64       // of the body, in octets
	SHA256  string      // of the body, in hexadecimal digits
	Body    []byte      // its beginning: 64 KiB
	Err     string      // how it ended, if not well
}
