package engine

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// Every kind of frame that costs the client little is counted, and what responses give reason for is
// not: one frame more than may come at once ends the connection.
func TestFloodKinds(t *testing.T) {
	const fatal = "ENHANCE_YOUR_CALM; EOF"
	request := frame(http2.FrameHeaders, endBoth, 1, get("/wait"))
	each := func(p []byte) func(int) []byte { return func(int) []byte { return p } }
	for _, tt := range []struct {
		name   string
		before []byte
		next   func(i int) []byte
		earned int // by the response before
	}{
		{"PING", nil, each(appendPing(nil, false, [8]byte{})), 0},
		{"answers to PING", nil, each(appendPing(nil, true, [8]byte{})), 0},
		{"SETTINGS", nil, each(appendSettings(nil)), 0},
		{"PRIORITY", nil, each(frame(http2.FramePriority, 0, 1, make([]byte, 5))), 0},
		{"PRIORITY_UPDATE", nil, each(frame(http2.FramePriorityUpdate, 0, 0, u32(1))), 0},
		{"PRIORITY_UPDATE of a stream", request, each(frame(http2.FramePriorityUpdate, 0, 0, append(u32(1), "u=1"...))), 0},
		{"WINDOW_UPDATE", nil, each(appendWindowUpdate(nil, 0, 1)), 0},
		{"WINDOW_UPDATE of a stream", request, each(appendWindowUpdate(nil, 1, 1)), 0},
		{"GOAWAY", request, each(frame(http2.FrameGoAway, 0, 0, make([]byte, 8))), 0},
		{"unknown", nil, each(frame(0xfa, 0, 0, nil)), 0},
		{"empty DATA", post(1, "x-wait", "1"), each(frame(http2.FrameData, 0, 1, nil)), 0},
		{"DATA of padding", post(1, "x-wait", "1"), each(frame(http2.FrameData, http2.FlagDataPadded, 1, []byte{0})), 0},
		{"malformed requests", nil, func(i int) []byte {
			return frame(http2.FrameHeaders, endBoth, uint32(2*i+1), block("x", "1"))
		}, 0},
		{"requests that are reset", nil, func(i int) []byte {
			id := uint32(2*i + 1)
			return join(frame(http2.FrameHeaders, endBoth, id, get("/wait")), frame(http2.FrameRSTStream, 0, id, u32(8)))
		}, 0},
		{"RST_STREAM after a response", frame(http2.FrameHeaders, endBoth, 1, get("/5000")), each(frame(http2.FrameRSTStream, 0, 1, u32(8))), 3 + 3 + 5000/1024},
		{"PING after a response", frame(http2.FrameHeaders, endBoth, 1, get("/5000")), each(appendPing(nil, false, [8]byte{})), 3 + 3 + 5000/1024},
		{"PING after a small response", frame(http2.FrameHeaders, endBoth, 1, get("/100")), each(appendPing(nil, false, [8]byte{})), 3 + 3},
		{"SETTINGS after a response", frame(http2.FrameHeaders, endBoth, 1, get("/5000")), each(appendSettings(nil)), 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
				n := 0
				if fmt.Sscanf(r.URL.Path, "/%d", &n); n == 0 {
					<-r.Context().Done()
				}
				w.Write(make([]byte, n))
			})
			c.Write(tt.before)
			c.take()
			const first = 1 // SETTINGS
			for i := range floodBurst + tt.earned - first {
				c.Write(tt.next(i))
				if i%100 == 0 {
					synctest.Wait()
				}
			}
			if got := c.take(); strings.Contains(got, "GOAWAY") && tt.name != "GOAWAY" || strings.Contains(got, "EOF") {
				t.Errorf("%s: too early: %s", tt.name, got[max(0, len(got)-100):])
			}
			c.Write(tt.next(floodBurst + tt.earned - first))
			if got := c.take(); !strings.HasSuffix(got, fatal) {
				t.Errorf("%s: one more: %q", tt.name, got)
			}
		})
	}
}

// A header block has so many octets and frames, and no more.
func TestBlockBounds(t *testing.T) {
	const limit = 1000 + 10*fieldOverhead
	request := get("/")
	for _, tt := range []struct {
		name   string
		octets int // of the block
		frames int
		want   string
	}{
		{"list too large", 200, 1, "HEADERS 1 431; DATA 1 63 END"},
		{"octets", limit + maxBlockExtra, 10, "HEADERS 1 431; DATA 1 63 END"},
		{"too many octets", limit + maxBlockExtra + 1, 10, "GOAWAY 0 ENHANCE_YOUR_CALM; EOF"},
		{"frames", 2000, maxBlockParts, "HEADERS 1 431; DATA 1 63 END"},
		{"too many frames", 2000, maxBlockParts + 1, "GOAWAY 0 ENHANCE_YOUR_CALM; EOF"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{MaxHeaderBytes: 1000}, http.NotFound)
			b := append([]byte(nil), request...)
			for len(b) < tt.octets {
				b = append(b, 0x80|16) // accept-encoding: gzip, deflate
			}
			kind := http2.FrameHeaders
			for i := range tt.frames {
				n, flags := len(b)/(tt.frames-i), http2.FlagHeadersEndStream
				if i > 0 {
					kind, flags = http2.FrameContinuation, 0
				}
				if i == tt.frames-1 {
					flags |= http2.FlagHeadersEndHeaders
				}
				c.Write(frame(kind, flags, 1, b[:n]))
				b = b[n:]
				synctest.Wait()
			}
			if got := c.take(); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// A list above the limit is answered 431, whatever is missing of it for that, and its fields are not
// kept; a string above the limit is not taken.
func TestLargeLists(t *testing.T) {
	long := strings.Repeat("x", 900)
	for name, tt := range map[string]struct {
		fields []byte
		want   string
	}{
		"fields":       {join(get("/"), block("a", long, "b", long)), "HEADERS 1 431; DATA 1 63 END"},
		"path":         {block(":method", "GET", ":scheme", "http", "x", long, ":path", "/"+long), "HEADERS 1 431; DATA 1 63 END"},
		"at the limit": {join(get("/"), block("a", strings.Repeat("x", 1000+320-4*32-len(":methodGET:schemehttp:authoritya:path/a")-32))), "HEADERS 1 200 END"},
		"above it":     {join(get("/"), block("a", strings.Repeat("x", 1000+320-4*32-len(":methodGET:schemehttp:authoritya:path/a")-31))), "HEADERS 1 431; DATA 1 63 END"},
		"value":        {join(get("/"), block("a", strings.Repeat("~", 1321))), "HEADERS 1 431; DATA 1 63 END"},
		"long value":   {join(get("/"), block("a", strings.Repeat("a", 1320+maxBlockExtra))), "HEADERS 1 431; DATA 1 63 END"},
		"longer value": {join(get("/"), block("a", strings.Repeat("a", 1320+maxBlockExtra+1))), "GOAWAY 0 ENHANCE_YOUR_CALM; EOF"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{MaxHeaderBytes: 1000}, func(http.ResponseWriter, *http.Request) {})
			sc := c.conn()
			kind, flags := http2.FrameHeaders, http2.FlagHeadersEndStream
			for parts := slices.Collect(slices.Chunk(tt.fields, minMaxFrame)); len(parts) > 0; parts = parts[1:] {
				if len(parts) == 1 {
					flags |= http2.FlagHeadersEndHeaders
				}
				c.Write(frame(kind, flags, 1, parts[0]))
				kind, flags = http2.FrameContinuation, 0
			}
			if got := c.take(); got != tt.want {
				t.Errorf("%s: %q, want %q", name, got, tt.want)
			}
			if n := len(sc.block.fields); strings.Contains(tt.want, "431") && n > 1 {
				t.Errorf("%s: %d fields are kept", name, n)
			}
		})
	}
}

// A client has so many streams open, and so many handlers run of those that it has reset.
func TestManyStreams(t *testing.T) {
	for _, tt := range []struct {
		name         string
		acknowledged bool
		reset        bool // each stream, at once
		streams      int
		want         string
	}{
		{"open", true, false, 2, ""},
		{"too many open", true, false, 3, "RST_STREAM 5 PROTOCOL_ERROR"},
		{"too many open, before the client knows", false, false, 3, "RST_STREAM 5 REFUSED_STREAM"},
		{"handlers", true, true, 4, ""},
		{"too many handlers", true, true, 5, "RST_STREAM 9 REFUSED_STREAM"},
	} {
		synctest.Test(t, func(t *testing.T) {
			end := make(chan bool)
			defer close(end)
			c := dialWatch(t, &http.Server{HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 2}}, func(_ http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				<-end // whatever the context says
			})
			if tt.acknowledged {
				c.Write(settingsAck())
			}
			for i := range uint32(tt.streams) {
				c.Write(frame(http2.FrameHeaders, endBoth, 2*i+1, get("/")))
				if tt.reset {
					c.Write(frame(http2.FrameRSTStream, 0, 2*i+1, u32(8)))
				}
			}
			if got := c.take(); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}
