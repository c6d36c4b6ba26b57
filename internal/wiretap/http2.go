package wiretap

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const frameHeaderLen = 9

// A frameDecoder decodes the frames of one direction.
type frameDecoder struct {
	src    bytes.Reader
	framer *http2.Framer
	hpack  *hpack.Decoder
	fields []hpack.HeaderField // of a header block so far
}

func (d *frameDecoder) init() {
	d.framer = http2.NewFramer(nil, &d.src)
	d.framer.SetMaxReadFrameSize(MaxHeld)
	d.framer.AllowIllegalReads = true // what is illegal is to be seen
	d.hpack = hpack.NewDecoder(4096, func(hf hpack.HeaderField) { d.fields = append(d.fields, hf) })
	// The two ends settle the size of the table; that they keep to it is their affair.
	d.hpack.SetAllowedMaxDynamicTableSize(MaxHeld)
	d.hpack.SetMaxStringLength(MaxHeld)
}

// frame decodes a frame.
func (f *flow) frame(b []byte) int {
	if len(b) < frameHeaderLen {
		return 0
	}
	n := frameHeaderLen + (int(b[0])<<16 | int(b[1])<<8 | int(b[2]))
	switch {
	case n > MaxHeld:
		f.giveUp(fmt.Sprintf("a frame of %d octets", n-frameHeaderLen))
		return f.raw(b)
	case len(b) < n:
		return 0
	}
	d := &f.frames
	if d.framer == nil {
		d.init()
	}
	d.src.Reset(b[:n])
	header, err := d.framer.ReadFrameHeader()
	if err != nil {
		f.giveUp(err.Error())
		return f.raw(b[:n])
	}
	if f.client && header.Type == http2.FrameHeaders {
		f.d.lastStream = max(f.d.lastStream, header.StreamID)
	}
	e := Event{
		Kind: Frame,
		What: fmt.Sprintf("%s frame <length=%d, flags=0x%02x, stream_id=%d>",
			header.Type, header.Length, uint8(header.Flags), header.StreamID),
		Octets: b[:n],
		Header: header,
	}
	if names := flagNames(header); names != "" {
		e.Details = append(e.Details, "; "+names)
	}
	if frame, err := d.framer.ReadFrameForHeader(header); err != nil {
		e.Details = append(e.Details, "; malformed: "+err.Error())
	} else {
		e.Frame = frame
		var lines []string
		lines, e.Fields = d.describe(frame)
		e.Details = append(e.Details, lines...)
	}
	f.tell(e)
	return n
}

// describe returns what a frame holds, and the fields of the header block that it ends.
func (d *frameDecoder) describe(frame http2.Frame) (lines []string, fields []hpack.HeaderField) {
	block := func(fragment []byte, last bool) {
		var more []string
		more, fields = d.block(fragment, last)
		lines = append(lines, more...)
	}
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch f := frame.(type) {
	case *http2.DataFrame:
		if padding := int(f.Length) - len(f.Data()); padding > 0 {
			add("; %d of them padding", padding)
		}
	case *http2.HeadersFrame:
		if f.HasPriority() {
			add("; depends on stream %d, weight %d, exclusive %t", f.Priority.StreamDep, int(f.Priority.Weight)+1, f.Priority.Exclusive)
		}
		block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.ContinuationFrame:
		block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.PushPromiseFrame:
		add("promised_stream_id=%d", f.PromiseID)
		block(f.HeaderBlockFragment(), f.HeadersEnded())
	case *http2.SettingsFrame:
		f.ForeachSetting(func(s http2.Setting) error {
			add("%v", s)
			return nil
		})
	case *http2.WindowUpdateFrame:
		add("window_size_increment=%d", f.Increment)
	case *http2.RSTStreamFrame:
		add("error_code=%v(0x%02x)", f.ErrCode, uint32(f.ErrCode))
	case *http2.GoAwayFrame:
		add("last_stream_id=%d, error_code=%v(0x%02x), debug_data=%q", f.LastStreamID, f.ErrCode, uint32(f.ErrCode), f.DebugData())
	case *http2.PingFrame:
		add("opaque_data=%x", f.Data)
	case *http2.PriorityFrame:
		add("depends on stream %d, weight %d, exclusive %t", f.StreamDep, int(f.Weight)+1, f.Exclusive)
	case *http2.PriorityUpdateFrame:
		add("prioritized_stream_id=%d, priority=%q", f.PrioritizedStreamID, f.Priority)
	case *http2.UnknownFrame:
		if payload := f.Payload(); len(payload) > 0 {
			add("payload=%x", payload[:min(len(payload), 64)])
		}
	}
	return lines, fields
}

// block decodes a part of a header block, and returns the fields with the last one, also
// as lines to show.
func (d *frameDecoder) block(fragment []byte, last bool) (lines []string, fields []hpack.HeaderField) {
	_, err := d.hpack.Write(fragment)
	if err == nil && last {
		err = d.hpack.Close()
	}
	if err == nil && !last {
		return nil, nil
	}
	fields, d.fields = d.fields, nil
	for _, hf := range fields {
		line := hf.Name + ": " + hf.Value
		if hf.Sensitive {
			line += "  ; never indexed"
		}
		lines = append(lines, line)
	}
	if err != nil {
		return append(lines, "; malformed: "+err.Error()), nil
	}
	return lines, fields
}

var frameFlags = map[http2.FrameType][]struct {
	flag http2.Flags
	name string
}{
	http2.FrameData:     {{0x1, "END_STREAM"}, {0x8, "PADDED"}},
	http2.FrameHeaders:  {{0x1, "END_STREAM"}, {0x4, "END_HEADERS"}, {0x8, "PADDED"}, {0x20, "PRIORITY"}},
	http2.FrameSettings: {{0x1, "ACK"}},
	http2.FramePing:     {{0x1, "ACK"}},

	http2.FramePushPromise:  {{0x4, "END_HEADERS"}, {0x8, "PADDED"}},
	http2.FrameContinuation: {{0x4, "END_HEADERS"}},
}

func flagNames(h http2.FrameHeader) string {
	var names []string
	for _, f := range frameFlags[h.Type] {
		if h.Flags.Has(f.flag) {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, " | ")
}
