package transcript

import (
	"bufio"
	"fmt"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// A Side is what one end says on a connection, without what the protocol leaves to it: how
// octets come in frames and segments, what is compressed and how, in which order streams
// proceed, and when credit is given. Date fields are left out.
type Side struct {
	Messages []Message // in HTTP/1.1
	Preface  bool
	Settings int // frames
	Acks     int // of SETTINGS
	Pings    int
	PingAcks int
	GoAway   string // the first one: its last stream and code
	Streams  map[uint32]*Stream

	bodies int            // of HTTP/1.1 that have ended
	sent   map[uint32]int // octets that flow control counts; of the connection under 0
	credit map[uint32]int // the sum of WINDOW_UPDATE, likewise
	grant  map[uint32]int // the first WINDOW_UPDATE, likewise
	window int            // SETTINGS_INITIAL_WINDOW_SIZE, or 0 without
}

// A Message is one of HTTP/1.1, or an informational response.
type Message struct {
	Line    string
	Header  http.Header
	Body    []byte
	Trailer []string
}

// A Stream is one direction of it.
type Stream struct {
	Headers []http.Header // of responses: informational ones and the final one; trailers
	Body    []byte
	Ended   bool
	Reset   string // the code, if it was reset
}

// Add adds what that end says next.
func (s *Side) Add(e wiretap.Event) {
	switch e.Kind {
	case wiretap.Head:
		line, rest, _ := strings.Cut(string(e.Octets), "\r\n")
		header, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(rest))).ReadMIMEHeader()
		header.Del("Date")
		s.Messages = append(s.Messages, Message{Line: line, Header: http.Header(header)})
	case wiretap.Data:
		m := &s.Messages[len(s.Messages)-1]
		m.Body = append(m.Body, e.Octets...)
	case wiretap.Body:
		s.bodies++
		s.Messages[len(s.Messages)-1].Trailer = e.Details
	case wiretap.Preface:
		s.Preface = true
	case wiretap.Frame:
		s.frame(e)
	}
}

func (s *Side) frame(e wiretap.Event) {
	ack := e.Header.Flags.Has(0x1)
	switch f := e.Frame.(type) {
	case *http2.SettingsFrame:
		if ack {
			s.Acks++
		} else {
			s.Settings++
			if n, ok := f.Value(http2.SettingInitialWindowSize); ok {
				s.window = int(n)
			}
		}
	case *http2.WindowUpdateFrame:
		count(&s.credit, f.StreamID, int(f.Increment))
		if s.grant[f.StreamID] == 0 {
			count(&s.grant, f.StreamID, int(f.Increment))
		}
	case *http2.PingFrame:
		if ack {
			s.PingAcks++
		} else {
			s.Pings++
		}
	case *http2.GoAwayFrame:
		if s.GoAway == "" {
			s.GoAway = fmt.Sprintf("%v after stream %d", f.ErrCode, f.LastStreamID)
		}
	case *http2.HeadersFrame:
		st := s.stream(e)
		st.Ended = st.Ended || f.StreamEnded()
	case *http2.DataFrame:
		st := s.stream(e)
		st.Body = append(st.Body, f.Data()...)
		count(&s.sent, 0, int(f.Length))
		count(&s.sent, f.StreamID, int(f.Length))
		st.Ended = st.Ended || f.StreamEnded()
	case *http2.RSTStreamFrame:
		s.stream(e).Reset = f.ErrCode.String()
	}
	if e.Fields == nil {
		return
	}
	header := make(http.Header)
	for _, f := range e.Fields {
		if f.Name != "date" {
			header[f.Name] = append(header[f.Name], f.Value)
		}
	}
	st := s.stream(e)
	st.Headers = append(st.Headers, header)
}

func count(m *map[uint32]int, id uint32, n int) {
	if *m == nil {
		*m = make(map[uint32]int)
	}
	(*m)[id] += n
}

func (s *Side) stream(e wiretap.Event) *Stream {
	id := e.Header.StreamID
	if s.Streams == nil {
		s.Streams = make(map[uint32]*Stream)
	}
	if s.Streams[id] == nil {
		s.Streams[id] = new(Stream)
	}
	return s.Streams[id]
}

// A Fact is that one end has said something by now.
type Fact struct {
	What   string
	Stream uint32 // for those about a stream
	N      int    // how many; 1 is not written
}

// Facts, and what N counts.
const (
	head         = "head"          // heads of HTTP/1.1
	body         = "body"          // bodies of HTTP/1.1 that have ended
	preface      = "preface"       // of a client
	settings     = "settings"      // SETTINGS frames
	ack          = "ack"           // their acknowledgements
	PingAck      = "ping-ack"      // acknowledgements of PING
	goAway       = "goaway"        // whether there is one
	credit       = "credit"        // octets by WINDOW_UPDATE of the connection
	headers      = "headers"       // header blocks on a stream
	data         = "data"          // octets of DATA on a stream
	endStream    = "end-stream"    // whether END_STREAM is there
	reset        = "reset"         // whether RST_STREAM is there
	streamCredit = "stream-credit" // octets by WINDOW_UPDATE of a stream
)

var (
	connFacts   = []string{head, body, preface, settings, ack, PingAck, goAway, credit}
	streamFacts = []string{headers, data, endStream, reset, streamCredit}
)

// n returns how many there are of what a fact counts.
func (s *Side) n(f Fact) int {
	st := s.Streams[f.Stream]
	if st == nil {
		st = new(Stream)
	}
	switch f.What {
	case head:
		return len(s.Messages)
	case body:
		return s.bodies
	case preface:
		return one(s.Preface)
	case settings:
		return s.Settings
	case ack:
		return s.Acks
	case PingAck:
		return s.PingAcks
	case goAway:
		return one(s.GoAway != "")
	case credit, streamCredit:
		return s.credit[f.Stream]
	case headers:
		return len(st.Headers)
	case data:
		return len(st.Body)
	case endStream:
		return one(st.Ended)
	case reset:
		return one(st.Reset != "")
	}
	return 0
}

func one(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Holds reports whether all the facts are true of s.
func (s *Side) Holds(facts []Fact) bool {
	return !slices.ContainsFunc(facts, func(f Fact) bool { return s.n(f) < f.N })
}

// needs returns the credit that s has used, and the other end has given. It does not count
// what the other end allows from the start.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2
func (s *Side) needs(other *Side) []Fact {
	const initialWindow = 65535
	var all []Fact
	for _, id := range slices.Sorted(maps.Keys(s.sent)) {
		f := Fact{What: streamCredit, Stream: id, N: s.sent[id] - max(initialWindow, other.window)}
		if id == 0 {
			f = Fact{What: credit, N: s.sent[id] - initialWindow}
		}
		if f.N > 0 {
			all = append(all, f)
		}
	}
	return all
}

// Facts returns what is true of s and matters to the other end, less what follows from the
// rest. Credit is left to needs.
func (s *Side) Facts() []Fact {
	var all []Fact
	add := func(f Fact) bool {
		f.N = s.n(f)
		if f.N > 0 {
			all = append(all, f)
		}
		return f.N > 0
	}
	for _, what := range connFacts {
		if what != credit {
			add(Fact{What: what})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.Streams)) {
		if ended := add(Fact{What: endStream, Stream: id}); !ended {
			add(Fact{What: headers, Stream: id})
			add(Fact{What: data, Stream: id})
		}
		add(Fact{What: reset, Stream: id})
	}
	return all
}

func (f Fact) String() string {
	s := f.What
	if f.Stream > 0 {
		s += fmt.Sprintf(" %d", f.Stream)
	}
	if f.N > 1 {
		s += fmt.Sprintf(" %d", f.N)
	}
	return s
}
