package splice

import (
	"encoding/binary"

	"golang.org/x/net/http2"
)

const (
	// frameHeaderLen is the length of a frame header in octets.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-4.1
	frameHeaderLen = 9

	// settingLen is the length of one setting in octets.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.1
	settingLen = 6

	// defaultTableSize is the initial value of SETTINGS_HEADER_TABLE_SIZE.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.2
	defaultTableSize = 4096

	// maxFrameLen is the length of payload that every peer accepts.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-4.2
	maxFrameLen = 16384
)

// frameHeader is the first nine octets of a frame.
type frameHeader []byte

func (h frameHeader) length() int                { return int(h[0])<<16 | int(h[1])<<8 | int(h[2]) }
func (h frameHeader) frameType() http2.FrameType { return http2.FrameType(h[3]) }
func (h frameHeader) flags() http2.Flags         { return http2.Flags(h[4]) }
func (h frameHeader) stream() uint32             { return binary.BigEndian.Uint32(h[5:]) &^ (1 << 31) }

// isSettings reports whether the frame is a SETTINGS frame, and an acknowledgement or not.
func (h frameHeader) isSettings(ack bool) bool {
	return h.frameType() == http2.FrameSettings && h.flags().Has(http2.FlagSettingsAck) == ack && h.stream() == 0
}

func appendFrameHeader(b []byte, length int, t http2.FrameType, f http2.Flags, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(t), byte(f))
	return binary.BigEndian.AppendUint32(b, stream)
}

// frames cuts what an engine writes into frames, in any split, and drops some of them.
type frames struct {
	inspect func(frameHeader) int // how much of its payload judge needs to see
	judge   func(header frameHeader, payload []byte) (pass bool)
	settled func() bool // whatever comes passes

	head []byte // of a frame, until it can be judged
	rest int    // octets of the frame that are still to come after that
	drop bool   // and are dropped
}

// atBoundary reports whether no frame is incomplete.
func (f *frames) atBoundary() bool { return f.rest == 0 && len(f.head) == 0 }

// filter appends to dst what passes of p. judge may change the payload that it sees.
func (f *frames) filter(dst, p []byte) []byte {
	for len(p) > 0 && !(f.atBoundary() && f.settled()) {
		if f.rest > 0 {
			n := min(f.rest, len(p))
			if !f.drop {
				dst = append(dst, p[:n]...)
			}
			f.rest -= n
			p = p[n:]
			continue
		}
		n := min(f.wanted(), len(p))
		f.head = append(f.head, p[:n]...)
		p = p[n:]
		if f.wanted() > 0 {
			continue
		}
		header, payload := frameHeader(f.head[:frameHeaderLen]), f.head[frameHeaderLen:]
		f.drop = !f.judge(header, payload)
		f.rest = header.length() - len(payload)
		if !f.drop {
			dst = append(dst, f.head...)
		}
		f.head = f.head[:0]
	}
	return append(dst, p...)
}

// wanted returns how many octets are missing in head until the frame can be judged.
func (f *frames) wanted() int {
	if len(f.head) < frameHeaderLen {
		return frameHeaderLen - len(f.head)
	}
	header := frameHeader(f.head)
	return frameHeaderLen + min(f.inspect(header), header.length()) - len(f.head)
}
