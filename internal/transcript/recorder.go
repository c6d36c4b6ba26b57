package transcript

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// maxRecorded bounds what a Recorder keeps, in octets.
const maxRecorded = 4 << 20

// A Recorder makes a Conn of what the library reads and writes. Only one of its methods may
// run at a time.
type Recorder struct {
	role          Role // of the peer
	decoder       *wiretap.Decoder
	peer, library Side

	conn   Conn
	latest int           // the part of conn that the peer sent last, or -1
	known  map[Fact]bool // that parts of the peer came after
	tight  bool          // the peer has needed all the credit that it was given back
	early  []byte        // what a server sent before the library said anything
	size   int
	over   bool

	octets []byte // that are being decoded
	update bool   // the peer's WINDOW_UPDATE is among them
}

// NewRecorder returns a Recorder for a connection with a peer. The address is the client's.
func NewRecorder(peer Role, client string) *Recorder {
	r := &Recorder{role: peer, conn: Conn{Client: client}, latest: -1, known: make(map[Fact]bool)}
	r.decoder = wiretap.New(func(e wiretap.Event) {
		r.octets = append(r.octets, e.Octets...)
		if e.Client != (r.role == Client) {
			r.library.Add(e)
			return
		}
		r.peer.Add(e)
		r.update = r.update || e.Header.Type == http2.FrameWindowUpdate && e.Kind == wiretap.Frame
	})
	return r
}

// Wrote notes what the library writes.
func (r *Recorder) Wrote(b []byte) {
	octets := r.decode(r.role == Server, b)
	last := len(r.conn.Parts) - 1
	switch {
	case octets == nil:
	case last < 0 || last == r.latest:
		r.conn.Parts = append(r.conn.Parts, Part{Client: r.role == Server, Octets: octets})
	default:
		r.conn.Parts[last].Octets = append(r.conn.Parts[last].Octets, octets...)
	}
	if r.early != nil && r.started() {
		p := r.part(false)
		p.Octets, r.early = append(p.Octets, r.early...), nil
	}
}

// started reports whether the library has said anything that matters.
func (r *Recorder) started() bool { return len(r.library.Facts()) > 0 }

// Read notes what the library has read.
func (r *Recorder) Read(b []byte) {
	prefaced := r.peer.Preface
	octets := r.decode(r.role == Client, b)
	if octets == nil || r.isClosed() {
		return
	}
	if r.role == Server && !r.started() {
		r.early = append(r.early, octets...) // it does not matter which of the two is the first
		return
	}
	// Nobody but one who gives credit waits for an amount of data, and who begins HTTP/2
	// does not.
	p := r.part(r.update && r.peer.Preface == prefaced)
	p.Octets = append(p.Octets, octets...)
}

// Closed notes that the peer has closed the connection.
func (r *Recorder) Closed() {
	if !r.over && !r.isClosed() {
		r.part(true).Closes = true
	}
}

func (r *Recorder) isClosed() bool { return r.latest >= 0 && r.conn.Parts[r.latest].Closes }

// decode returns the octets that b makes whole: before a head or a frame is, nothing comes
// of it.
func (r *Recorder) decode(client bool, b []byte) []byte {
	if r.size += len(b); r.size > maxRecorded || r.over {
		return nil
	}
	r.octets, r.update = nil, false
	feed(r.decoder, Part{Client: client, Octets: b})
	return r.octets
}

// slack is at least the credit that the library may owe a peer without giving it back: net/http
// waits until it is 4 KiB.
const slack = 8 << 10

// ErrTight is what Conn returns if a peer has used a window up, so that it depends on how much
// credit comes at a time whether it can be played again.
var ErrTight = errors.New("the peer needs all the credit that it is given back")

// part returns the part to which belongs what the peer does now: a new one if the library
// has said something since the latest.
func (r *Recorder) part(waitsForData bool) *Part {
	var news []Fact
	for _, f := range append(r.library.Facts(), r.peer.needs(&r.library)...) {
		if f.What == goAway && r.peer.GoAway != "" {
			continue // the answer to one may also be to close the connection
		}
		if f.What == credit || f.What == streamCredit {
			r.tight = r.tight || f.N > r.library.grant[f.Stream] && r.library.credit[f.Stream]-f.N < slack
		}
		if !r.known[f] && (waitsForData || f.What != data) {
			r.known[f] = true
			news = append(news, f)
		}
	}
	if r.latest < 0 || news != nil {
		r.latest = len(r.conn.Parts)
		r.conn.Parts = append(r.conn.Parts, Part{Client: r.role == Client, After: news})
	}
	return &r.conn.Parts[r.latest]
}

// Conn ends the recording and returns the connection; or an error if it is no example to
// follow, since its end came before the library had answered all that it answers.
func (r *Recorder) Conn() (Conn, error) {
	r.over = true
	p, l := &r.peer, &r.library
	switch {
	case r.size > maxRecorded:
		return Conn{}, errors.New("too large")
	case r.tight:
		return Conn{}, ErrTight
	case r.early != nil:
		return Conn{}, errors.New("the library said nothing")
	case r.decoder.Held(true) > 0 || r.decoder.Held(false) > 0:
		return Conn{}, errors.New("the connection ended within a head or a frame")
	case l.Settings > 0 && l.Acks != p.Settings:
		return Conn{}, fmt.Errorf("%d SETTINGS of the peer have %d acknowledgements", p.Settings, l.Acks)
	case l.PingAcks != p.Pings:
		return Conn{}, fmt.Errorf("%d PINGs of the peer have %d acknowledgements", p.Pings, l.PingAcks)
	}
	for id, st := range l.Streams {
		if !st.Ended && st.Reset == "" {
			return Conn{}, fmt.Errorf("stream %d did not end", id)
		}
	}
	return r.conn, nil
}
