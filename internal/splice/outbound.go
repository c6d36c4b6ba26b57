package splice

import (
	"encoding/binary"
	"errors"

	"golang.org/x/net/http2"
)

// maxBeforePreface is how many octets leave between the 101 and the client's preface: a
// small response saves its round trip, and a large one does not run over a client that
// first reads what it has room for (curl 7.88 gives up at 32 KiB).
const maxBeforePreface = 16 << 10

var errFrameLength = errors.New("WINDOW_UPDATE frame of a wrong length")

// outbound filters what the engine writes until nothing in it can be an answer to the
// injected frames any more.
type outbound struct {
	*handshake
	c    *Conn
	sent int    // octets written so far, Config.Accept included
	buf  []byte // what is left of one Write

	head    []byte // of a frame, until it can be judged
	payload int    // octets of the frame that pass unseen
	isAcked bool   // the acknowledgement of the injected SETTINGS has been dropped
	owed    int    // connection window that is still to be withheld
}

func (out *outbound) write(p []byte) (int, error) {
	c := out.c
	if !c.open(out.handshake) {
		c.Refuse()
		return 0, c.err()
	}
	out.buf = out.buf[:0]
	if out.sent == 0 {
		out.buf = append(out.buf, out.Accept...)
	}
	if err := out.filter(p); err != nil {
		return 0, c.fail(err)
	}
	if err := out.send(); err != nil {
		return 0, err
	}
	if out.settled() && isClosed(out.prefaced) {
		c.out.Store(nil)
	}
	return len(p), nil
}

func (out *outbound) settled() bool {
	return out.isAcked && out.owed == 0 && out.payload == 0 && len(out.head) == 0
}

// filter appends to buf what the client may see of p.
func (out *outbound) filter(p []byte) error {
	for len(p) > 0 && !out.settled() {
		if out.payload > 0 {
			n := min(out.payload, len(p))
			out.buf = append(out.buf, p[:n]...)
			out.payload -= n
			p = p[n:]
			continue
		}
		want := frameHeaderLen
		if len(out.head) >= frameHeaderLen {
			want = windowUpdateLen
		}
		n := min(want-len(out.head), len(p))
		out.head = append(out.head, p[:n]...)
		p = p[n:]
		if len(out.head) < want {
			continue
		}
		if err := out.judge(); err != nil {
			return err
		}
	}
	out.buf = append(out.buf, p...)
	return nil
}

// judge decides about the frame whose header, or for WINDOW_UPDATE the whole, is in head.
func (out *outbound) judge() error {
	header := frameHeader(out.head)
	switch {
	case header.frameType() == http2.FrameWindowUpdate && header.length() != windowUpdateLen-frameHeaderLen:
		return errFrameLength
	case header.frameType() == http2.FrameWindowUpdate && len(out.head) < windowUpdateLen:
		return nil // the increment is still to come
	case header.frameType() == http2.FrameWindowUpdate:
		out.windowUpdate(header)
	case header.isSettings(true) && !out.isAcked:
		// The client never sent the frame that this answers: "The 101 response serves as
		// an implicit acknowledgement".
		// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1
		out.isAcked = true
		close(out.acked)
	default:
		out.buf = append(out.buf, out.head...)
		out.payload = header.length()
	}
	out.head = out.head[:0]
	return nil
}

// windowUpdate passes on the credit that the client may use. The window for the injected
// body was never the client's to spend, so it is not given back to it.
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9
func (out *outbound) windowUpdate(header frameHeader) {
	switch header.stream() {
	case 0:
		increment := int(binary.BigEndian.Uint32(out.head[frameHeaderLen:]) &^ (1 << 31))
		withheld := min(increment, out.owed)
		out.owed -= withheld
		if increment == withheld {
			return
		}
		binary.BigEndian.PutUint32(out.head[frameHeaderLen:], uint32(increment-withheld))
	case 1:
		return // the client's side of stream 1 is closed
	}
	out.buf = append(out.buf, out.head...)
}

// send writes buf, its end only when the client's preface has come.
func (out *outbound) send() error {
	c := out.c
	for b := out.buf; len(b) > 0; {
		n := len(b)
		if !isClosed(out.prefaced) {
			n = min(n, len(out.Accept)+maxBeforePreface-out.sent)
		}
		if n == 0 {
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

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
