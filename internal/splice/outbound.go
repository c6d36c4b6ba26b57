package splice

import (
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

// maxBeforePreface is how many octets leave between the 101 and the client's preface: a
// small response saves its round trip, and a large one does not run over a client that
// first reads what it has room for (curl 7.88 gives up at 32 KiB).
const maxBeforePreface = 16 << 10

// outbound filters what the engine writes until nothing in it can be an answer to the
// injected frames any more.
type outbound struct {
	*handshake
	c    *Conn
	sent int    // octets written so far, Config.Accept included
	buf  []byte // to be written

	frames   frames
	accepted bool // the engine will answer the injected request
	refused  bool // the engine goes away, or does not speak HTTP/2, and will not
	isAcked  bool // the acknowledgement of the injected SETTINGS has been dropped
}

func (out *outbound) write(p []byte) (int, error) {
	c := out.c
	if !c.take(out.handshake) {
		c.refuse(stateNew)
		return 0, c.err()
	}
	out.buf = out.frames.filter(out.buf, p)
	if out.refused {
		c.refuse(stateTaken)
		return 0, c.err()
	}
	if !out.accepted {
		return len(p), nil
	}
	if out.sent == 0 {
		if !c.open(out.handshake) {
			return 0, c.err()
		}
		out.buf = append(slices.Clone(out.Accept), out.buf...)
	}
	err := out.send()
	out.buf = out.buf[:0]
	if err != nil {
		return 0, err
	}
	if out.settled() && out.frames.atBoundary() && isClosed(out.prefaced) {
		c.out.Store(nil)
	}
	return len(p), nil
}

func (out *outbound) settled() bool {
	owed, _ := out.credit.owed()
	return out.accepted && out.isAcked && owed == 0
}

// inspect returns how much of a frame's payload judge needs.
func (out *outbound) inspect(header frameHeader) int {
	switch header.frameType() {
	case http2.FrameWindowUpdate, http2.FrameGoAway:
		return 4
	case http2.FramePing:
		return len(marker)
	}
	return 0
}

// judge reports whether the client is to see a frame.
func (out *outbound) judge(header frameHeader, payload []byte) bool {
	if !out.accepted && strings.HasPrefix(string(header), "HTTP/1.") {
		out.refused = true
	}
	switch header.frameType() {
	case http2.FrameSettings:
		// The client never sent the frame that the first acknowledgement answers: the 101
		// was the answer to it.
		// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1
		if header.isSettings(true) && !out.isAcked {
			out.isAcked = true
			return false
		}
	case http2.FramePing:
		if !out.accepted && header.flags().Has(http2.FlagPingAck) && string(payload) == marker {
			out.accepted = true
			return false
		}
	case http2.FrameGoAway:
		// A last stream of 0: the engine was told to shut down before it read the request,
		// and ignores it. https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
		out.refused = out.refused || !out.accepted && lastStream(payload) == 0
	case http2.FrameWindowUpdate:
		return out.windowUpdate(header, payload)
	}
	return true
}

func lastStream(payload []byte) uint32 {
	if len(payload) < 4 {
		return 0
	}
	return binary.BigEndian.Uint32(payload) &^ (1 << 31)
}

// windowUpdate withholds credit that the client may not use: the window for the injected
// body was never its to spend, so it is not given back to it. It reports whether the frame,
// whose increment it may change, is to pass.
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9
func (out *outbound) windowUpdate(header frameHeader, payload []byte) bool {
	if header.stream() == 1 {
		return false // the client's side of the stream is closed
	}
	if header.stream() != 0 || len(payload) < 4 {
		return true
	}
	increment := int(binary.BigEndian.Uint32(payload) &^ (1 << 31))
	withheld := out.credit.withhold(increment)
	if withheld == 0 {
		return true
	}
	binary.BigEndian.PutUint32(payload, uint32(increment-withheld))
	return increment > withheld
}

// send writes buf, its end only when the client's preface has come.
func (out *outbound) send() error {
	c := out.c
	defer out.readOn()
	for b := out.buf; len(b) > 0; {
		n := len(b)
		if !isClosed(out.prefaced) {
			n = min(n, len(out.Accept)+maxBeforePreface-out.sent)
		}
		if n == 0 {
			out.readOn()
			if err := c.await(out.handshake, out.prefaced); err != nil {
				return err
			}
			continue
		}
		m, err := c.writeConn(b[:n])
		out.sent += m
		if err != nil {
			return err
		}
		b = b[m:]
	}
	return nil
}

// readOn lets the client's preface be read, once the client has heard of the switch and the
// engine has no answer left to give to the injected frames.
func (out *outbound) readOn() {
	if out.accepted && out.isAcked && !isClosed(out.acked) {
		close(out.acked)
	}
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
