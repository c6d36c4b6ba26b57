package engine

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// A memConn is a client of a Server on a connection in memory.
type memConn struct {
	*memnet.Conn
	s  *Server
	fr *http2.Framer
}

// dialMem begins a connection that ends with the test, which runs in a bubble.
func dialMem(t *testing.T, hs *http.Server, h http.HandlerFunc) *memConn {
	return dialServer(t, New(hs), h)
}

func dialServer(t *testing.T, s *Server, h http.HandlerFunc) *memConn {
	return dialServerContext(t, t.Context(), s, h)
}

func dialServerContext(t *testing.T, ctx context.Context, s *Server, h http.HandlerFunc) *memConn {
	client, server := memnet.Pipe(memnet.Options{}, 1)
	c := &memConn{client, s, http2.NewFramer(client, client)}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		s.Serve(server, Options{Context: ctx, Handler: h})
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended
	})
	c.Write(append([]byte(http2.ClientPreface), appendSettings(nil)...))
	return c
}

// conn returns what the server has of the connection.
func (c *memConn) conn() (sc *conn) {
	synctest.Wait()
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	for sc = range c.s.conns {
	}
	return sc
}

// post returns the beginning of a request with a body.
func post(id uint32, fields ...string) []byte {
	return frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, id,
		block(append([]string{":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/"}, fields...)...))
}

// The client gets back what it has used of the connection window, and no more, whether the handler
// reads all of the body, a part, or nothing.
func TestConnectionWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
			switch r.Header.Get("Read") {
			case "all":
				io.Copy(io.Discard, r.Body)
			case "some":
				io.ReadFull(r.Body, make([]byte, 7000))
			}
		})
		window := int64(initialWindow)
		sc := c.conn()
		for i := range uint32(600) {
			id := 2*i + 1
			c.Write(post(id, "read", []string{"all", "some", "none"}[i%3]))
			for j := range 3 {
				p := append([]byte{50}, make([]byte, 8000)...)
				flags := http2.FlagDataPadded
				if j == 2 {
					flags |= http2.FlagDataEndStream
				}
				c.Write(frame(http2.FrameData, flags, id, p))
				window -= int64(len(p))
			}
			synctest.Wait()
			for ended := false; !ended; {
				f, err := c.fr.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				switch f := f.(type) {
				case *http2.WindowUpdateFrame:
					if f.StreamID == 0 {
						window += int64(f.Increment)
					}
				case *http2.HeadersFrame:
					ended = f.StreamEnded()
				}
			}
			if window > sc.inWindow() {
				t.Fatalf("after %d requests the client has a window of %d octets", i+1, window)
			}
		}
		synctest.Wait()
		sc.mu.Lock()
		defer sc.mu.Unlock()
		if sc.used != sc.owed {
			t.Errorf("the client has used %d octets, and is to get %d back", sc.used, sc.owed)
		}
	})
}

// A handler may read and write at once: what makes the client send the body does not take the
// place of what waits to be written.
func TestContinueWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrote, read, writing := make(chan error, 1), make(chan error, 1), make(chan bool)
		c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodGet {
				n, _ := strconv.Atoi(r.URL.Path[1:])
				w.Write(make([]byte, n))
				return
			}
			go func() {
				_, err := w.Write(make([]byte, 100<<10))
				wrote <- err
			}()
			<-writing
			_, err := io.Copy(io.Discard, r.Body)
			read <- err
			<-r.Context().Done()
		})
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		c.fr.WriteWindowUpdate(0, 1<<31-1-initialWindow)
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/1000000"))) // more than can be written
		for id := uint32(3); id < 20; id += 2 {
			synctest.Wait()
			c.Write(frame(http2.FrameHeaders, endBoth, id, get("/8000"))) // more than may wait
		}
		c.Write(post(21, "expect", "100-continue"))
		synctest.Wait() // it writes, and waits
		close(writing)
		synctest.Wait()
		go io.Copy(io.Discard, c)
		synctest.Wait()
		c.Write(frame(http2.FrameData, http2.FlagDataEndStream, 21, []byte("body")))
		synctest.Wait()
		for what, done := range map[string]chan error{"Read": read, "Write": wrote} {
			select {
			case err := <-done:
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			default:
				t.Errorf("%s waits", what)
			}
		}
	})
}

// Padding is given back with what is read, not with a frame for each.
func TestPaddingCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
		c.Write(post(1))
		updates, used := make(map[uint32]int), 0
		credit := make(map[uint32]int)
		for range 100 {
			for range 100 {
				p := make([]byte, 257)
				p[0] = 255
				c.Write(frame(http2.FrameData, http2.FlagDataPadded, 1, p))
				used += len(p)
			}
			c.fr.WritePing(false, [8]byte{})
			for {
				f, err := c.fr.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if f, ok := f.(*http2.WindowUpdateFrame); ok {
					updates[f.StreamID]++
					credit[f.StreamID] += int(f.Increment)
				}
				if _, ok := f.(*http2.PingFrame); ok {
					break
				}
			}
		}
		credit[0] -= DefaultConnWindow - initialWindow // at the beginning
		for id, window := range []int{DefaultConnWindow, defaultStreamWindow} {
			id := uint32(id)
			if updates[id] > 12 || credit[id] > used || credit[id] < used-window/4 {
				t.Errorf("stream %d: %d octets used, %d given back, by %d frames", id, used, credit[id], updates[id])
			}
		}
	})
}

// A client that does not read, and has the server send frames that do not wait for room, is not served
// any further.
func TestControlQueue(t *testing.T) {
	post := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/"))
	for name, tt := range map[string]struct {
		handler http.HandlerFunc
		send    []byte
	}{
		"abort": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, post},
		"read":  {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, append(post, frame(http2.FrameData, 0, 1, []byte("x"))...)},
		"padding": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, append(post,
			frame(http2.FrameData, http2.FlagDataPadded, 1, []byte{1, 0})...)},
		"late": {func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-1))
			<-r.Context().Done()
		}, post},
		"continue": {func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) },
			frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, append(get("/"), block("expect", "100-continue")...))},
		"ping": {http.NotFound, appendPing(nil, false, [8]byte{})},
	} {
		for _, much := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				c := dialMem(t, &http.Server{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4}}, tt.handler)
				sc := c.conn()
				sc.mu.Lock()
				sc.out.writing = true // and does not return
				sc.out.buf = make([]byte, maxControlQueue)
				if !much {
					sc.out.buf = sc.out.buf[:outSize]
				}
				sc.mu.Unlock()
				c.Write(tt.send)
				synctest.Wait()
				sc.mu.Lock()
				ended := sc.err != nil
				sc.mu.Unlock()
				if ended != much {
					t.Errorf("%s, with much in the queue %v: ended %v", name, much, ended)
				}
			})
		}
	}
}

// SETTINGS_INITIAL_WINDOW_SIZE changes the windows of streams, each time that it stands in a frame.
func TestInitialWindowSize(t *testing.T) {
	const most = 1<<31 - 1
	for _, tt := range []struct {
		sizes []uint32
		more  uint32 // WINDOW_UPDATE before
		want  int64  // or -1, if a window is too large
	}{
		{[]uint32{0}, 0, 0},
		{[]uint32{100}, 7, 107},
		{[]uint32{most, 100, 200}, 0, 200},
		{[]uint32{most, 100}, 1, -1},
		{[]uint32{100, most}, 1, -1},
		{[]uint32{most - 1, 0, 5}, 1, 6},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
			if tt.more > 0 {
				c.fr.WriteWindowUpdate(1, tt.more)
			}
			var settings []http2.Setting
			for _, n := range tt.sizes {
				settings = append(settings, http2.Setting{ID: http2.SettingInitialWindowSize, Val: n})
			}
			sc := c.conn()
			c.fr.WriteSettings(settings...)
			synctest.Wait()
			sc.mu.Lock()
			got := int64(-1)
			if st := sc.streams[1]; st != nil && sc.err == nil {
				got = st.window
			}
			sc.mu.Unlock()
			if got != tt.want {
				t.Errorf("%v after %d more: %d, want %d", tt.sizes, tt.more, got, tt.want)
			}
		})
	}
}

// A frame of many settings costs no more than one for each stream.
func TestManySettings(t *testing.T) {
	c := &conn{lim: limitsOf(new(http.Server)), streams: make(map[uint32]*stream)}
	for id := range uint32(100_000) {
		c.streams[id] = new(stream)
	}
	p := bytes.Repeat([]byte{0, byte(http2.SettingInitialWindowSize), 0, 0, 0, 1, 0, byte(http2.SettingInitialWindowSize), 0, 0, 0, 2}, 1365)
	begun := time.Now()
	if err := c.recvSettings(frameHeader{length: len(p)}, p); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("%d settings for %d streams take %v", len(p)/6, len(c.streams), took)
	}
}

// Bodies that no handler reads take up memory in proportion to the window of the connection, however
// many streams they are on.
func TestBodyMemory(t *testing.T) {
	for _, each := range []int{1, smallChunkSize + 1, DefaultConnWindow / defaultMaxStreams, chunkSize/2 + 1, chunkSize + 1, 100_000} {
		for _, part := range []int{1 << 10, minMaxFrame} {
			synctest.Test(t, func(t *testing.T) {
				c := dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
				sc := c.conn()
				streams := min(defaultMaxStreams, DefaultConnWindow/each)
				for i := range uint32(streams) {
					c.Write(post(2*i + 1))
					for n := each; n > 0; n -= part {
						c.Write(frame(http2.FrameData, 0, 2*i+1, make([]byte, min(n, part))))
					}
				}
				synctest.Wait()
				sc.mu.Lock()
				defer sc.mu.Unlock()
				held := 0
				for _, st := range sc.streams {
					for _, c := range st.body.chunks {
						held += len(c.b)
					}
				}
				if len(sc.streams) != streams || held < streams*each || held > 2*streams*each+streams*smallChunkSize {
					t.Errorf("%d streams with %d octets each hold %d", len(sc.streams), each, held)
				}
			})
		}
	}
}

// Three handlers that read nothing hold up no body but their own.
func TestUnreadBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 * DefaultConnWindow
		var read int64
		c := dialWatch(t, &http.Server{}, func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Read") != "" {
				read, _ = io.Copy(io.Discard, r.Body)
			} else {
				<-r.Context().Done()
			}
		})
		sent := make(map[uint32]int64)
		// send sends all that the windows allow.
		send := func(id uint32, most int64) (n int64) {
			for {
				synctest.Wait()
				c.mu.Lock()
				n := min(most-sent[id], defaultStreamWindow+c.window[id]-sent[id], initialWindow+c.window[0]-sent[0], minMaxFrame)
				c.mu.Unlock()
				if n <= 0 {
					return sent[id]
				}
				sent[id] += n
				sent[0] += n
				c.Write(frame(http2.FrameData, 0, id, make([]byte, n)))
			}
		}
		for _, id := range []uint32{1, 3, 5} {
			c.Write(post(id))
			if n := send(id, size); n != defaultStreamWindow {
				t.Errorf("%d octets of a body that is not read could be sent", n)
			}
		}
		c.Write(post(7, "read", "all"))
		if n := send(7, size); n != size {
			t.Fatalf("%d octets of %d could be sent", n, size)
		}
		c.Write(frame(http2.FrameData, http2.FlagDataEndStream, 7, nil))
		synctest.Wait()
		if read != size {
			t.Errorf("%d octets were read", read)
		}
	})
}

// A client can always send all of a body, and hears of it meanwhile: mod_proxy_http2 waits for that.
func TestBodyWindow(t *testing.T) {
	for name, tt := range map[string]struct {
		size, pad int
		fields    []string
	}{
		"as large as the window":         {defaultStreamWindow, 0, []string{"content-length", strconv.Itoa(defaultStreamWindow)}},
		"larger by an octet":             {defaultStreamWindow + 1, 0, []string{"content-length", strconv.Itoa(defaultStreamWindow + 1)}},
		"as large, with padding":         {defaultStreamWindow, 255, []string{"content-length", strconv.Itoa(defaultStreamWindow)}},
		"of many windows, with padding":  {5 * defaultStreamWindow, 100, []string{"content-length", strconv.Itoa(5 * defaultStreamWindow)}},
		"as large, of a length not told": {defaultStreamWindow, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
					if n, err := io.Copy(io.Discard, r.Body); n != int64(tt.size) || err != nil {
						t.Errorf("%d octets came, %v", n, err)
					}
				})
				synctest.Wait()
				c.Write(post(1, tt.fields...))
				rest, used := tt.size, 0
				for rest > 0 {
					synctest.Wait()
					c.mu.Lock()
					window := min(initialWindow+c.window[0], defaultStreamWindow+c.window[1]) - int64(used)
					c.mu.Unlock()
					p, flags := []byte(nil), http2.Flags(0)
					if tt.pad > 0 {
						p, flags = []byte{byte(tt.pad)}, http2.FlagDataPadded
					}
					n := min(rest, minMaxFrame-len(p)-tt.pad, int(window)-len(p)-tt.pad)
					if n <= 0 {
						t.Fatalf("a window of %d is left, %d octets before the end", window, rest)
					}
					if rest -= n; rest == 0 {
						flags |= http2.FlagDataEndStream
					}
					p = append(p, make([]byte, n+tt.pad)...)
					c.Write(frame(http2.FrameData, flags, 1, p))
					used += len(p)
				}
				synctest.Wait()
				if got := c.take(); !strings.Contains(got, "HEADERS 1 200 END") {
					t.Error(got)
				}
				c.mu.Lock()
				defer c.mu.Unlock()
				if c.window[1] == 0 {
					t.Error("the client got nothing back")
				}
			})
		})
	}
}
