package transcript

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// Encode returns the text of t, which Parse reads.
func (t *Transcript) Encode() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "peer: %s\nrole: %s\nentry: %s\ncase: %s\n", t.Peer, t.Role, t.Entry, t.Case)
	for _, x := range t.Exchanges() {
		fmt.Fprintf(&b, "expect: %s\n", visible(x.String()))
	}
	b.WriteString("---\n")
	for _, c := range t.Conns {
		fmt.Fprintf(&b, "connection: %s\n", c.Client)
		c.encode(&b)
	}
	return b.Bytes()
}

func (c Conn) encode(b *bytes.Buffer) {
	e := &encoder{b: b, bodies: make(map[bodyKey]int)}
	d := wiretap.New(e.event)
	for _, p := range c.Parts {
		key, between := Server, " after "
		if p.Client {
			key = Client
		}
		fmt.Fprintf(b, "%s:", key)
		for _, f := range p.After {
			fmt.Fprint(b, between, f)
			between = ", "
		}
		b.WriteByte('\n')
		feed(d, p)
		if p.Closes {
			e.line(closes)
		}
	}
}

const closes = "closes"

// An encoder writes octets as lines: of text, of hexadecimal digits, or as a part of the
// payload; and what they mean, as comments.
type encoder struct {
	b      *bytes.Buffer
	bodies map[bodyKey]int // octets of bodies so far
}

type bodyKey struct {
	client bool
	stream uint32 // 0: the current one in HTTP/1.1
}

func (e *encoder) line(format string, args ...any) {
	e.b.WriteString("  ")
	fmt.Fprintf(e.b, format, args...)
	e.b.WriteByte('\n')
}

func (e *encoder) event(ev wiretap.Event) {
	switch ev.Kind {
	case wiretap.Head:
		e.bodies[bodyKey{client: ev.Client}] = 0
		for line := range strings.Lines(string(ev.Octets)) {
			e.headLine(line)
		}
		for _, d := range ev.Details {
			if strings.HasPrefix(d, "; ") {
				e.comment(d)
			}
		}
	case wiretap.Preface:
		e.comment(ev.What)
		e.text(ev.Octets)
	case wiretap.Frame:
		e.comment(ev.What)
		for _, d := range ev.Details {
			e.comment("  " + d)
		}
		e.frame(ev)
	case wiretap.Data:
		e.body(bodyKey{client: ev.Client}, ev.Octets)
	case wiretap.Raw:
		e.text(ev.Octets)
	}
}

func (e *encoder) comment(s string) { e.line("# %s", visible(s)) }

// headLine writes a line of a head: "| " and the line without its end.
func (e *encoder) headLine(line string) {
	plain, ok := strings.CutSuffix(line, "\r\n")
	switch {
	case !ok || !isText(plain) || strings.ContainsAny(plain, "\r\t") || strings.HasSuffix(plain, " "):
		e.line("%s", strconv.QuoteToASCII(line))
	case plain == "":
		e.line("|")
	default:
		e.line("| %s", plain)
	}
}

func (e *encoder) frame(ev wiretap.Event) {
	const frameHeaderLen = 9
	h, payload := ev.Octets[:frameHeaderLen], ev.Octets[frameHeaderLen:]
	e.line("%x %x %x %x", h[:3], h[3:4], h[4:5], h[5:])
	if f, ok := ev.Frame.(*http2.DataFrame); ok && len(f.Data()) == len(payload) {
		e.body(bodyKey{ev.Client, ev.Header.StreamID}, payload)
	} else {
		e.hex(payload)
	}
}

// body writes octets of a body. Most are of the payload.
func (e *encoder) body(key bodyKey, octets []byte) {
	at := e.bodies[key]
	e.bodies[key] += len(octets)
	const few = 32
	if len(octets) > few && at+len(octets) <= maxRecorded && bytes.Equal(octets, Payload(at + len(octets))[at:]) {
		e.line("payload %d %d", at, len(octets))
		return
	}
	e.text(octets)
}

// text writes octets as quoted lines if they are text.
func (e *encoder) text(octets []byte) {
	if !isText(string(octets)) {
		e.hex(octets)
		return
	}
	for line := range strings.Lines(string(octets)) {
		e.line("%s", strconv.QuoteToASCII(line))
	}
}

func (e *encoder) hex(octets []byte) {
	const perLine = 32
	for len(octets) > 0 {
		n := min(perLine, len(octets))
		e.line("%x", octets[:n])
		octets = octets[n:]
	}
}

func isText(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return (r < ' ' || r > '~') && r != '\r' && r != '\n' && r != '\t' }) < 0
}

// visible returns s in one line of ASCII.
func visible(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) >= 0 {
		return strconv.QuoteToASCII(s)
	}
	return strings.TrimRight(s, " ")
}

var payload = sync.OnceValue(func() []byte {
	b := make([]byte, maxRecorded)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// Payload returns n octets that do not repeat. Most bodies consist of them.
func Payload(n int) []byte { return payload()[:n:n] }
