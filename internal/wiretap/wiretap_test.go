package wiretap

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A said is what one end of a connection says.
type said struct {
	client bool
	octets string
}

// tapOf returns what a Decoder tells of a conversation, in which each octets come in pieces
// of that size.
func tapOf(t testing.TB, piece int, conversation ...said) []string {
	t.Helper()
	var lines []string
	var told, fed [2]string
	d := New(func(e Event) {
		direction := "recv "
		i := 0
		if e.Client {
			direction = "send "
			i = 1
		}
		told[i] += string(e.Octets)
		if e.Shows() {
			lines = append(lines, direction+e.What)
			for _, detail := range e.Details {
				lines = append(lines, strings.TrimSpace(detail))
			}
		}
	})
	for _, s := range conversation {
		feed, i := d.Server, 0
		if s.client {
			feed, i = d.Client, 1
		}
		fed[i] += s.octets
		for b := range slices.Chunk([]byte(s.octets), piece) {
			feed(bytes.Clone(b))
		}
	}
	for i, client := range []bool{false, true} {
		if rest := d.Held(client); told[i] != fed[i][:len(fed[i])-rest] {
			t.Errorf("client %t: %d octets came, %d are held, but it tells of %d others", client, len(fed[i]), rest, len(told[i]))
		}
	}
	d.End()
	return lines
}

// frames returns frames as octets.
func frames(t testing.TB, write func(*http2.Framer)) string {
	t.Helper()
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	fr.AllowIllegalWrites = true
	write(fr)
	return b.String()
}

func headerBlock(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		enc.WriteField(hpack.HeaderField{Name: name, Value: value})
	}
	return b.Bytes()
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

func TestDecoder(t *testing.T) {
	block := headerBlock(":status=200", "a=b")
	response := frames(t, func(fr *http2.Framer) {
		fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 7})
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block[:1]})
		fr.WriteContinuation(1, true, block[1:])
		fr.WriteDataPadded(1, true, []byte("hello"), make([]byte, 3))
	})
	ask := said{true, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"}
	asked := []string{"send HTTP/1.1 request", "GET / HTTP/1.1", "Host: x"}
	tests := []struct {
		name string
		says []said
		want []string
	}{
		{"upgrade", []said{
			{true, "GET / HTTP/1.1\r\nUpgrade: h2c\r\nHTTP2-Settings: AAIAAAAA\r\n\r\n"},
			{false, switching + response},
			{true, http2.ClientPreface + frames(t, func(fr *http2.Framer) { fr.WriteSettingsAck() })},
		}, []string{
			"send HTTP/1.1 request", "GET / HTTP/1.1", "Upgrade: h2c", "HTTP2-Settings: AAIAAAAA", "; [ENABLE_PUSH = 0]",
			"recv HTTP/1.1 response", "HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: h2c",
			"recv SETTINGS frame <length=6, flags=0x00, stream_id=0>", "[MAX_CONCURRENT_STREAMS = 7]",
			"recv HEADERS frame <length=1, flags=0x00, stream_id=1>",
			"recv CONTINUATION frame <length=5, flags=0x04, stream_id=1>", "; END_HEADERS", ":status: 200", "a: b",
			"recv DATA frame <length=9, flags=0x09, stream_id=1>", "; END_STREAM | PADDED", "; 4 of them padding",
			"send client preface", "send SETTINGS frame <length=0, flags=0x01, stream_id=0>", "; ACK",
		}},
		{"declined, then another request", []said{
			ask, {false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
			ask, {false, "HTTP/1.1 204 No Content\r\n\r\n"},
		}, slices.Concat(
			asked, []string{"recv HTTP/1.1 response", "HTTP/1.1 200 OK", "Content-Length: 5", "recv body of 5 octets"},
			asked, []string{"recv HTTP/1.1 response", "HTTP/1.1 204 No Content"},
		)},
		{"chunks and trailers", []said{
			{true, "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n10\r\n0123456789abcdef\r\n0\r\nT: 1\r\n\r\n"},
			{false, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		}, []string{
			"send HTTP/1.1 request", "POST / HTTP/1.1", "Transfer-Encoding: chunked", "send body of 18 octets, in chunks", "T: 1",
			"recv HTTP/1.1 response", "HTTP/1.1 100 Continue",
			"recv HTTP/1.1 response", "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "recv body of 0 octets, in chunks",
		}},
		{"no body after HEAD", []said{
			{true, "HEAD / HTTP/1.1\r\n\r\n"}, {false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"},
			ask, {false, "HTTP/1.0 200 OK\r\n\r\nall that comes"},
		}, slices.Concat(
			[]string{"send HTTP/1.1 request", "HEAD / HTTP/1.1", "recv HTTP/1.1 response", "HTTP/1.1 200 OK", "Content-Length: 5"},
			asked, []string{"recv HTTP/1.1 response", "HTTP/1.0 200 OK", "recv body of 14 octets, until the connection ended"},
		)},
		{"prior knowledge", []said{
			{true, http2.ClientPreface + frames(t, func(fr *http2.Framer) {
				fr.WriteSettings()
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: headerBlock(":method=GET"), EndHeaders: true, EndStream: true})
			})},
			{false, frames(t, func(fr *http2.Framer) {
				fr.WriteWindowUpdate(0, 9)
				fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
				fr.WriteGoAway(1, http2.ErrCodeNo, []byte("bye\n"))
				fr.WritePing(false, [8]byte{7: 1})
				fr.WriteRawFrame(0xf0, 0, 3, []byte{1, 2})
			})},
		}, []string{
			"send client preface", "send SETTINGS frame <length=0, flags=0x00, stream_id=0>",
			"send HEADERS frame <length=1, flags=0x05, stream_id=1>", "; END_STREAM | END_HEADERS", ":method: GET",
			"recv WINDOW_UPDATE frame <length=4, flags=0x00, stream_id=0>", "window_size_increment=9",
			"recv RST_STREAM frame <length=4, flags=0x00, stream_id=1>", "error_code=REFUSED_STREAM(0x07)",
			"recv GOAWAY frame <length=12, flags=0x00, stream_id=0>", `last_stream_id=1, error_code=NO_ERROR(0x00), debug_data="bye\n"`,
			"recv PING frame <length=8, flags=0x00, stream_id=0>", "opaque_data=0000000000000001",
			"recv UNKNOWN_FRAME_TYPE_240 frame <length=2, flags=0x00, stream_id=3>", "payload=0102",
		}},
		{"HTTP/1.1 answered in HTTP/2", []said{
			ask, {false, frames(t, func(fr *http2.Framer) { fr.WriteSettings() })},
		}, append(slices.Clone(asked), "recv SETTINGS frame <length=0, flags=0x00, stream_id=0>")},
		{"prior knowledge answered in HTTP/1.1", []said{
			{true, http2.ClientPreface}, {false, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"},
		}, []string{"send client preface", "recv HTTP/1.1 response", "HTTP/1.1 400 Bad Request", "Content-Length: 0"}},
		{"malformed frames", []said{
			{true, http2.ClientPreface},
			{false, "\x00\x00\x03\x03\x00\x00\x00\x00\x01abc" + "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x80" + "\x00\x00"},
		}, []string{
			"send client preface",
			"recv RST_STREAM frame <length=3, flags=0x00, stream_id=1>", "; malformed: connection error: FRAME_SIZE_ERROR",
			"recv HEADERS frame <length=1, flags=0x04, stream_id=1>", "; END_HEADERS", "; malformed: decoding error: invalid indexed representation index 0",
			"recv 2 octets that are not whole when the connection ended",
		}},
		{"another protocol", []said{
			ask, {false, "SSH-2.0-x\r\n"},
		}, append(slices.Clone(asked), "recv octets that are not decoded from here on: neither HTTP/1 nor HTTP/2")},
		{"too large a frame", []said{
			{true, http2.ClientPreface}, {false, "\x00\xff\xff\x00" + strings.Repeat("\x00", 5) + strings.Repeat("x", 0xffff) + "\xff\xff\xff\x00\x00\x00\x00\x00\x01rest"},
		}, []string{
			"send client preface", "recv DATA frame <length=65535, flags=0x00, stream_id=0>", "; malformed: connection error: PROTOCOL_ERROR",
			"recv octets that are not decoded from here on: a frame of 16777215 octets",
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, piece := range []int{1, 2, 3, 7, 1 << 20} {
				if got := tapOf(t, piece, test.says...); !slices.Equal(got, test.want) {
					t.Fatalf("in pieces of %d octets, got\n  %s\nwant\n  %s", piece, strings.Join(got, "\n  "), strings.Join(test.want, "\n  "))
				}
			}
		})
	}
}

// What a Decoder holds is bounded.
func TestDecoderHoldsLittle(t *testing.T) {
	d := New(func(Event) {})
	d.Server([]byte("HTTP/1.1 200 OK\r\n"))
	line := []byte("A: " + strings.Repeat("x", 64<<10) + "\r\n")
	for range 64 {
		d.Server(line)
	}
	if n := cap(d.server.buf); n > 2*MaxHeld {
		t.Errorf("%d octets are held", n)
	}
}

// FuzzDecoder checks that nothing depends on how octets come in pieces.
func FuzzDecoder(f *testing.F) {
	f.Add(true, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 1)
	f.Add(false, []byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx"), 5)
	f.Add(false, []byte(switching+"\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"), 3)
	f.Add(true, []byte(http2.ClientPreface+"\x00\x00\x04\x08\x00\x00\x00\x00\x00\x00\x00\x00\x01"), 2)
	f.Fuzz(func(t *testing.T, client bool, octets []byte, piece int) {
		piece, octets = max(piece, 1), octets[:min(len(octets), 1<<16)]
		says := said{client, string(octets)}
		whole, pieces := tapOf(t, len(octets)+1, says), tapOf(t, piece, says)
		if !slices.Equal(whole, pieces) {
			t.Errorf("whole:\n%s\nin pieces of %d:\n%s", strings.Join(whole, "\n"), piece, strings.Join(pieces, "\n"))
		}
	})
}
