package splice

import (
	"encoding/binary"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// marker is the payload of the PING frame that follows the injected HEADERS. The answer to it
// comes after whatever the engine said before it accepted the request.
const marker = "h2c-open"

// A Request is a message that somebody has received in another form.
type Request struct {
	Settings []http2.Setting
	Fields   []hpack.HeaderField // pseudo-header fields first
	Body     []byte
}

// AppendRequest appends the frames that carry r on stream 1: a SETTINGS frame, HEADERS,
// CONTINUATION and DATA, the last of these with END_STREAM; and a PING after the header.
func AppendRequest(b []byte, r Request) []byte {
	b = appendSettings(b, r.Settings)

	var flags http2.Flags
	if len(r.Body) == 0 {
		flags = http2.FlagHeadersEndStream
	}
	block := headerBlock(r.Fields)
	for t := http2.FrameHeaders; t == http2.FrameHeaders || len(block) > 0; t = http2.FrameContinuation {
		n := min(len(block), maxFrameLen)
		if n == len(block) {
			flags |= http2.FlagHeadersEndHeaders
		}
		b = appendFrameHeader(b, n, t, flags, 1)
		b = append(b, block[:n]...)
		block, flags = block[n:], 0
	}

	b = appendFrameHeader(b, len(marker), http2.FramePing, 0, 0)
	b = append(b, marker...)

	for body := r.Body; len(body) > 0; {
		n := min(len(body), maxFrameLen)
		if n == len(body) {
			flags = http2.FlagDataEndStream
		}
		b = appendFrameHeader(b, n, http2.FrameData, flags, 1)
		b = append(b, body[:n]...)
		body = body[n:]
	}
	return b
}

// appendSettings appends a SETTINGS frame that says the same as settings processed in
// order. Of an identifier that stands there twice only the last value counts, and
// net/http treats a repetition as an attack.
func appendSettings(b []byte, settings []http2.Setting) []byte {
	start := len(b)
	b = appendFrameHeader(b, 0, http2.FrameSettings, 0, 0)
	for i, s := range settings {
		if overridden(settings[i+1:], s.ID) {
			continue
		}
		b = binary.BigEndian.AppendUint16(b, uint16(s.ID))
		b = binary.BigEndian.AppendUint32(b, s.Val)
	}
	n := len(b) - start - frameHeaderLen
	b[start+1], b[start+2] = byte(n>>8), byte(n)
	return b
}

func overridden(later []http2.Setting, id http2.SettingID) bool {
	for _, s := range later {
		if s.ID == id {
			return true
		}
	}
	return false
}

// headerBlock encodes fields in a way that leaves the decoder's dynamic table alone, since
// the client's encoder has not sent this block: as literals that are never indexed, without
// a table size update.
// https://www.rfc-editor.org/rfc/rfc7541.html#section-6.2.3
func headerBlock(fields []hpack.HeaderField) []byte {
	n := 0
	for _, f := range fields {
		n += len(f.Name) + len(f.Value) + 8
	}
	block := make([]byte, 0, n)
	for _, f := range fields {
		block = append(block, 0x10)
		block = appendString(block, f.Name)
		block = appendString(block, f.Value)
	}
	return block
}

// appendString appends a string literal without Huffman coding.
// https://www.rfc-editor.org/rfc/rfc7541.html#section-5.2
func appendString(b []byte, s string) []byte {
	const prefix = 1<<7 - 1
	if len(s) < prefix {
		b = append(b, byte(len(s)))
	} else {
		b = append(b, prefix)
		n := len(s) - prefix
		for ; n >= 1<<7; n >>= 7 {
			b = append(b, byte(n)|1<<7)
		}
		b = append(b, byte(n))
	}
	return append(b, s...)
}

func settingAt(b []byte) (id http2.SettingID, value uint32) {
	return http2.SettingID(binary.BigEndian.Uint16(b)), binary.BigEndian.Uint32(b[2:])
}

// tableSize returns the value of SETTINGS_HEADER_TABLE_SIZE after a SETTINGS frame with
// which a connection begins.
func tableSize(frame []byte) uint32 {
	size := uint32(defaultTableSize)
	for settings := frame[frameHeaderLen:][:frameHeader(frame).length()]; len(settings) > 0; settings = settings[settingLen:] {
		if id, value := settingAt(settings); id == http2.SettingHeaderTableSize {
			size = value
		}
	}
	return size
}
