package h2c_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// closeServer calls the Close that covers the connections of a role.
func (ts *server) closeServer(role role) error {
	if role == configured {
		return ts.hs.Close()
	}
	return ts.s.Close()
}

// Close ends upgraded connections, whatever they do.
func TestCloseEndsUpgraded(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			var gone atomic.Int32
			ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					<-r.Context().Done()
					gone.Add(1)
				}
			}))
			var clients []*client
			for _, path := range []string{"/wait", "/"} {
				c := ts.dial()
				c.nc.SetDeadline(time.Time{})
				c.upgradeTo(path)
				c.preface()
				clients = append(clients, c)
			}
			clients[1].response(1)
			synctest.Wait()
			start := time.Now()
			if err := ts.closeServer(role); err != nil {
				t.Error(err)
			}
			for _, c := range clients {
				c.toEnd()
			}
			synctest.Wait()
			if took := time.Since(start); took != 0 || gone.Load() != 1 {
				t.Errorf("closed after %v, %d handlers were told", took, gone.Load())
			}
		})
	})
}

// Shutdown whose context ends, and then Close, as servers do.
func TestCloseAfterShutdown(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
			}))
			c := ts.dial()
			c.nc.SetDeadline(time.Time{})
			c.upgradeTo("/")
			c.preface()
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			start := time.Now()
			if err := ts.shutdown(role, ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v", err)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("Shutdown took %v", took)
			}
			ts.closeServer(role)
			c.toEnd()
			synctest.Wait()
			if n := ts.s.Stats().Active; n != 0 {
				t.Errorf("%d connections active", n)
			}
		})
	})
}

// What is left on the server when upgraded connections are closed is gone in a moment, and the next
// one is served.
func TestUpgradesWithPauses(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, text("ok"))
			for _, pause := range []time.Duration{0, time.Millisecond, time.Second - 1, time.Second, 2*time.Second - 1, time.Minute} {
				time.Sleep(pause)
				c := ts.dial()
				c.upgradeTo("/")
				c.preface()
				if r := c.response(1); r.Body != "ok" {
					t.Errorf("after %v: %+v", pause, r)
				}
				c.nc.Close()
				synctest.Wait()
			}
		})
	})
}

// httptest closes new and idle connections of its server, and waits for the others. With the
// engine of net/http, the client loses the response, as it does by prior knowledge without this library.
func TestHTTPTestServerWaits(t *testing.T) {
	for _, role := range []role{configured, wrapped} {
		begun, end := make(chan bool), make(chan bool)
		ts, s := httptestServer(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			begun <- true
			<-end
			io.WriteString(w, "whole")
		}))
		c := dialTCP(t, ts.Listener.Addr().String())
		c.upgradeTo("/")
		c.preface()
		<-begun
		closed := make(chan bool)
		go func() {
			ts.Close()
			close(closed)
		}()
		select {
		case <-closed:
			// What NewHandler took over is not httptest's any more.
			if role == configured {
				t.Error("Close did not wait")
			}
		case <-time.After(200 * time.Millisecond):
		}
		close(end)
		if r := c.response(1); r.Body != "whole" {
			t.Errorf("got %+v", r)
		}
		c.nc.Close()
		<-closed
		s.Close()
		eventually(t, "no connection left", func() bool { return s.Stats().Active == 0 })
	}
}

// A hook that panics on an upgraded connection ends that one, and ErrorLog says why.
func TestHookPanics(t *testing.T) {
	for _, in := range []http.ConnState{http.StateActive, http.StateIdle} {
		t.Run(in.String(), func(t *testing.T) {
			eachHandlerRole(t, func(t *testing.T, role role) {
				var logged buffer
				var panics atomic.Bool
				ts := serve(t, role, text("ok"), withHTTP(func(hs *http.Server) {
					hs.ErrorLog = log.New(&logged, "", 0)
					hs.ConnState = func(nc net.Conn, state http.ConnState) {
						if _, ok := nc.(interface{ NetConn() net.Conn }); ok && state == in && panics.Load() {
							panic("on purpose")
						}
					}
				}))
				panics.Store(true)
				c := ts.dial()
				c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
				eventually(t, "the panic in ErrorLog", func() bool {
					return strings.Contains(logged.String(), "panic serving") && strings.Contains(logged.String(), "on purpose")
				})
				panics.Store(false)
				c = ts.dial()
				c.upgradeTo("/")
				c.preface()
				if r := c.response(1); r.Body != "ok" {
					t.Errorf("the next connection got %+v", r)
				}
			})
		})
	}
}

// Many upgrades while the server is closed: no connection outlives that.
func TestCloseRace(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		for range 20 {
			ts := serve(t, role, text("x"))
			var clients []net.Conn
			for range 20 {
				nc, err := ts.l.Dial()
				if err != nil {
					t.Fatal(err)
				}
				clients = append(clients, nc)
			}
			var wg sync.WaitGroup
			for _, nc := range clients {
				wg.Go(func() {
					defer nc.Close()
					io.WriteString(nc, crlf("GET / HTTP/1.1\nHost: h\n"+offerFields+"\n"))
					nc.SetReadDeadline(time.Now().Add(10 * time.Second))
					if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
						t.Error("the connection is still open")
					}
				})
			}
			ts.closeServer(role)
			ts.hs.Close() // under NewHandler, it still serves HTTP/1.1
			wg.Wait()
		}
	})
}

// Should net/http not hand over connections that begin with the client preface, the handler gets
// them, and serves them.
func TestPrefacesComeToHandler(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(100 * time.Millisecond)
		io.WriteString(w, string(h2c.RequestVia(r)))
	}), func(ts *server) {
		ts.configured = func(hs *http.Server) { delete(hs.TLSNextProto, "unencrypted_http2") }
	})
	c := ts.dial()
	c.preface()
	c.request(1, "/")
	if r := c.response(1); r.Body != string(h2c.ViaPriorKnowledge) {
		t.Errorf("got %+v", r)
	}
	c2 := ts.dial()
	c2.upgradeTo("/")
	c2.preface()
	done := make(chan error)
	go func() { done <- ts.hs.Shutdown(context.Background()) }()
	if r := c2.response(1); r.Body != string(h2c.ViaUpgrade) {
		t.Errorf("got %+v", r)
	}
	c.wantClosedAfterGoAway()
	c2.wantClosedAfterGoAway()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := ts.s.Stats(); got.PriorKnowledge != 1 || got.Upgraded != 1 || got.Active != 0 {
		t.Errorf("%+v", got)
	}
}
