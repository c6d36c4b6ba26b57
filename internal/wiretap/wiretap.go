// Package wiretap decodes what goes over a connection that speaks HTTP/1.1, HTTP/2, or the
// one and then the other, as it comes. It changes nothing of it.
package wiretap

import (
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// MaxHeld bounds what a Decoder holds of one direction of a connection: a head, a chunk
// size, or a frame. What is larger is not decoded, and nothing is after it. Frames of 1 MiB
// are not: a server of net/http allows them.
const MaxHeld = 1<<20 + frameHeaderLen

// A Kind is a kind of Event.
type Kind int

const (
	Note    Kind = iota // of the Decoder: why it stops, or what is left over
	Head                // of an HTTP/1.1 message
	Body                // the end of an HTTP/1.1 body
	Preface             // the 24 octets of a client
	Frame
	Data // octets of an HTTP/1.1 body; nothing to show
	Raw  // what stands around them, and octets that are not decoded; nothing to show
)

// An Event is something that went over a connection.
type Event struct {
	Kind    Kind
	Client  bool     // the client sent it
	What    string   // in one line
	Details []string // in lines of their own; those that begin with "; " are explanations

	// Octets are what was decoded, or not. None are left out, and they are in order. They
	// hold until the function that is told returns.
	Octets []byte

	Frame  http2.Frame         // of a Frame, unless it is malformed
	Header http2.FrameHeader   // of a Frame
	Fields []hpack.HeaderField // of the header block that a Frame ends
}

// Shows reports whether there is something to show.
func (e Event) Shows() bool { return e.Kind != Data && e.Kind != Raw }

// A Decoder decodes a connection. Only one of its methods may run at a time.
type Decoder struct {
	tell           func(Event)
	client, server flow
	methods        []string // of HTTP/1.1 requests that have no response yet
	requests       int      // in HTTP/1.1
	lastStream     uint32   // the last one that the client opened by HEADERS
}

// New returns a Decoder that tells of everything it decodes.
func New(tell func(Event)) *Decoder {
	d := &Decoder{tell: tell}
	d.client = flow{d: d, client: true}
	d.server = flow{d: d}
	return d
}

// Client decodes what the client sends next.
func (d *Decoder) Client(b []byte) { d.client.feed(b) }

// Server decodes what the server sends next.
func (d *Decoder) Server(b []byte) { d.server.feed(b) }

// End tells of what the end of the connection ends.
func (d *Decoder) End() {
	d.client.end()
	d.server.end()
}

// Requests returns how many requests came in HTTP/1.1.
func (d *Decoder) Requests() int { return d.requests }

// LastStream returns the stream that the client opened last, or 0.
func (d *Decoder) LastStream() uint32 { return d.lastStream }

// Held returns how many octets of the client, or else of the server, are not enough to
// decode.
func (d *Decoder) Held(client bool) int {
	if client {
		return len(d.client.buf)
	}
	return len(d.server.buf)
}

// A flow is one direction of a connection. It keeps what is not enough to decode.
type flow struct {
	d      *Decoder
	client bool
	buf    []byte
	step   func([]byte) int // decodes a beginning and returns its length; 0: it needs more

	http1  http1Body
	frames frameDecoder
}

func (f *flow) feed(b []byte) {
	if f.step == nil {
		f.step = f.begin
	}
	if len(f.buf) > 0 {
		f.buf = append(f.buf, b...)
		b = f.buf
	}
	for len(b) > 0 {
		n := f.step(b)
		if n == 0 {
			break
		}
		b = b[n:]
	}
	if len(b) > MaxHeld {
		f.giveUp("too large to be decoded")
		f.raw(b)
		b = nil
	}
	f.buf = append(f.buf[:0], b...)
}

// giveUp leaves the rest of the direction undecoded.
func (f *flow) giveUp(why string) {
	f.tell(Event{What: "octets that are not decoded from here on: " + why})
	f.step = f.raw
}

func (f *flow) raw(b []byte) int {
	f.tell(Event{Kind: Raw, Octets: b})
	return len(b)
}

func (f *flow) data(b []byte) int {
	f.tell(Event{Kind: Data, Octets: b})
	f.http1.octets += int64(len(b))
	return len(b)
}

func (f *flow) tell(e Event) {
	e.Client = f.client
	f.d.tell(e)
}
