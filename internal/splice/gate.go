package splice

import (
	"slices"

	"golang.org/x/net/http2"
)

// A gate passes what the client sends as far as the engine has the connection window for it.
// The client does not know that the injected body has taken up some of that, so its DATA waits
// until the engine has given it back, or until there is room without. An unpadded DATA frame of
// which a part fits is cut in two. PING and WINDOW_UPDATE do not wait, so that the engine's own
// DATA goes on.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.1
type gate struct {
	in *inbound

	held   []byte  // what has come and not passed
	rest   int     // octets at its beginning that may pass
	left   int     // octets behind these, of an unpadded DATA frame, that need a header
	header [9]byte // of that frame, as it came
	passed int     // octets of DATA, padding included

	reading chan gateRead // receives when a Read returns that is in progress
	err     error         // what comes after held

	scanned int  // octets at the beginning of held, at a frame boundary, in which nothing may overtake
	headers bool // among these is a HEADERS frame
}

type gateRead struct {
	b   []byte
	err error
}

// maxHeld is how much a gate holds before it stops reading: what the client may send in DATA,
// and as much of other frames.
const maxHeld = 2 * initialWindow

func (g *gate) next() ([]byte, error) {
	in := g.in
	for {
		owed, changed := in.credit.owed()
		if owed == 0 && (g.rest == 0 || g.left == 0) {
			return g.open(), nil
		}
		switch {
		case g.rest > 0 && len(g.held) > 0:
			n := min(g.rest, len(g.held))
			pass := g.held[:n:n]
			g.held, g.rest = g.held[n:], g.rest-n
			return pass, nil
		case g.rest > 0, g.left == 0 && len(g.held) < frameHeaderLen:
			if err := g.more(nil); err != nil {
				return nil, err
			}
			continue
		case g.left == 0:
			header := frameHeader(g.held)
			if header.frameType() != http2.FrameData {
				g.pass(frameHeaderLen + header.length())
				continue
			}
			if header.flags().Has(http2.FlagDataPadded) || header.length() == 0 {
				if room := initialWindow - owed - g.passed; header.length() <= room {
					g.passed += header.length()
					g.pass(frameHeaderLen + header.length())
					continue
				}
				break
			}
			g.left = header.length()
			g.held = g.held[copy(g.header[:], g.held):]
			g.scanned, g.headers = 0, false
			continue
		default:
			if n := min(g.left, initialWindow-owed-g.passed); n > 0 {
				g.passed += n
				g.left -= n
				g.pass(n)
				return g.dataHeader(n, g.left == 0), nil
			}
		}
		if b := g.overtake(); b != nil {
			return b, nil
		}
		if err := g.more(changed); err != nil {
			return nil, err
		}
	}
}

// pass lets n octets pass, which begin with what is held.
func (g *gate) pass(n int) { g.rest, g.scanned, g.headers = n, 0, false }

// dataHeader returns the header of a part of the DATA frame that was cut.
func (g *gate) dataHeader(n int, last bool) []byte {
	flags := frameHeader(g.header[:]).flags()
	if !last {
		flags &^= http2.FlagDataEndStream
	}
	return appendFrameHeader(nil, n, http2.FrameData, flags, frameHeader(g.header[:]).stream())
}

// open ends the gate, and returns what it holds.
func (g *gate) open() []byte {
	in := g.in
	var b []byte
	if g.left > 0 {
		b = g.dataHeader(g.left, true)
	}
	b = append(b, g.held...)
	b = append(b, in.Buffered...)
	in.next = nil
	if g.reading != nil {
		in.next = g.drain
	}
	return b // errors come again
}

// drain returns what the Read returns that is in progress.
func (g *gate) drain() ([]byte, error) {
	select {
	case r := <-g.reading:
		g.in.next = nil
		return r.b, nil // an error comes again
	case <-g.in.closed:
		return nil, g.in.c.err()
	}
}

// more returns when more is held, or when changed is closed if it is not nil. Then a Read may be
// in progress.
func (g *gate) more(changed <-chan struct{}) error {
	in := g.in
	if len(in.Buffered) > 0 {
		g.held, in.Buffered = append(g.held, in.Buffered...), nil
		return nil
	}
	if changed == nil && g.err != nil {
		return g.err
	}
	if g.reading == nil && g.err == nil && len(g.held) < maxHeld {
		if changed == nil {
			return g.take(in.c.readOnce())
		}
		reading := make(chan gateRead, 1)
		g.reading = reading
		go func() { reading <- in.c.readOnce() }()
	}
	select {
	case <-changed:
		return nil
	case r := <-g.reading:
		g.reading = nil
		return g.take(r)
	case <-in.closed:
		return in.c.err()
	}
}

// readOnce reads, for a gate.
func (c *Conn) readOnce() gateRead {
	buf := make([]byte, 4<<10)
	n, err := c.readConn(buf)
	return gateRead{buf[:n], err}
}

// take holds what was read. A Read after its deadline may be tried again; other errors come when
// all before them has passed.
func (g *gate) take(r gateRead) error {
	g.held = append(g.held, r.b...)
	switch {
	case len(r.b) > 0 || r.err == nil:
		return nil // the error, if it stays, comes again
	case isTimeout(r.err):
		return r.err
	}
	g.err = r.err
	return nil
}

// overtake takes a frame out of what is held that need not wait for DATA before it, or returns
// nil. A WINDOW_UPDATE waits for HEADERS, which may open its stream.
func (g *gate) overtake() []byte {
	if g.scanned == 0 {
		g.scanned = g.left
		if g.left == 0 {
			g.scanned = frameHeaderLen + frameHeader(g.held).length()
		}
	}
	for len(g.held) >= g.scanned+frameHeaderLen {
		frame := g.held[g.scanned:]
		header := frameHeader(frame)
		n := frameHeaderLen + header.length()
		switch header.frameType() {
		case http2.FramePing, http2.FrameWindowUpdate:
			if header.frameType() == http2.FrameWindowUpdate && g.headers || header.length() > len(marker) {
				break
			}
			if len(frame) < n {
				return nil
			}
			pass := slices.Clone(frame[:n])
			g.held = slices.Delete(g.held, g.scanned, g.scanned+n)
			return pass
		case http2.FrameHeaders:
			g.headers = true
		}
		g.scanned += n
	}
	return nil
}
