package engine

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// An upload is a request to a handler to which the connection is lent.
type upload struct {
	lendConn
	id   uint32
	body *requestBody
}

func (u upload) data(flags http2.Flags, p string) {
	u.Write(frame(http2.FrameData, flags, u.id, []byte(p)))
}

// reading is awaitReading for the handler.
func (u upload) reading() {
	u.t.Helper()
	awaitReading(u.t, u.body)
}

// awaitReading returns when somebody who reads a body reads from the connection.
func awaitReading(t *testing.T, body *requestBody) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Microsecond) {
		body.mu.Lock()
		reading := body.reading
		body.mu.Unlock()
		if reading {
			return
		}
	}
	t.Error("nobody reads from the connection")
}

// A handler that reads its body from the connection gets what it would get otherwise, whatever comes
// meanwhile, and what follows is served.
func TestReadLent(t *testing.T) {
	all := func(_ http.ResponseWriter, r *http.Request) (string, error) {
		b, err := io.ReadAll(r.Body)
		return string(b), err
	}
	large := strings.Repeat("0123456789abcdef", 2<<10)
	for name, tt := range map[string]struct {
		handler func(w http.ResponseWriter, r *http.Request) (string, error)
		fields  []string
		client  func(u upload)
		lent    bool   // at the end of the handler
		want    string // that it reads
		err     string // that it meets
		ended   string // how the stream ends
	}{
		"a frame": {all, nil, func(u upload) { u.data(http2.FlagDataEndStream, "body") }, true, "body", "", "ended, 0"},
		"in pieces": {all, nil, func(u upload) {
			for _, b := range append(frame(http2.FrameData, 0, u.id, []byte("bo")), frame(http2.FrameData, http2.FlagDataEndStream, u.id, []byte("dy"))...) {
				u.Write([]byte{b})
				time.Sleep(time.Millisecond)
			}
		}, true, "body", "", "ended, 0"},
		"empty frames": {all, []string{"content-length", "4"}, func(u upload) {
			u.data(0, "")
			u.data(0, "body")
			u.data(0, "")
			u.data(http2.FlagDataEndStream, "")
		}, true, "body", "", "ended, 0"},
		"many frames": {all, nil, func(u upload) {
			for range 8 {
				u.data(0, large[:minMaxFrame])
				u.data(0, large[minMaxFrame:])
			}
			u.data(http2.FlagDataEndStream, "")
		}, true, strings.Repeat(large, 8), "", "ended, 0"},
		"padding": {all, nil, func(u upload) {
			u.data(0, "bo")
			u.data(http2.FlagDataPadded, "\x03d\x00\x00\x00")
			u.data(http2.FlagDataPadded|http2.FlagDataEndStream, "\x00y")
		}, false, "body", "", "ended, 0"},
		"trailers": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			s, err := all(w, r)
			return s + r.Trailer.Get("Sum"), err
		}, []string{"trailer", "sum"}, func(u upload) {
			u.data(0, "body")
			u.Write(frame(http2.FrameHeaders, endBoth, u.id, block("sum", "1")))
		}, false, "body1", "", "ended, 0"},
		"PING": {all, nil, func(u upload) {
			u.data(0, "bo")
			u.fr.WritePing(false, [8]byte{1})
			for {
				f, err := u.fr.ReadFrame()
				if err != nil {
					u.t.Fatal(err)
				}
				if f, ok := f.(*http2.PingFrame); ok && f.IsAck() && f.Data == [8]byte{1} {
					break
				}
			}
			u.data(http2.FlagDataEndStream, "dy")
		}, false, "body", "", "ended, 0"},
		"another request": {all, nil, func(u upload) {
			u.data(0, "bo")
			other := u.id + 2
			u.Write(frame(http2.FrameHeaders, endBoth, other, get("/nothing")))
			u.await(other)
			u.data(http2.FlagDataEndStream, "dy")
		}, false, "body", "", "ended, 0"},
		"DATA of a stream that was reset": {all, nil, func(u upload) {
			other := u.id + 2
			u.Write(post(other))
			u.fr.WriteRSTStream(other, http2.ErrCodeCancel)
			u.Write(frame(http2.FrameData, 0, other, []byte("other")))
			u.data(http2.FlagDataEndStream, "body")
		}, false, "body", "", "ended, 0"},
		"RST_STREAM": {all, nil, func(u upload) {
			u.data(0, "bo")
			u.fr.WriteRSTStream(u.id, http2.ErrCodeCancel)
		}, false, "bo", "CANCEL", ""},
		"more than the window": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			r.Body.Read(make([]byte, 1))
			r.Body.(*requestBody).st.c.takeOver()
			<-r.Context().Done()
			_, err := io.Copy(io.Discard, r.Body)
			return "", err
		}, nil, func(u upload) {
			for range defaultStreamWindow/minMaxFrame + 1 {
				u.data(0, large[:minMaxFrame])
			}
		}, false, "", "stream_window_exceeded", "FLOW_CONTROL_ERROR"},
		"more than Content-Length": {all, []string{"content-length", "3"}, func(u upload) {
			u.data(0, "bo")
			u.data(0, "dy")
		}, false, "bo", "content_length_body", "PROTOCOL_ERROR"},
		"less than Content-Length": {all, []string{"content-length", "5"}, func(u upload) {
			u.data(0, "bo")
			u.data(http2.FlagDataEndStream, "dy")
		}, false, "bo", "content_length_body", "PROTOCOL_ERROR"},
		"deadline": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			var first [2]byte
			io.ReadFull(r.Body, first[:])
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(10 * time.Millisecond))
			s, err := all(w, r)
			return string(first[:]) + s, err
		}, nil, func(u upload) {
			whole := frame(http2.FrameData, http2.FlagDataEndStream, u.id, []byte("body"))
			u.Write(whole[:headerLen+2])
			u.await(u.id)
			u.Write(whole[headerLen+2:])
		}, false, "bo", os.ErrDeadlineExceeded.Error(), ""},
		"deadline that has passed": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			http.NewResponseController(w).SetReadDeadline(time.Now())
			return all(w, r)
		}, nil, func(u upload) { u.data(http2.FlagDataEndStream, "body") }, true, "", os.ErrDeadlineExceeded.Error(), "ended, 0"},
		"Close by another goroutine": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			go func() {
				awaitReading(t, r.Body.(*requestBody))
				r.Body.Close()
			}()
			return all(w, r)
		}, nil, func(upload) {}, false, "", http.ErrBodyReadAfterClose.Error(), "ended, 0"},
		"Read by another goroutine, and a handler that returns": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			go all(w, r)
			awaitReading(t, r.Body.(*requestBody))
			return "", nil
		}, nil, func(upload) {}, false, "", "", "ended, 0"},
		"Read by two": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			other := make(chan string)
			go func() {
				s, _ := all(w, r)
				other <- s
			}()
			s, err := all(w, r)
			if s += <-other; len(s) == 6 && strings.Trim(s, "x") == "" {
				s = "six"
			}
			return s, err
		}, nil, func(u upload) {
			for range 6 {
				u.reading()
				u.data(0, "x")
			}
			u.data(http2.FlagDataEndStream, "")
		}, true, "six", "", "ended, 0"},
		"a Read of nothing": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			if n, err := r.Body.Read(nil); n != 0 || err != nil {
				return "", err
			}
			return all(w, r)
		}, nil, func(u upload) {
			u.body.st.c.takeOver()
			u.data(http2.FlagDataEndStream, "body")
		}, false, "body", "", "ended, 0"},
		"Expect": {all, []string{"expect", "100-continue"}, func(u upload) {
			u.reading()
			u.data(http2.FlagDataEndStream, "body")
		}, true, "body", "", "ended, 0"},
		"part of it": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			b := make([]byte, 2)
			n, err := r.Body.Read(b)
			return string(b[:n]), err
		}, nil, func(u upload) { u.data(0, "body") }, true, "bo", "", "ended, 0"},
		"a part of a frame": {func(w http.ResponseWriter, r *http.Request) (string, error) {
			var b [10]byte
			n, err := r.Body.Read(b[:])
			if err != nil {
				return "", err
			}
			w.(http.Flusher).Flush()
			s, err := all(w, r)
			return string(b[:n]) + s, err
		}, nil, func(u upload) {
			whole := frame(http2.FrameData, http2.FlagDataEndStream, u.id, []byte("body"))
			u.Write(whole[:headerLen+2])
			for {
				f, err := u.fr.ReadFrame()
				if err != nil {
					u.t.Fatal(err)
				}
				if f.Header().Type == http2.FrameHeaders {
					break
				}
			}
			u.Write(whole[headerLen+2:])
		}, true, "body", "", "ended, 0"},
		"a connection that was asked to rest": {all, nil, func(u upload) {
			u.reading()
			u.s.askIdle()
			u.s.askIdle()
			u.data(0, "bo")
			time.Sleep(time.Millisecond)
			u.data(http2.FlagDataEndStream, "dy")
		}, false, "body", "", "ended, 0"},
	} {
		t.Run(name, func(t *testing.T) {
			var c lendConn
			bodies := make(chan *requestBody, 1)
			c = dialLend(t, time.Hour, time.Hour, func(w http.ResponseWriter, r *http.Request) {
				body := r.Body.(*requestBody)
				if body.st.id != 1 {
					return
				}
				if n := c.s.lent(); n != 1 {
					t.Errorf("%d connections are lent", n)
				}
				bodies <- body
				got, err := tt.handler(w, r)
				if lent := c.s.lent() > 0; lent != tt.lent {
					t.Errorf("lent at the end: %t, want %t", lent, tt.lent)
				}
				if got != tt.want {
					t.Errorf("the handler has read %.100q, want %.100q", got, tt.want)
				}
				if err == nil && tt.err != "" || err != nil && (tt.err == "" || !strings.Contains(err.Error(), tt.err)) {
					t.Errorf("the handler has met %v, want %q", err, tt.err)
				}
			})
			u := upload{lendConn: c, id: 1}
			c.next = 5
			c.Write(post(u.id, tt.fields...))
			u.body = <-bodies
			tt.client(u)
			if tt.ended != "" {
				if got := c.await(u.id); got != tt.ended {
					t.Errorf("the stream: %s, want %s", got, tt.ended)
				}
			}
			for range 10 {
				if got := c.await(c.send("/nothing")); got != "ended, 0" {
					t.Fatalf("afterwards: %s", got)
				}
			}
		})
	}
}

// A client that has sent all of a body is not told to stop, even if the handler has not read it all.
func TestLeave(t *testing.T) {
	for name, tt := range map[string]struct {
		fields []string
		frames func(u upload)
		reset  bool
	}{
		"nothing more": {nil, func(u upload) { u.data(0, "bo") }, true},
		"the end":      {nil, func(u upload) { u.data(http2.FlagDataEndStream, "body") }, false},
		"the end alone": {nil, func(u upload) {
			u.Write(append(frame(http2.FrameData, 0, u.id, []byte("bo")), frame(http2.FrameData, http2.FlagDataEndStream, u.id, nil)...))
		}, false},
		"more than Content-Length": {[]string{"content-length", "3"}, func(u upload) {
			u.Write(append(frame(http2.FrameData, 0, u.id, []byte("bo")), frame(http2.FrameData, http2.FlagDataEndStream, u.id, []byte("dy"))...))
		}, true},
		"less than Content-Length": {[]string{"content-length", "5"}, func(u upload) {
			u.Write(append(frame(http2.FrameData, 0, u.id, []byte("bo")), frame(http2.FrameData, http2.FlagDataEndStream, u.id, []byte("dy"))...))
		}, true},
		"frames of others": {nil, func(u upload) {
			u.Write(append(frame(http2.FrameData, 0, u.id, []byte("bo")), appendPing(nil, false, [8]byte{1})...))
		}, true},
		"DATA of a stream that is closed": {nil, func(u upload) {
			u.Write(append(frame(http2.FrameData, 0, u.id, []byte("bo")), frame(http2.FrameData, 0, 1, []byte("x"))...))
		}, true},
		"much more": {nil, func(u upload) {
			var all []byte
			for range 2 * bulkSize / minMaxFrame {
				all = append(all, frame(http2.FrameData, 0, u.id, make([]byte, minMaxFrame))...)
			}
			u.Write(append(all, frame(http2.FrameData, http2.FlagDataEndStream, u.id, nil)...))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := make(chan *requestBody, 1)
			c := dialLend(t, time.Hour, time.Hour, func(w http.ResponseWriter, r *http.Request) {
				bodies <- r.Body.(*requestBody)
				r.Body.Read(make([]byte, 2))
			})
			c.next = 1
			c.await(c.send("/nothing"))
			u := upload{lendConn: c, id: 3}
			c.next = 5
			c.Write(post(u.id, tt.fields...))
			u.body = <-bodies
			u.reading()
			tt.frames(u)
			if got := c.await(u.id); got != "ended, 0" {
				t.Fatal(got)
			}
			c.send("/nothing")
			reset, other := false, false
			for {
				f, err := c.fr.ReadFrame()
				if err != nil {
					t.Fatal(err)
				}
				if f, ok := f.(*http2.RSTStreamFrame); ok {
					switch {
					case f.StreamID == u.id && f.ErrCode == http2.ErrCodeNo:
						reset = true
					case f.StreamID == 1 && f.ErrCode == http2.ErrCodeStreamClosed:
						other = true
					default:
						t.Error(f)
					}
				}
				if f.Header().StreamID == 5 {
					break
				}
			}
			if want := name == "DATA of a stream that is closed"; other != want {
				t.Errorf("RST_STREAM of the other stream: %t, want %t", other, want)
			}
			if reset != tt.reset {
				t.Errorf("RST_STREAM: %t, want %t", reset, tt.reset)
			}
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
				conn := u.body.st.c
				conn.mu.Lock()
				used, owed := conn.used, conn.owed
				conn.mu.Unlock()
				if used == owed {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("the client has used %d octets of the connection window, and is to get %d back", used, owed)
				}
			}
		})
	}
}

// After a handler that has read from its connection that is lent for the next one, however long it took.
func TestReadLentHold(t *testing.T) {
	var c lendConn
	lent := make(chan int, 1)
	c = dialLend(t, 0, time.Hour, func(_ http.ResponseWriter, r *http.Request) {
		lent <- c.s.lent()
		io.Copy(io.Discard, r.Body)
	})
	for range 3 {
		u := upload{lendConn: c, id: c.next}
		c.next += 2
		c.Write(post(u.id))
		if n := <-lent; n != 1 {
			t.Fatalf("stream %d: %d connections are lent", u.id, n)
		}
		u.data(http2.FlagDataEndStream, "body")
		c.await(u.id)
	}
}

// What ends the connection ends a handler that reads from it.
func TestReadLentEnds(t *testing.T) {
	five := func(stream uint32) []byte { return frame(http2.FrameData, 0, stream, make([]byte, 5)) }
	for name, tt := range map[string]struct {
		client func(u upload)
		code   http2.ErrCode
	}{
		"close":             {func(u upload) { u.Close() }, 0},
		"close in a header": {func(u upload) { u.Write(five(u.id)[:5]); u.Close() }, 0},
		"close in a body":   {func(u upload) { u.Write(five(u.id)[:headerLen+1]); u.Close() }, 0},
		"DATA on stream 0":  {func(u upload) { u.Write(five(0)) }, http2.ErrCodeProtocol},
		"DATA of no stream": {func(u upload) { u.Write(five(9)) }, http2.ErrCodeProtocol},
		"too large":         {func(u upload) { u.Write(appendHeader(nil, 1<<24-1, http2.FrameData, 0, u.id)) }, http2.ErrCodeFrameSize},
		"empty frames": {func(u upload) {
			for range 20_000 {
				u.Write(frame(http2.FrameData, 0, u.id, nil))
			}
		}, http2.ErrCodeEnhanceYourCalm},
	} {
		t.Run(name, func(t *testing.T) {
			outcome := make(chan error)
			bodies := make(chan *requestBody, 1)
			c := dialLend(t, time.Hour, time.Hour, func(w http.ResponseWriter, r *http.Request) {
				bodies <- r.Body.(*requestBody)
				_, err := io.Copy(io.Discard, r.Body)
				outcome <- err
			})
			u := upload{lendConn: c, id: 1}
			c.Write(post(u.id))
			u.body = <-bodies
			u.reading()
			go tt.client(u)
			if err := <-outcome; !errors.Is(err, errClosed) {
				t.Errorf("the handler has met %v, want %v", err, errClosed)
			}
			if tt.code != 0 {
				if code, err := goAway(c); code != tt.code {
					t.Errorf("GOAWAY %v (%v), want %v", code, err, tt.code)
				}
			}
		})
	}
}

// A body of any size, in frames of any size, read with buffers of any size, with pauses and with PINGs
// between its frames, is what was sent.
func TestReadLentRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	sizes := random.Perm(20)
	want := make([]byte, defaultStreamWindow)
	rand.NewChaCha8([32]byte{}).Read(want)
	got := make(chan []byte)
	c := dialLend(t, time.Hour, time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		var all bytes.Buffer
		for i := 0; ; i++ {
			b := make([]byte, 1<<sizes[i%len(sizes)])
			n, err := r.Body.Read(b)
			all.Write(b[:n])
			if err != nil {
				break
			}
			if i%50 == 49 {
				time.Sleep(2 * time.Millisecond)
			}
		}
		got <- all.Bytes()
	})
	for range 5 {
		id := c.next
		c.next += 2
		n := random.IntN(len(want)) + 1
		sent := make(chan bool)
		go func() {
			defer close(sent)
			c.Write(post(id))
			for rest := want[:n]; ; {
				m := min(random.IntN(minMaxFrame+1), len(rest))
				flags := http2.Flags(0)
				if m == len(rest) {
					flags = http2.FlagDataEndStream
				}
				whole := frame(http2.FrameData, flags, id, rest[:m])
				rest = rest[m:]
				if cut := random.IntN(len(whole)); random.IntN(4) == 0 {
					c.Write(whole[:cut])
					whole = whole[cut:]
					time.Sleep(time.Duration(random.IntN(200)) * time.Microsecond)
				}
				c.Write(whole)
				if random.IntN(20) == 0 {
					c.fr.WritePing(false, [8]byte{1})
				}
				if flags != 0 {
					return
				}
			}
		}()
		if b := <-got; !bytes.Equal(b, want[:n]) {
			t.Fatalf("%d octets came, and are not the %d that were sent", len(b), n)
		}
		<-sent
		c.await(id)
	}
}

// A goroutine of the handler's that still reads does not keep a connection that is shut down from ending
// with care: the client, which goes on sending, gets the whole response.
func TestShutdownWhileReading(t *testing.T) {
	const size = 200_000
	write := make(chan bool)
	c := dialTCP(t, func(w http.ResponseWriter, r *http.Request) {
		go io.Copy(io.Discard, r.Body)
		<-write
		w.Write(make([]byte, size))
	})
	c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2 * size})
	c.fr.WriteWindowUpdate(0, 2*size)
	c.Write(post(c.next))
	time.Sleep(20 * time.Millisecond) // it is lent
	c.s.Shutdown()
	stop := make(chan bool)
	defer close(stop)
	for got := 0; ; {
		f, err := c.fr.ReadFrame()
		if err != nil {
			t.Fatalf("%v after %d octets", err, got)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			if f.LastStreamID != c.next {
				continue
			}
			// The last one, after a second: the answer to PING would end the lending.
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(time.Millisecond):
						c.Write(data(c.next, 100))
					}
				}
			}()
			time.Sleep(20 * time.Millisecond)
			close(write)
		case *http2.DataFrame:
			time.Sleep(5 * time.Millisecond)
			if got += len(f.Data()); f.StreamEnded() {
				if got != size {
					t.Errorf("%d octets", got)
				}
				return
			}
		}
	}
}
