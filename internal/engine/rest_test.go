package engine

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// A tcpConn is a client of a Server on a socket.
type tcpConn struct {
	t *testing.T
	s *Server
	net.Conn
	fr    *http2.Framer
	ended chan bool // closed when Serve has returned
	next  uint32
}

// TestMain has large DATA written from where it is on connections in memory, too.
func TestMain(m *testing.M) {
	anyVectored = true
	os.Exit(m.Run())
}

func dialTCP(t *testing.T, h http.HandlerFunc) *tcpConn {
	return dialTCPTo(t, New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)}), h)
}

func dialTCPTo(t *testing.T, s *Server, h http.HandlerFunc) *tcpConn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &tcpConn{t: t, s: s, ended: make(chan bool), next: 1}
	if c.Conn, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(c.ended)
		c.s.Serve(nc, Options{Context: t.Context(), Handler: h})
	}()
	t.Cleanup(func() {
		c.Close()
		<-c.ended
	})
	c.SetDeadline(time.Now().Add(30 * time.Second))
	c.fr = http2.NewFramer(c, c)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.Write(append([]byte(http2.ClientPreface), appendSettings(nil)...))
	return c
}

// get makes a request, of which before sends a part, and checks the response.
func (c *tcpConn) get(before func(request []byte) []byte) {
	c.t.Helper()
	id := c.next
	c.next += 2
	request := frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id, get(fmt.Sprint("/", id)))
	if before != nil {
		request = before(request)
	}
	c.Write(request)
	var body []byte
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			c.t.Fatal(err)
		}
		if f, ok := f.(*http2.DataFrame); ok && f.StreamID == id {
			body = append(body, f.Data()...)
			if f.StreamEnded() {
				break
			}
		}
	}
	if want := fmt.Sprint("GET /", id); string(body) != want {
		c.t.Fatalf("stream %d: %q, want %q", id, body, want)
	}
}

func (c *tcpConn) isAwake() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return len(c.s.awake) > 0
}

// rest returns when no worker reads from the connection.
func (c *tcpConn) rest() {
	c.t.Helper()
	for end := time.Now().Add(10 * time.Second); c.isAwake(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatal("the connection does not rest")
		}
		c.s.askIdle()
	}
}

func echoPath(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Method, " ", r.URL) }

func TestRest(t *testing.T) {
	if !hasSockets {
		t.Skip("connections do not rest on this system")
	}
	c := dialTCP(t, echoPath)
	for range 20 {
		c.get(nil)
		c.rest()
	}
	c.get(func(request []byte) []byte {
		c.Write(request[:12])
		time.Sleep(10 * time.Millisecond)
		for range 5 { // in the midst of a frame it does not
			c.s.askIdle()
			time.Sleep(time.Millisecond)
		}
		if !c.isAwake() {
			t.Error("rests although a frame has begun")
		}
		return request[12:]
	})
	c.rest()
	c.s.Shutdown()
	for going := false; ; {
		f, err := c.fr.ReadFrame()
		if err == io.EOF && going {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.GoAwayFrame:
			going = true
		case *http2.PingFrame:
			c.fr.WritePing(true, f.Data)
		}
	}
	c.Close()
	<-c.ended
}

// The client closes, or resets the connection, while it rests.
func TestRestClosed(t *testing.T) {
	if !hasSockets {
		t.Skip("connections do not rest on this system")
	}
	for _, reset := range []bool{false, true} {
		c := dialTCP(t, echoPath)
		c.get(nil)
		c.rest()
		if reset {
			c.Conn.(*net.TCPConn).SetLinger(0)
		}
		c.Close()
		select {
		case <-c.ended:
		case <-time.After(10 * time.Second):
			t.Fatal("still served")
		}
	}
}

// Nothing is lost when connections are asked to rest all the time.
func TestRestless(t *testing.T) {
	c := dialTCP(t, echoPath)
	stop, stopped := make(chan bool), make(chan bool)
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				c.s.askIdle()
			}
		}
	}()
	for range 1000 {
		c.get(nil)
	}
	close(stop)
	<-stopped
}

// What the server has to say does not keep it from reading: a client may write before it reads.
func TestReadsWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		s := New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)})
		go s.Serve(server, Options{Context: t.Context(), Handler: http.HandlerFunc(echoPath)})
		client.SetDeadline(time.Now().Add(time.Minute))
		send := append([]byte(http2.ClientPreface), appendSettings(nil)...)
		for i := range 10 {
			send = appendPing(send, false, [8]byte{byte(i)})
		}
		send = append(send, frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, get("/"))...)
		send = append(send, frame(http2.FrameData, 0, 1, bytes.Repeat([]byte("x"), 1<<14))...)
		for _, b := range send {
			if _, err := client.Write([]byte{b}); err != nil {
				t.Fatal(err)
			}
		}
		fr := http2.NewFramer(client, client)
		for pongs := 0; pongs < 10; {
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := f.(*http2.PingFrame); ok && f.IsAck() {
				pongs++
			}
		}
		client.Close()
	})
}

// Downloads over a socket, of which some are reset, and which share the connection.
func TestLargeWrites(t *testing.T) {
	const size = 1 << 20
	want := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	c := dialTCP(t, func(w http.ResponseWriter, r *http.Request) {
		for p := want; len(p) > 0; {
			n := min(len(p), 100_000)
			if _, err := w.Write(p[:n]); err != nil {
				return
			}
			p = p[n:]
		}
	})
	const streams = 20
	c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2 * size})
	c.fr.WriteWindowUpdate(0, streams*size)
	got := make(map[uint32][]byte)
	for range streams {
		c.Write(frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, c.next, get("/")))
		got[c.next] = nil
		c.next += 2
	}
	reset := make(map[uint32]bool)
	for len(got) > 0 {
		f, err := c.fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		data, ok := f.(*http2.DataFrame)
		if !ok {
			continue
		}
		id := data.StreamID
		if reset[id] {
			continue
		}
		got[id] = append(got[id], data.Data()...)
		if id%5 == 0 && len(got[id]) > size/3 {
			c.fr.WriteRSTStream(id, http2.ErrCodeCancel)
			c.fr.WritePing(false, [8]byte{1})
			reset[id] = true
			delete(got, id)
			continue
		}
		if data.StreamEnded() {
			if !bytes.Equal(got[id], want) {
				t.Errorf("stream %d: %d octets, not what was written", id, len(got[id]))
			}
			delete(got, id)
		}
	}
}

// A large write of one stream leaves others their turns, written from where it is or through the buffer.
func TestLargeWritesTakeTurns(t *testing.T) {
	t.Run("direct", largeWritesTakeTurns)
	t.Run("buffered", func(t *testing.T) {
		defer func(before bool) { anyVectored = before }(anyVectored)
		anyVectored = false
		largeWritesTakeTurns(t)
	})
}

func largeWritesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large, small, streams = 16 << 20, 1 << 20, 5
		client, server := memnet.Pipe(memnet.Options{}, 1)
		defer client.Close()
		go New(&http.Server{}).Serve(server, Options{Context: t.Context(), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			n := small
			if r.URL.Path == "/1" {
				n = large
			}
			w.Write(make([]byte, n))
		})})
		client.Write([]byte(http2.ClientPreface))
		fr := http2.NewFramer(client, client)
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		fr.WriteWindowUpdate(0, 1<<31-1-initialWindow)
		for id := uint32(1); id < 2*streams; id += 2 {
			client.Write(frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, id, get(fmt.Sprint("/", id))))
			synctest.Wait() // it writes, or waits for its turn
		}
		got, whole := make(map[uint32]int), 0
		for whole < streams-1 {
			synctest.Wait() // whoever was woken waits again
			f, err := fr.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			if data, ok := f.(*http2.DataFrame); ok {
				got[data.StreamID] += len(data.Data())
				if len(data.Data()) > 0 && got[data.StreamID] == small && data.StreamID != 1 {
					whole++
				}
			}
		}
		if got[1] > 2*small {
			t.Errorf("others of %d octets each had to wait for %d", small, got[1])
		}
	})
}

// A stream that ends when it has been given its turn writes what was left to it.
func TestTurnGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var st *stream
		c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
			st = w.(*response).st
			if _, err := w.Write(make([]byte, 2*directSize)); err != nil {
				time.Sleep(time.Hour)
			}
		})
		sc := c.conn()
		sc.mu.Lock()
		sc.out.writing = true
		sc.mu.Unlock()
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
		synctest.Wait()
		sc.mu.Lock()
		sc.out.writing = false
		sc.out.wakeNext()
		if sc.out.next != st {
			t.Error("it is not its turn")
		}
		st.err = errHandled
		sc.flush()
		synctest.Wait()
		if got := c.take(); got != "HEADERS 1 200" {
			t.Errorf("got %q", got)
		}
		time.Sleep(2 * time.Hour)
	})
}

// A hook that panics ends the connection, and the contexts of its requests, and nothing else, wherever
// it is called.
func TestHookPanics(t *testing.T) {
	wait := frame(http2.FrameHeaders, endBoth, 1, get("/wait"))
	states := func(when http.ConnState) func(net.Conn, http.ConnState) {
		return func(_ net.Conn, state http.ConnState) {
			if state == when {
				panic("hook")
			}
		}
	}
	active, idle := states(http.StateActive), states(http.StateIdle)
	count := &http.HTTP2Config{CountError: func(string) { panic("hook") }}
	for name, tt := range map[string]struct {
		hs   *http.Server
		send []byte
	}{
		"error":          {&http.Server{HTTP2: count}, append(wait, frame(http2.FrameData, 0, 0, nil)...)},
		"first frame":    {&http.Server{HTTP2: count}, nil}, // does not come in time
		"begin":          {&http.Server{ConnState: active}, wait},
		"end of request": {&http.Server{ConnState: idle}, frame(http2.FrameHeaders, endBoth, 1, get("/"))},
		"end of handler": {&http.Server{ConnState: idle}, frame(http2.FrameHeaders, endBoth, 1, get("/panic"))},
		"reset":          {&http.Server{ConnState: idle}, append(wait, frame(http2.FrameRSTStream, 0, 1, u32(8))...)},
		"lost":           {&http.Server{ConnState: idle}, wait},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var logged bytes.Buffer
				tt.hs.ErrorLog = log.New(&logged, "", 0)
				client, server := memnet.Pipe(memnet.Options{}, 1)
				ended := make(chan bool)
				go func() {
					defer close(ended)
					New(tt.hs).Serve(server, Options{Context: t.Context(), Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						switch r.URL.Path {
						case "/wait":
							<-r.Context().Done()
						case "/panic":
							panic(http.ErrAbortHandler)
						}
					})})
				}()
				client.Write([]byte(http2.ClientPreface))
				if tt.send != nil {
					client.Write(append(appendSettings(nil), tt.send...))
				}
				if name == "lost" {
					synctest.Wait()
					client.Close()
				}
				<-ended
				synctest.Wait()
				if !strings.HasPrefix(logged.String(), "http: panic serving client-1: hook\n") {
					t.Errorf("logged %q", logged.String())
				}
				client.Close()
			})
		})
	}
}

// What the server has to answer does not wait for the rest of a frame, wherever in the buffer that
// ends.
func TestAnswersBeforeRestOfFrame(t *testing.T) {
	for _, size := range []int{waitSize, waitSize + inSize - 1, waitSize + inSize} {
		synctest.Test(t, func(t *testing.T) {
			c := dialMem(t, &http.Server{}, http.NotFound)
			synctest.Wait()
			first, last := appendPing(nil, false, [8]byte{1}), appendPing(nil, false, [8]byte{2})
			half := len(last) / 2
			var send []byte
			for n := 0; n >= 0; n = size - len(send) - headerLen - len(first) - half {
				send = append(send, frame(0xfa, 0, 0, make([]byte, min(n, minMaxFrame)))...)
			}
			c.Write(append(append(send, first...), last[:half]...))
			for want := byte(1); want <= 2; want++ {
				c.SetReadDeadline(time.Now().Add(time.Second))
				for {
					f, err := c.fr.ReadFrame()
					if err != nil {
						t.Fatalf("%d octets: %v before PING %d", size, err, want)
					}
					if f, ok := f.(*http2.PingFrame); ok && f.Data[0] == want {
						break
					}
				}
				c.Write(last[half:])
			}
		})
	}
}

// A connection that has ended stays half open for a client that is slow to take what was sent.
func TestHalfClose(t *testing.T) {
	for every, want := range map[time.Duration]time.Duration{0: closeTimeout, closeTimeout / 2: maxClose} {
		synctest.Test(t, func(t *testing.T) {
			client, server := memnet.Pipe(memnet.Options{}, 1)
			defer client.Close()
			ended := make(chan time.Time, 1)
			go func() {
				defer func() { ended <- time.Now() }()
				New(&http.Server{IdleTimeout: time.Minute}).Serve(server, Options{Context: t.Context(), Handler: http.NotFoundHandler()})
			}()
			client.Write(append([]byte(http2.ClientPreface), appendSettings(nil)...))
			if _, err := goAway(client); err != io.EOF {
				t.Fatal(err)
			}
			begun := time.Now()
			for err := error(nil); err == nil && every > 0; {
				time.Sleep(every)
				_, err = client.Write(appendWindowUpdate(nil, 0, 1))
			}
			if took := (<-ended).Sub(begun); took != want {
				t.Errorf("closed after %v, want %v, when something comes every %v", took, want, every)
			}
		})
	}
}
