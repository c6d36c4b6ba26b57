package transcript

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// An Exchange is a request and what came of it.
type Exchange struct {
	Method, Target string
	Host           string
	Header         http.Header // of the request, named as in HTTP/1.1, less what is said elsewhere here
	Body           []byte      // of the request
	Sized          bool        // its length is said
	Offer          bool        // it offers h2c
	Response       Outcome
}

// String is the exchange in one line.
func (x Exchange) String() string { return fmt.Sprintf("%s %s: %s", x.Method, x.Target, x.Response) }

// An Outcome is a response.
type Outcome struct {
	Interim []int // informational responses, less 100 and 101
	Proto   string
	Status  int
	Body    []byte
	Trailer http.Header
}

// String is the outcome in one line.
func (o Outcome) String() string {
	var b strings.Builder
	for _, status := range o.Interim {
		fmt.Fprintf(&b, "%d, then ", status)
	}
	fmt.Fprintf(&b, "%s %d, %d octets", o.Proto, o.Status, len(o.Body))
	if len(o.Body) > 0 {
		fmt.Fprintf(&b, " with SHA-256 %x", sha256.Sum256(o.Body))
	}
	for _, name := range slices.Sorted(maps.Keys(o.Trailer)) {
		fmt.Fprintf(&b, ", trailer %s: %s", http.CanonicalHeaderKey(name), strings.Join(o.Trailer[name], ", "))
	}
	return b.String()
}

// Exchanges returns the requests that were answered, in their order.
func (t *Transcript) Exchanges() []Exchange {
	var all []Exchange
	for _, c := range t.Conns {
		client, server := c.sides()
		all = append(all, exchanges(client, server)...)
	}
	return all
}

func exchanges(client, server *Side) []Exchange {
	var all []Exchange
	add := func(x Exchange) {
		if x.Method == http.MethodHead {
			x.Response.Body = nil
		}
		if x.Response.Status > 0 {
			all = append(all, x)
		}
	}
	responses := server.Messages
	for _, m := range client.Messages {
		method, rest, _ := strings.Cut(m.Line, " ")
		target, _, _ := strings.Cut(rest, " ")
		x := Exchange{Method: method, Target: target, Host: m.Header.Get("Host"), Header: m.Header.Clone(), Body: m.Body}
		x.Sized = m.Header["Content-Length"] != nil
		for _, name := range []string{"Host", "Content-Length", "Transfer-Encoding"} {
			x.Header.Del(name)
		}
		if x.Offer = x.Header["Http2-Settings"] != nil; x.Offer {
			for _, name := range []string{"Connection", "Upgrade", "Http2-Settings"} {
				x.Header.Del(name)
			}
		}
		for len(responses) > 0 && x.Response.Status == 0 {
			x.Response.message(responses[0], server.Streams[1])
			responses = responses[1:]
		}
		add(x)
	}
	for _, id := range slices.Sorted(maps.Keys(client.Streams)) {
		request, response := client.Streams[id], server.Streams[id]
		if len(request.Headers) == 0 || response == nil {
			continue
		}
		x := Exchange{Header: make(http.Header), Body: request.Body}
		for name, values := range request.Headers[0] {
			switch name {
			case ":method":
				x.Method = values[0]
			case ":path":
				x.Target = values[0]
			case ":authority":
				x.Host = values[0]
			case "content-length":
				x.Sized = true
			case ":scheme":
			default:
				x.Header[http.CanonicalHeaderKey(name)] = values
			}
		}
		x.Response.stream(response)
		add(x)
	}
	return all
}

// message adds a response in HTTP/1.1, or in HTTP/2 after a 101.
func (o *Outcome) message(m Message, first *Stream) {
	proto, rest, _ := strings.Cut(m.Line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, _ := strconv.Atoi(code)
	switch {
	case status == http.StatusSwitchingProtocols && first != nil:
		o.stream(first)
	case status < 200:
		o.interim(status)
	default:
		o.Proto, o.Status, o.Body = proto, status, m.Body
		for _, line := range m.Trailer {
			name, value, _ := strings.Cut(line, ":")
			o.trailer(name, strings.TrimSpace(value))
		}
	}
}

func (o *Outcome) stream(st *Stream) {
	for _, h := range st.Headers {
		status := 0
		if v := h[":status"]; v != nil {
			status, _ = strconv.Atoi(v[0])
		}
		switch {
		case o.Status > 0:
			for name, values := range h {
				o.trailer(name, values...)
			}
		case status < 200:
			o.interim(status)
		default:
			o.Proto, o.Status, o.Body = "HTTP/2.0", status, st.Body
		}
	}
}

func (o *Outcome) interim(status int) {
	if status > 101 {
		o.Interim = append(o.Interim, status)
	}
}

func (o *Outcome) trailer(name string, values ...string) {
	if o.Trailer == nil {
		o.Trailer = make(http.Header)
	}
	name = http.CanonicalHeaderKey(name)
	o.Trailer[name] = append(o.Trailer[name], values...)
}
