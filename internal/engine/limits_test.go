package engine

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// serveTCP serves connections of the loopback interface, until the test ends.
func serveTCP(t *testing.T, handler http.HandlerFunc) (*Server, func() net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)})
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go s.Serve(nc, Options{Context: t.Context(), Handler: handler})
		}
	}()
	t.Cleanup(func() { l.Close() })
	return s, func() net.Conn {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(30 * time.Second))
		t.Cleanup(func() { nc.Close() })
		io.WriteString(nc, http2.ClientPreface)
		nc.Write(appendSettings(nil))
		return nc
	}
}

// wantNone waits until the server has no connection and no handler left.
func wantNone(t *testing.T, s *Server) {
	t.Helper()
	for range 500 {
		s.mu.Lock()
		n := len(s.conns)
		s.mu.Unlock()
		if n == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("connections are left")
}

func block(fields ...string) []byte {
	var b bytes.Buffer
	enc := hpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return b.Bytes()
}

func get(path string) []byte {
	return block(":method", "GET", ":scheme", "http", ":authority", "a", ":path", path)
}

func frame(kind http2.FrameType, flags http2.Flags, id uint32, p []byte) []byte {
	return append(appendHeader(nil, len(p), kind, flags, id), p...)
}

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

// goAway reads until the connection ends, and returns the code of its GOAWAY.
func goAway(nc net.Conn) (http2.ErrCode, error) {
	fr := http2.NewFramer(io.Discard, nc)
	code := http2.ErrCode(1 << 31)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return code, err
		}
		if f, ok := f.(*http2.GoAwayFrame); ok {
			code = f.ErrCode
		}
	}
}

const endBoth = http2.FlagHeadersEndHeaders | http2.FlagHeadersEndStream

func TestFloods(t *testing.T) {
	begin := func(i int) []byte { return frame(http2.FrameHeaders, endBoth, uint32(2*i+1), get("/")) }
	for name, next := range map[string]func(i int) []byte{
		"rapid reset": func(i int) []byte {
			return append(begin(i), frame(http2.FrameRSTStream, 0, uint32(2*i+1), u32(8))...)
		},
		"resets by the server": func(i int) []byte {
			return append(begin(i), frame(http2.FrameWindowUpdate, 0, uint32(2*i+1), u32(0))...)
		},
		"settings":                 func(int) []byte { return appendSettings(nil) },
		"ping":                     func(int) []byte { return appendPing(nil, false, [8]byte{}) },
		"priority":                 func(i int) []byte { return frame(http2.FramePriority, 0, uint32(2*i+1), make([]byte, 5)) },
		"window of the connection": func(int) []byte { return appendWindowUpdate(nil, 0, 1) },
		"window of a stream": func(i int) []byte {
			if i == 0 {
				return frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/wait"))
			}
			return appendWindowUpdate(nil, 1, 1)
		},
		"empty DATA": func(i int) []byte {
			if i == 0 {
				return frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/wait"))
			}
			return frame(http2.FrameData, 0, 1, nil)
		},
		"empty CONTINUATION": func(i int) []byte {
			if i == 0 {
				return frame(http2.FrameHeaders, 0, 1, nil)
			}
			return frame(http2.FrameContinuation, 0, 1, nil)
		},
		"large CONTINUATION": func(i int) []byte {
			if i == 0 {
				return frame(http2.FrameHeaders, 0, 1, get("/"))
			}
			return frame(http2.FrameContinuation, 0, 1, block("x", strings.Repeat("x", 10_000)))
		},
		"unknown frames": func(int) []byte { return frame(0xfa, 0, 0, nil) },
		"over the limit": func(i int) []byte { return frame(http2.FrameHeaders, endBoth, uint32(2*i+1), get("/wait")) },
	} {
		for _, reads := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s reads=%v", name, reads), func(t *testing.T) {
				s, dial := serveTCP(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/wait" {
						<-r.Context().Done()
					}
				})
				nc, other := dial(), dial()
				type end struct {
					code http2.ErrCode
					err  error
				}
				ended := make(chan end, 1)
				if reads {
					go func() {
						code, err := goAway(nc)
						ended <- end{code, err}
					}()
				}
				var err error
				sent := 0
				// Buffers of the system take millions of octets before anybody reads them.
				for i, end := 0, time.Now().Add(20*time.Second); err == nil && time.Now().Before(end); {
					var b []byte
					for range 100 {
						b = append(b, next(i)...)
						i++
					}
					_, err = nc.Write(b)
					sent = i
				}
				if err == nil {
					t.Errorf("%d frames were taken", sent)
				}
				if reads {
					if e := <-ended; e.code != http2.ErrCodeEnhanceYourCalm && e.code != 1<<31 {
						t.Errorf("GOAWAY %v, %v", e.code, e.err)
					}
				}
				nc.Close()
				other.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
				fr := http2.NewFramer(io.Discard, other)
				for {
					f, err := fr.ReadFrame()
					if err != nil {
						t.Fatalf("another connection: %v", err)
					}
					if f.Header().Type == http2.FrameHeaders {
						break
					}
				}
				other.Close()
				wantNone(t, s)
			})
		}
	}
}

// A client that does not read has the server hold a bounded amount of memory, however many
// requests it makes, and its handlers end when it goes.
func TestClientNeverReads(t *testing.T) {
	for _, path := range []string{"/none", "/small", "/large", "/trailers"} {
		t.Run(path[1:], func(t *testing.T) {
			var running, all atomic.Int64
			s, dial := serveTCP(t, func(w http.ResponseWriter, r *http.Request) {
				running.Add(1)
				defer running.Add(-1)
				w.Header().Set("X-Large", strings.Repeat(fmt.Sprint(all.Add(1)), 200)) // another each time
				switch r.URL.Path {
				case "/none":
					w.WriteHeader(204)
				case "/small":
					io.WriteString(w, "small")
				case "/trailers":
					w.Header().Set(http.TrailerPrefix+"X", strings.Repeat("x", 1000))
				case "/large":
					for range 1000 {
						if _, err := w.Write(make([]byte, 10_000)); err != nil {
							return
						}
					}
				}
			})
			nc := dial()
			nc.Write(appendSettings(nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
			nc.Write(appendWindowUpdate(nil, 0, 1<<31-1-initialWindow))
			nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
			var c *conn
			most := 0
			for i := range 60_000 {
				for wait := 0; int64(i)-all.Load() > 200 && wait < 300; wait++ {
					time.Sleep(time.Millisecond)
				}
				if int64(i)-all.Load() > 200 {
					break // no more is taken
				}
				if _, err := nc.Write(frame(http2.FrameHeaders, endBoth, uint32(2*i+1), get(path))); err != nil {
					break
				}
				if i%1000 == 0 {
					time.Sleep(time.Millisecond)
					s.mu.Lock()
					for c = range s.conns {
					}
					s.mu.Unlock()
					if c != nil {
						c.mu.Lock()
						most = max(most, cap(c.out.buf)+cap(c.out.spare))
						c.mu.Unlock()
					}
				}
			}
			t.Logf("%d handlers began, %d octets", all.Load(), most)
			if most > 4<<20 {
				t.Errorf("%d octets wait to be written", most)
			}
			nc.Close()
			wantNone(t, s)
			for range 500 {
				if running.Load() == 0 {
					return
				}
				time.Sleep(10 * time.Millisecond)
			}
			t.Errorf("%d handlers are left", running.Load())
		})
	}
}

// A faulty connection fails the nth read or write.
type faulty struct {
	net.Conn
	reads, writes atomic.Int64
	failRead      int64
	failWrite     int64
	split         int
}

func (f *faulty) Read(p []byte) (int, error) {
	if f.reads.Add(1) == f.failRead {
		return 0, io.ErrUnexpectedEOF
	}
	if f.split > 0 && len(p) > f.split {
		p = p[:f.split]
	}
	return f.Conn.Read(p)
}

func (f *faulty) Write(p []byte) (int, error) {
	if f.writes.Add(1) == f.failWrite {
		n, _ := f.Conn.Write(p[:len(p)/2])
		return n, io.ErrClosedPipe
	}
	return f.Conn.Write(p)
}

// exchange has a client make requests of all kinds over nc, as far as they go. It returns what
// came.
func exchange(t *testing.T, wrap func(net.Conn) net.Conn) map[uint32]string {
	client, server := memnet.Pipe(memnet.Options{}, 1)
	before := runtime.NumGoroutine()
	s := New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)})
	over := make(chan bool)
	var running atomic.Int64
	go func() {
		defer close(over)
		s.Serve(wrap(server), Options{Context: t.Context(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			running.Add(1)
			defer running.Add(-1)
			w.Header().Set("Trailer", "X-T")
			n, _ := io.Copy(w, r.Body)
			w.(http.Flusher).Flush()
			w.Write(make([]byte, 50_000))
			w.Header().Set("X-T", fmt.Sprint(n))
		})})
	}()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		b := []byte(http2.ClientPreface)
		b = append(b, appendSettings(nil)...)
		for id := uint32(1); id < 8; id += 2 {
			req := block(":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/", "x-long", strings.Repeat("x", 100))
			b = append(b, frame(http2.FrameHeaders, http2.FlagHeadersPadded, id, append(append([]byte{3}, req[:10]...), 0, 0, 0))...)
			b = append(b, frame(http2.FrameContinuation, http2.FlagContinuationEndHeaders, id, req[10:])...)
			b = append(b, frame(http2.FrameData, http2.FlagDataPadded, id, append([]byte{2}, "some body\x00\x00"...))...)
			b = append(b, frame(http2.FrameHeaders, endBoth, id, block("x-trailer", "1"))...)
		}
		b = append(b, appendPing(nil, false, [8]byte{})...)
		b = append(b, appendWindowUpdate(nil, 0, 1<<20)...)
		client.Write(b)
	}()
	got, open := make(map[uint32]string), 4
	fr := http2.NewFramer(client, client)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for open > 0 {
		f, err := fr.ReadFrame()
		if err != nil {
			break
		}
		id := f.Header().StreamID
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			for _, field := range f.Fields {
				if field.Name != "date" {
					got[id] += field.Name + "=" + field.Value + "\n"
				}
			}
			if f.StreamEnded() {
				open--
			}
		case *http2.DataFrame:
			got[id] += string(bytes.TrimRight(f.Data(), "\x00"))
		}
	}
	client.Close()
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Fatal("Serve does not return")
	}
	for range 500 {
		if running.Load() == 0 && runtime.NumGoroutine() <= before {
			return got
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d handlers, %d goroutines are left of %d", running.Load(), runtime.NumGoroutine(), before)
	return got
}

func TestFaults(t *testing.T) {
	var reads, writes int64
	for split := range 3 {
		f := new(faulty)
		want := exchange(t, func(nc net.Conn) net.Conn { f.Conn, f.split = nc, split; return f })
		if len(want) != 4 || !strings.HasSuffix(want[7], "x-t=9\n") || !strings.Contains(want[7], "some body") {
			t.Errorf("in parts of %d: %v", split, want)
		}
		if split == 0 {
			reads, writes = f.reads.Load(), f.writes.Load()
		}
	}
	for n := int64(1); n <= reads; n++ {
		exchange(t, func(nc net.Conn) net.Conn { return &faulty{Conn: nc, failRead: n} })
	}
	for n := int64(1); n <= writes; n++ {
		exchange(t, func(nc net.Conn) net.Conn { return &faulty{Conn: nc, failWrite: n} })
	}
}

// What RFC 9113 says of frames that are wrong.
func TestWrongFrames(t *testing.T) {
	const conn, stream = 0, 1
	open := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/wait"))
	half := frame(http2.FrameHeaders, endBoth, 1, get("/wait"))
	join := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	headers := func(fields ...string) []byte { return frame(http2.FrameHeaders, endBoth, 1, block(fields...)) }
	for _, tt := range []struct {
		name string
		send []byte
		of   int
		code http2.ErrCode
	}{
		{"5.1 DATA on an idle stream", frame(http2.FrameData, 0, 1, nil), conn, http2.ErrCodeProtocol},
		{"5.1 RST_STREAM on an idle stream", frame(http2.FrameRSTStream, 0, 1, u32(0)), conn, http2.ErrCodeProtocol},
		{"5.1 WINDOW_UPDATE on an idle stream", appendWindowUpdate(nil, 1, 1), conn, http2.ErrCodeProtocol},
		{"5.1 DATA when half closed", join(half, frame(http2.FrameData, 0, 1, []byte("x"))), stream, http2.ErrCodeStreamClosed},
		{"5.1 HEADERS when half closed", join(half, half), stream, http2.ErrCodeStreamClosed},
		{"5.1.1 even stream", frame(http2.FrameHeaders, endBoth, 2, get("/")), conn, http2.ErrCodeProtocol},
		{"5.1.1 lower stream", join(frame(http2.FrameHeaders, endBoth, 3, get("/wait")), half), conn, http2.ErrCodeStreamClosed},
		{"5.5 CONTINUATION interrupted", join(frame(http2.FrameHeaders, 0, 1, nil), appendPing(nil, false, [8]byte{})), conn, http2.ErrCodeProtocol},
		{"6.1 DATA on stream 0", frame(http2.FrameData, 0, 0, nil), conn, http2.ErrCodeProtocol},
		{"6.1 too much padding", join(open, frame(http2.FrameData, http2.FlagDataPadded, 1, []byte{2, 0})), conn, http2.ErrCodeProtocol},
		{"6.2 too much padding", frame(http2.FrameHeaders, endBoth|http2.FlagHeadersPadded, 1, append([]byte{255}, get("/")...)), conn, http2.ErrCodeProtocol},
		{"6.3 PRIORITY too short", join(open, frame(http2.FramePriority, 0, 1, make([]byte, 4))), stream, http2.ErrCodeFrameSize},
		{"6.4 PRIORITY too short on an idle stream", frame(http2.FramePriority, 0, 3, make([]byte, 4)), conn, http2.ErrCodeFrameSize},
		{"6.3 PRIORITY on stream 0", frame(http2.FramePriority, 0, 0, make([]byte, 5)), conn, http2.ErrCodeProtocol},
		{"6.4 RST_STREAM too long", join(open, frame(http2.FrameRSTStream, 0, 1, make([]byte, 5))), conn, http2.ErrCodeFrameSize},
		{"6.5 SETTINGS on a stream", frame(http2.FrameSettings, 0, 1, nil), conn, http2.ErrCodeProtocol},
		{"6.5 SETTINGS length", frame(http2.FrameSettings, 0, 0, make([]byte, 7)), conn, http2.ErrCodeFrameSize},
		{"6.5 ACK with a payload", frame(http2.FrameSettings, http2.FlagSettingsAck, 0, make([]byte, 6)), conn, http2.ErrCodeFrameSize},
		{"6.5.2 ENABLE_PUSH", appendSettings(nil, http2.Setting{ID: http2.SettingEnablePush, Val: 2}), conn, http2.ErrCodeProtocol},
		{"6.5.2 INITIAL_WINDOW_SIZE", appendSettings(nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 31}), conn, http2.ErrCodeFlowControl},
		{"6.5.2 MAX_FRAME_SIZE", appendSettings(nil, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}), conn, http2.ErrCodeProtocol},
		{"6.6 PUSH_PROMISE", frame(http2.FramePushPromise, 0, 1, make([]byte, 4)), conn, http2.ErrCodeProtocol},
		{"6.7 PING length", frame(http2.FramePing, 0, 0, make([]byte, 7)), conn, http2.ErrCodeFrameSize},
		{"6.7 PING on a stream", frame(http2.FramePing, 0, 1, make([]byte, 8)), conn, http2.ErrCodeProtocol},
		{"6.8 GOAWAY on a stream", frame(http2.FrameGoAway, 0, 1, make([]byte, 8)), conn, http2.ErrCodeProtocol},
		{"6.9 increment 0", appendWindowUpdate(nil, 0, 0), conn, http2.ErrCodeProtocol},
		{"6.9 increment 0 on a stream", join(open, appendWindowUpdate(nil, 1, 0)), stream, http2.ErrCodeProtocol},
		{"6.9 length", frame(http2.FrameWindowUpdate, 0, 0, make([]byte, 3)), conn, http2.ErrCodeFrameSize},
		{"6.9.1 overflow", appendWindowUpdate(nil, 0, 1<<31-1), conn, http2.ErrCodeFlowControl},
		{"6.9.1 overflow on a stream", join(open, appendWindowUpdate(nil, 1, 1<<31-1)), stream, http2.ErrCodeFlowControl},
		{"6.10 CONTINUATION alone", frame(http2.FrameContinuation, 0, 1, nil), conn, http2.ErrCodeProtocol},
		{"4.2 frame too large", frame(http2.FrameData, 0, 1, make([]byte, 16385)), conn, http2.ErrCodeFrameSize},
		{"4.3 not HPACK", frame(http2.FrameHeaders, endBoth, 1, []byte{0x80}), conn, http2.ErrCodeCompression},
		{"8.2.1 upper case", headers(":method", "GET", ":scheme", "http", ":path", "/", "X-A", "1"), stream, http2.ErrCodeProtocol},
		{"8.2.1 line end", headers(":method", "GET", ":scheme", "http", ":path", "/", "x-a", "1\r\n"), stream, http2.ErrCodeProtocol},
		{"8.2.1 white space", headers(":method", "GET", ":scheme", "http", ":path", "/", "x-a", " 1"), stream, http2.ErrCodeProtocol},
		{"8.2.2 Connection", headers(":method", "GET", ":scheme", "http", ":path", "/", "connection", "close"), stream, http2.ErrCodeProtocol},
		{"8.2.2 TE", headers(":method", "GET", ":scheme", "http", ":path", "/", "te", "gzip"), stream, http2.ErrCodeProtocol},
		{"8.3 unknown", headers(":method", "GET", ":scheme", "http", ":path", "/", ":x", "1"), stream, http2.ErrCodeProtocol},
		{"8.3 late", headers(":method", "GET", ":scheme", "http", "x", "1", ":path", "/"), stream, http2.ErrCodeProtocol},
		{"8.3 of a response", headers(":method", "GET", ":scheme", "http", ":path", "/", ":status", "200"), stream, http2.ErrCodeProtocol},
		{"8.3.1 no method", headers(":scheme", "http", ":path", "/"), stream, http2.ErrCodeProtocol},
		{"8.3.1 method twice", headers(":method", "GET", ":method", "GET", ":scheme", "http", ":path", "/"), stream, http2.ErrCodeProtocol},
		{"8.3.1 no scheme", headers(":method", "GET", ":path", "/"), stream, http2.ErrCodeProtocol},
		{"8.3.1 no path", headers(":method", "GET", ":scheme", "http"), stream, http2.ErrCodeProtocol},
		{"8.3.1 empty path", headers(":method", "GET", ":scheme", "http", ":path", ""), stream, http2.ErrCodeProtocol},
		{"8.3.1 user in :authority", headers(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "u@h"), stream, http2.ErrCodeProtocol},
		{"8.3.1 user in Host", headers(":method", "GET", ":scheme", "http", ":path", "/", "host", "u@h"), stream, http2.ErrCodeProtocol},
		{"8.5 CONNECT with a path", headers(":method", "CONNECT", ":authority", "a:1", ":path", "/"), stream, http2.ErrCodeProtocol},
		{"8.1 trailers not last", join(open, frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, block("x", "1"))), stream, http2.ErrCodeProtocol},
		{"8.1 pseudo-header in trailers", join(open, frame(http2.FrameHeaders, endBoth, 1, block(":path", "/"))), stream, http2.ErrCodeProtocol},
		{"8.1.1 less than Content-Length", join(frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, append(get("/wait"), block("content-length", "2")...)), frame(http2.FrameData, http2.FlagDataEndStream, 1, []byte("x"))), stream, http2.ErrCodeProtocol},
		{"8.1.1 more than Content-Length", join(frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, append(get("/wait"), block("content-length", "2")...)), frame(http2.FrameData, 0, 1, []byte("xxx"))), stream, http2.ErrCodeProtocol},
		{"8.1.1 Content-Length and no body", headers(":method", "GET", ":scheme", "http", ":path", "/", "content-length", "1"), stream, http2.ErrCodeProtocol},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client, server := memnet.Pipe(memnet.Options{MaxRead: 1}, 1)
			s := New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)})
			over := make(chan bool)
			go func() {
				defer close(over)
				s.Serve(server, Options{Context: t.Context(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })})
			}()
			client.SetDeadline(time.Now().Add(10 * time.Second))
			client.Write(append([]byte(http2.ClientPreface), appendSettings(nil)...))
			client.Write(tt.send)
			fr := http2.NewFramer(client, client)
			for {
				f, err := fr.ReadFrame()
				if err != nil {
					t.Fatalf("%v before the error", err)
				}
				if f, ok := f.(*http2.GoAwayFrame); ok {
					if tt.of != conn || f.ErrCode != tt.code {
						t.Errorf("GOAWAY %v", f.ErrCode)
					}
					break
				}
				if f, ok := f.(*http2.RSTStreamFrame); ok {
					if tt.of != stream || f.ErrCode != tt.code || f.StreamID != 1 {
						t.Errorf("RST_STREAM %v", f)
					}
					break
				}
			}
			if tt.of == stream { // the others go on
				client.Write(appendPing(nil, false, [8]byte{7}))
				for {
					f, err := fr.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					if f.Header().Type == http2.FramePing {
						break
					}
				}
			}
			client.Close()
			<-over
		})
	}
}

// What a client sends on a stream that was answered, and reset, before its request had ended: it
// may have been on its way, unless the client has reset the stream, too.
func TestFramesAfterReset(t *testing.T) {
	data := frame(http2.FrameData, 0, 1, []byte("x"))
	reset := frame(http2.FrameRSTStream, 0, 1, u32(uint32(http2.ErrCodeCancel)))
	for _, tt := range []struct {
		name string
		send []byte
		want string
	}{
		{"DATA", data, "PING"},
		{"trailers", frame(http2.FrameHeaders, endBoth, 1, block("x", "1")), "PING"},
		{"WINDOW_UPDATE", appendWindowUpdate(nil, 1, 1), "PING"},
		{"increment 0", appendWindowUpdate(nil, 1, 0), "RST_STREAM PROTOCOL_ERROR"},
		{"DATA after RST_STREAM", append(reset, data...), "RST_STREAM STREAM_CLOSED"},
		{"HEADERS after RST_STREAM", append(reset, frame(http2.FrameHeaders, endBoth, 1, get("/"))...), "GOAWAY STREAM_CLOSED"},
		{"PING after RST_STREAM", reset, "PING"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := memnet.Pipe(memnet.Options{}, 1)
				defer client.Close()
				go New(&http.Server{}).Serve(server, Options{Context: t.Context(), Handler: http.NotFoundHandler()})
				client.Write(append([]byte(http2.ClientPreface), appendSettings(nil)...))
				client.Write(frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/")))
				synctest.Wait()
				client.Write(append(tt.send, appendPing(nil, false, [8]byte{})...))
				answered := false
				for fr := http2.NewFramer(client, client); ; {
					f, err := fr.ReadFrame()
					if err != nil {
						t.Fatal(err)
					}
					got := f.Header().Type.String()
					switch f := f.(type) {
					case *http2.RSTStreamFrame:
						if !answered {
							answered = true
							continue
						}
						got += " " + f.ErrCode.String()
					case *http2.GoAwayFrame:
						got += " " + f.ErrCode.String()
					case *http2.PingFrame:
					default:
						continue
					}
					if got != tt.want {
						t.Errorf("%s, want %s", got, tt.want)
					}
					return
				}
			})
		})
	}
}

// What clients send in answer to responses is no flood, however fast they are: PING, as grpc-go does
// for DATA, RST_STREAM on a stream that was answered, WINDOW_UPDATE for both windows.
func TestNoFlood(t *testing.T) {
	const requests = 3 * floodBurst
	_, dial := serveTCP(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") })
	nc := dial()
	fr := http2.NewFramer(nc, bufio.NewReader(nc))
	for i := range uint32(requests) {
		id := 2*i + 1
		var b []byte
		if i > 0 {
			b = append(b, frame(http2.FrameRSTStream, 0, id-2, u32(uint32(http2.ErrCodeNo)))...)
		}
		b = append(b, frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, get("/"))...)
		nc.Write(b)
		for ended := false; !ended; {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatalf("%d requests: %v", i, err)
			}
			switch f := f.(type) {
			case *http2.GoAwayFrame:
				t.Fatalf("%d requests: %v", i, f)
			case *http2.DataFrame:
				b := appendPing(nil, false, [8]byte{1})
				b = appendWindowUpdate(b, 0, 1)
				nc.Write(appendWindowUpdate(b, id, 1))
				ended = f.StreamEnded()
			}
		}
	}
}

// A client may have sent the rest of as many requests as it has open, when it hears that they were
// answered.
func TestFramesAfterResets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, &http.Server{}, http.NotFound)
		const last = 2*defaultMaxStreams - 1
		var begin, rest []byte
		for id := uint32(1); id <= last; id += 2 {
			begin = append(begin, post(id)...)
			rest = append(rest, frame(http2.FrameHeaders, endBoth, id, block("x", "1"))...)
		}
		c.Write(begin)
		synctest.Wait()
		c.Write(append(rest, appendPing(nil, false, [8]byte{})...))
		for {
			f, err := c.fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := f.(*http2.GoAwayFrame); ok {
				t.Fatal(f)
			}
			if _, ok := f.(*http2.PingFrame); ok {
				return
			}
		}
	})
}

// No GOAWAY names a higher stream than one before.
func TestGoAwayNotHigher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
		c.Write(frame(http2.FrameGoAway, 0, 0, make([]byte, 8)))
		synctest.Wait()
		c.Write(frame(http2.FrameHeaders, endBoth, 7, get("/"))) // on its way
		c.Write(frame(http2.FrameData, 0, 0, nil))
		var got []uint32
		for {
			f, err := c.fr.ReadFrame()
			if err != nil {
				break
			}
			if f, ok := f.(*http2.GoAwayFrame); ok {
				got = append(got, f.LastStreamID)
			}
		}
		if len(got) != 2 || got[0] != 1 || got[1] != 1 {
			t.Errorf("GOAWAY names %v", got)
		}
	})
}

// TLS is as HTTP/2 has it, unless the server permits other cipher suites.
func TestCipherSuites(t *testing.T) {
	for _, tt := range []struct {
		version, suite uint16
		permit, ok     bool
	}{
		{tls.VersionTLS13, tls.TLS_AES_128_GCM_SHA256, false, true},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, false, true},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, false, false},
		{tls.VersionTLS12, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, true, true},
		{tls.VersionTLS11, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, true, false},
	} {
		hs := &http.Server{HTTP2: &http.HTTP2Config{PermitProhibitedCipherSuites: tt.permit}}
		c := &conn{lim: limitsOf(hs), Options: Options{TLS: &tls.ConnectionState{Version: tt.version, CipherSuite: tt.suite}}}
		if err := c.inadequate(); (err == nil) != tt.ok {
			t.Errorf("%x %x, permitted %v: %v", tt.version, tt.suite, tt.permit, err)
		}
	}
}

// A client uses the default table of 4096 octets until it has read that the server's is smaller.
func TestSmallDecoderTable(t *testing.T) {
	for _, then := range []string{"has not read", "ignores", "obeys"} {
		synctest.Test(t, func(t *testing.T) {
			c := dialMem(t, &http.Server{HTTP2: &http.HTTP2Config{MaxDecoderHeaderTableSize: 1024}}, func(w http.ResponseWriter, r *http.Request) {
				io.WriteString(w, r.Header.Get("X-Long"))
			})
			c.fr.ReadMetaHeaders = hpack.NewDecoder(defaultTable, nil)
			var b bytes.Buffer
			enc := hpack.NewEncoder(&b)
			want := strings.Repeat("x", 1500)
			for id := uint32(1); id <= 5; id += 2 {
				if id == 5 && then != "has not read" {
					c.fr.WriteSettingsAck()
					enc.SetMaxDynamicTableSize(1024)
					if then == "ignores" {
						enc.SetMaxDynamicTableSize(2048)
					}
				}
				b.Reset()
				for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: "/"}, {Name: "x-long", Value: want}} {
					enc.WriteField(f)
				}
				c.Write(frame(http2.FrameHeaders, endBoth, id, b.Bytes()))
				got := ""
				for got == "" {
					switch f, err := c.fr.ReadFrame(); f := f.(type) {
					case *http2.DataFrame:
						got = string(f.Data())
					case *http2.GoAwayFrame:
						got = f.ErrCode.String()
					case nil:
						got = err.Error()
					}
				}
				if id == 5 && then == "ignores" {
					want = http2.ErrCodeCompression.String()
				}
				if got != want {
					t.Errorf("a client that %s the setting, stream %d: %q", then, id, got)
				}
			}
		})
	}
}

func TestManyTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan http.Header, 1)
		c := dialMem(t, &http.Server{}, func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			got <- r.Trailer
		})
		var names []string
		for i := range 3 * maxTrailers {
			names = append(names, fmt.Sprint("x-", i))
		}
		c.Write(post(1, "trailer", strings.Join(names, ", ")))
		c.Write(frame(http2.FrameHeaders, endBoth, 1, block("x-1", "1", "x-299", "1")))
		if h := <-got; len(h) != maxTrailers || h.Get("X-1") != "1" {
			t.Errorf("%d trailers: %v", len(h), h)
		}
	})
}
