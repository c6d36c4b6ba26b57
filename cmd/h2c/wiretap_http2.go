package main

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
	fields []string // of a header block so far
}

func (d *frameDecoder) init() {
	d.framer = http2.NewFramer(nil, &d.src)
	d.framer.SetMaxReadFrameSize(maxTapped)
	d.framer.AllowIllegalReads = true // what is illegal is to be seen
	d.hpack = hpack.NewDecoder(4096, func(hf hpack.HeaderField) {
		line := hf.Name + ": " + hf.Value
		if hf.Sensitive {
			line += "  ; never indexed"
		}
		d.fields = append(d.fields, line)
	})
	// The two ends settle the size of the table; that they keep to it is their affair.
	d.hpack.SetAllowedMaxDynamicTableSize(maxTapped)
	d.hpack.SetMaxStringLength(maxTapped)
}

// frame decodes a frame.
func (f *flow) frame(b []byte) int {
	if len(b) < frameHeaderLen {
		return 0
	}
	n := frameHeaderLen + (int(b[0])<<16 | int(b[1])<<8 | int(b[2]))
	switch {
	case n > maxTapped:
		f.giveUp(fmt.Sprintf("a frame of %d octets", n-frameHeaderLen))
		return len(b)
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
		return n
	}
	if f.sent && header.Type == http2.FrameHeaders {
		f.c.lastStream = max(f.c.lastStream, header.StreamID)
	}
	frame, err := d.framer.ReadFrameForHeader(header)
	details := []string{}
	if names := flagNames(header); names != "" {
		details = append(details, "; "+names)
	}
	if err != nil {
		details = append(details, "; malformed: "+err.Error())
	} else {
		details = append(details, d.describe(frame)...)
	}
	f.print(fmt.Sprintf("%s frame <length=%d, flags=0x%02x, stream_id=%d>",
		header.Type, header.Length, uint8(header.Flags), header.StreamID), details...)
	return n
}

// describe returns what a frame holds.
func (d *frameDecoder) describe(frame http2.Frame) []string {
	var lines []string
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
		lines = append(lines, d.block(f.HeaderBlockFragment(), f.HeadersEnded())...)
	case *http2.ContinuationFrame:
		lines = append(lines, d.block(f.HeaderBlockFragment(), f.HeadersEnded())...)
	case *http2.PushPromiseFrame:
		add("promised_stream_id=%d", f.PromiseID)
		lines = append(lines, d.block(f.HeaderBlockFragment(), f.HeadersEnded())...)
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
	return lines
}

// block decodes a part of a header block, and returns the fields with the last one.
func (d *frameDecoder) block(fragment []byte, last bool) []string {
	_, err := d.hpack.Write(fragment)
	if err == nil && last {
		err = d.hpack.Close()
	}
	if err == nil && !last {
		return nil
	}
	fields := d.fields
	d.fields = nil
	if err != nil {
		fields = append(fields, "; malformed: "+err.Error())
	}
	return fields
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
