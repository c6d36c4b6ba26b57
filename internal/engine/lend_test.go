package engine

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

// A lendConn is a client of a Server for which any request comes alone often enough.
type lendConn struct{ *tcpConn }

func dialLend(t *testing.T, quick, most time.Duration, h http.HandlerFunc) lendConn {
	if !hasSockets {
		t.Skip("connections are not lent on this system")
	}
	s := New(&http.Server{ErrorLog: log.New(io.Discard, "", 0)})
	s.sweeping = true // nothing is asked to rest
	s.lends.hot, s.lends.quick, s.lends.most = time.Hour, quick, most
	return lendConn{dialTCPTo(t, s, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/nothing" {
			return
		}
		h(w, r)
	})}
}

// send sends a request.
func (c lendConn) send(path string) (id uint32) {
	id = c.next
	c.next += 2
	c.Write(frame(http2.FrameHeaders, endBoth, id, get(path)))
	return id
}

// await reads until the stream ends, and returns how, with the length of the body.
func (c lendConn) await(id uint32) string {
	c.t.Helper()
	n := 0
	for {
		f, err := c.fr.ReadFrame()
		if err != nil {
			c.t.Fatal(err)
		}
		if f.Header().StreamID != id {
			continue
		}
		switch f := f.(type) {
		case *http2.DataFrame:
			n += len(f.Data())
		case *http2.RSTStreamFrame:
			return f.ErrCode.String()
		}
		if f.Header().Flags.Has(http2.FlagDataEndStream) {
			return fmt.Sprint("ended, ", n)
		}
	}
}

// lent returns the connections that are.
func (s *Server) lent() int {
	n := 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.lease.mu.Lock()
		if c.lease.st != nil {
			n++
		}
		c.lease.mu.Unlock()
	}
	return n
}

// While a connection is lent, whatever its handler waits for or does, all goes on as it does otherwise.
func TestLend(t *testing.T) {
	const watched = 100 * time.Millisecond // and not what comes too late on a busy machine
	for name, tt := range map[string]struct {
		handler func(c lendConn, w http.ResponseWriter, r *http.Request, proceed chan bool)
		during  func(c lendConn, id uint32, proceed chan bool)
		most    time.Duration
		want    string // of its stream
	}{
		"quick": {func(lendConn, http.ResponseWriter, *http.Request, chan bool) {}, nil, time.Hour, "ended, 0"},
		"another request": {
			func(_ lendConn, _ http.ResponseWriter, _ *http.Request, proceed chan bool) { <-proceed },
			func(c lendConn, _ uint32, proceed chan bool) {
				for range 3 {
					c.await(c.send("/nothing"))
				}
				close(proceed)
			}, watched, "ended, 0"},
		"stream window": {
			func(_ lendConn, w http.ResponseWriter, _ *http.Request, _ chan bool) { w.Write(make([]byte, 70_000)) },
			func(c lendConn, id uint32, _ chan bool) {
				c.fr.WriteWindowUpdate(0, 1<<20)
				c.fr.WriteWindowUpdate(id, 1<<20)
			}, time.Hour, "ended, 70000"},
		"connection window": {
			func(_ lendConn, w http.ResponseWriter, _ *http.Request, _ chan bool) {
				for range 10 {
					w.Write(make([]byte, 7000))
				}
			},
			func(c lendConn, id uint32, _ chan bool) {
				c.fr.WriteWindowUpdate(id, 1<<20)
				c.fr.WriteWindowUpdate(0, 1<<20)
			}, time.Hour, "ended, 70000"},
		"a client that does not read": {
			func(_ lendConn, w http.ResponseWriter, _ *http.Request, _ chan bool) {
				for range 1000 {
					w.Write(make([]byte, directSize-1))
				}
			},
			func(c lendConn, _ uint32, _ chan bool) {
				for range 200 { // the server must read on, or neither does
					c.Write(frame(0xfa, 0, 0, make([]byte, minMaxFrame)))
				}
			}, watched, fmt.Sprint("ended, ", 1000*(directSize-1))},
		"RST_STREAM": {
			func(_ lendConn, _ http.ResponseWriter, r *http.Request, proceed chan bool) {
				<-r.Context().Done()
				close(proceed)
			},
			func(c lendConn, id uint32, proceed chan bool) {
				c.fr.WriteRSTStream(id, http2.ErrCodeCancel)
				<-proceed
			}, watched, ""},
		"panic":  {func(lendConn, http.ResponseWriter, *http.Request, chan bool) { panic("lent") }, nil, time.Hour, "INTERNAL_ERROR"},
		"Goexit": {func(lendConn, http.ResponseWriter, *http.Request, chan bool) { runtime.Goexit() }, nil, time.Hour, "INTERNAL_ERROR"},
		"late Goexit": {func(_ lendConn, _ http.ResponseWriter, _ *http.Request, proceed chan bool) {
			<-proceed
			runtime.Goexit()
		}, func(c lendConn, _ uint32, proceed chan bool) {
			c.await(c.send("/nothing"))
			close(proceed)
		}, watched, "INTERNAL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			var c lendConn
			lent, proceed := make(chan int, 1), make(chan bool)
			c = dialLend(t, time.Hour, tt.most, func(w http.ResponseWriter, r *http.Request) {
				lent <- c.s.lent()
				tt.handler(c, w, r, proceed)
			})
			if name == "a client that does not read" {
				c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
				c.fr.WriteWindowUpdate(0, 1<<30)
			}
			c.await(c.send("/nothing"))
			id := c.send("/")
			if n := <-lent; n != 1 {
				t.Fatalf("%d connections are lent", n)
			}
			if tt.during != nil {
				tt.during(c, id, proceed)
			}
			if tt.want != "" {
				if got := c.await(id); got != tt.want {
					t.Fatalf("%s, want %s", got, tt.want)
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

// A connection is not lent for a request beside which others run.
func TestLendAlone(t *testing.T) {
	var c lendConn
	lent, proceed := make(chan int), make(chan bool)
	c = dialLend(t, time.Hour, time.Hour, func(_ http.ResponseWriter, r *http.Request) {
		lent <- c.s.lent()
		if r.URL.Path == "/wait" {
			<-proceed
		}
	})
	c.await(c.send("/nothing"))
	first, second := c.next, c.next+2
	c.next += 4
	c.Write(append(frame(http2.FrameHeaders, endBoth, first, get("/wait")), frame(http2.FrameHeaders, endBoth, second, get("/"))...))
	if n := <-lent + <-lent; n != 0 {
		t.Error("lent for a request that came with another one")
	}
	c.await(second)
	beside := c.send("/")
	if n := <-lent; n != 0 {
		t.Error("lent for a request beside another one")
	}
	c.await(beside)
	close(proceed)
	c.await(first)
	after := c.send("/")
	if n := <-lent; n != 1 {
		t.Error("not lent after these")
	}
	c.await(after)
}

// A client that goes away ends the context of a handler that has the connection lent.
func TestLendClosed(t *testing.T) {
	var c lendConn
	ended := make(chan bool)
	c = dialLend(t, time.Hour, 100*time.Millisecond, func(_ http.ResponseWriter, r *http.Request) {
		if c.s.lent() != 1 {
			t.Error("the connection is not lent")
		}
		c.Close()
		<-r.Context().Done()
		close(ended)
	})
	c.await(c.send("/nothing"))
	c.send("/")
	<-ended
	<-c.tcpConn.ended
	if c.s.lent() != 0 {
		t.Error("a connection that has ended is lent")
	}
}

// After a handler that took its time, workers are woken for a while: for longer each time.
func TestLendHold(t *testing.T) {
	var c lendConn
	var lent []int // numbers of the requests
	n := 0
	c = dialLend(t, 0, time.Hour, func(http.ResponseWriter, *http.Request) {
		n++
		if c.s.lent() > 0 {
			lent = append(lent, n)
		}
	})
	for range 40 {
		c.await(c.send("/"))
	}
	if want := []int{1, 1 + minHold + 1, 1 + minHold + 1 + 2*minHold + 1, 1 + minHold + 1 + 2*minHold + 1 + 4*minHold + 1}; !slices.Equal(lent, want) {
		t.Errorf("lent for requests %v, want %v", lent, want)
	}
}

// Nobody watches when no connection has been lent for a while.
func TestLendWatch(t *testing.T) {
	c := dialLend(t, time.Hour, lendTime, nil)
	c.await(c.send("/nothing"))
	c.await(c.send("/nothing"))
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(lendTime) {
		c.s.lends.mu.Lock()
		watching := len(c.s.lends.conns) > 0
		c.s.lends.mu.Unlock()
		if !watching {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is watched though no connection is lent")
		}
	}
}
