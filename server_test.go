package h2c_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

// shutdown calls the Shutdown that covers the connections of a role.
func (ts *server) shutdown(role role, ctx context.Context) error {
	switch role {
	case configured:
		return ts.hs.Shutdown(ctx)
	case split:
		return errors.Join(ts.s.Shutdown(ctx), ts.behind.Shutdown(ctx))
	}
	return ts.s.Shutdown(ctx)
}

func TestShutdownDrains(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				time.Sleep(time.Minute)
				io.WriteString(w, "late")
			}))
			c := ts.dial()
			c.nc.SetDeadline(time.Time{})
			c.upgradeTo("/")
			c.preface()
			synctest.Wait()

			start := time.Now()
			done := make(chan error, 1)
			go func() { done <- ts.shutdown(role, context.Background()) }()
			if r := c.response(1); r.Body != "late" {
				t.Errorf("got %+v", r)
			}
			if c.goAway == nil || c.goAway.ErrCode != http2.ErrCodeNo {
				t.Errorf("GOAWAY: %v", c.goAway)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("response after %v", took)
			}
			c.wantClosed()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	})
}

func TestShutdownReturnsContextError(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-r.Context().Done()
			}))
			c := ts.dial()
			c.upgradeTo("/")
			c.preface()
			synctest.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			if err := ts.shutdown(role, ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
		})
	})
}

// The Shutdown of the server in front makes connections of NewHandler drain.
func TestShutdownOfServerInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, wrapped, text("x"))
		c := ts.dial()
		c.upgradeTo("/")
		c.preface()
		c.response(1)
		if err := ts.hs.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		c.wantClosedAfterGoAway()
		time.Sleep(2 * time.Second) // until the engine's own Shutdown has seen it
	})
}

func (c *client) wantClosedAfterGoAway() {
	c.t.Helper()
	for {
		if _, err := c.frame(); err != nil {
			break
		}
	}
	if c.goAway == nil {
		c.t.Error("closed without GOAWAY")
	}
}

func TestShutdownDeclinesLaterOffers(t *testing.T) {
	ts := serve(t, wrapped, text("x"))
	c := ts.dial()
	c.send("GET / HTTP/1.1\nHost: h\n\n")
	c.want1(200)
	if err := ts.s.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
	c.want1(200)
	ts.wantDeclined(h2c.ReasonDisabled, 1)
	c = ts.dial()
	c.preface()
	c.want1(503)
	ts.wantFailed(h2c.ReasonShutdown, 1)
}

// A request whose connection is being handed over as the server shuts down is answered.
func TestShutdownDuringHandover(t *testing.T) {
	for _, by := range []string{"upgrade", "shut down before"} {
		t.Run(by, func(t *testing.T) {
			var ts *server
			begin := func() {
				done := make(chan struct{})
				go func() {
					ts.hs.Shutdown(context.Background())
					close(done)
				}()
				if by == "shut down before" {
					for ts.hs.Serve(refusing{}) != http.ErrServerClosed {
					}
				}
			}
			var once sync.Once
			ts = serve(t, configured, text("x"), withH2C(&h2c.Server{AllowUpgrade: func(*http.Request) error {
				once.Do(begin)
				return nil
			}}))
			c := ts.dial()
			c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
			b, err := c.br.Peek(len("HTTP/1.1 503"))
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(string(b), "101") {
				c.wantSwitch()
				c.preface()
				if r := c.response(1); r.Body != "x" {
					t.Errorf("got %+v", r)
				}
				c.wantClosedAfterGoAway()
				return
			}
			if netHTTP {
				resp, body := c.want1(503)
				if !resp.Close || body == "" {
					t.Errorf("got %+v %q", resp, body)
				}
				ts.wantFailed(h2c.ReasonShutdown, 1)
			} else {
				resp, body := c.want1(200)
				if !resp.Close || body != "x" {
					t.Errorf("got %+v %q", resp, body)
				}
				ts.wantDeclined(h2c.ReasonDisabled, 1)
			}
			c.wantClosed()
		})
	}
}

// refusing is a listener that has no connections.
type refusing struct{}

func (refusing) Accept() (net.Conn, error) { return nil, errors.New("refusing") }
func (refusing) Close() error              { return nil }
func (refusing) Addr() net.Addr            { return &net.TCPAddr{} }

// Many upgrades while the server shuts down: each is answered on stream 1, by a 503, or the
// connection was closed before it was accepted; and Shutdown returns.
func TestShutdownRace(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		for range 20 {
			ts := serve(t, role, text("x"))
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					nc, err := ts.l.Dial()
					if err != nil {
						return
					}
					c := newClient(t, nc)
					defer nc.Close()
					io.WriteString(nc, crlf("GET / HTTP/1.1\nHost: h\n"+offerFields+"\n"))
					line, err := c.br.ReadString('\n')
					switch {
					case err != nil: // closed by Shutdown before it was read
					case strings.Contains(line, " 101 "):
						io.CopyN(io.Discard, c.br, int64(len(crlf(wantSwitching))-len(line)))
						c.preface()
						if r := c.response(1); r.Body != "x" {
							t.Errorf("got %+v", r)
						}
						c.toEnd()
					case !strings.Contains(line, " 503 ") && !strings.Contains(line, " 200 "):
						t.Errorf("got %q", line)
					}
				})
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			if err := ts.shutdown(role, ctx); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
			cancel()
			ts.hs.Close() // under NewHandler, it still serves HTTP/1.1
			wg.Wait()
		}
	})
}

func TestHooks(t *testing.T) {
	type key struct{}
	var (
		mu     sync.Mutex
		states = make(map[string][]http.ConnState)
		bases  int
	)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hs, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		fmt.Fprint(w, r.Context().Value(key{}), " ", hs != nil, " ", addr, " ", r.RemoteAddr, " ", h2c.RequestVia(r))
	})
	wantBases := map[role]int{configured: 1, wrapped: 2}
	eachHandlerRole(t, func(t *testing.T, role role) {
		bases = 0
		clear(states)
		ts := serve(t, role, handler, withHTTP(func(hs *http.Server) {
			hs.BaseContext = func(l net.Listener) context.Context {
				bases++
				if l.Addr().String() != "server" {
					t.Errorf("BaseContext for %v", l.Addr())
				}
				return context.WithValue(context.Background(), key{}, "base")
			}
			hs.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
				via := "direct"
				if inner, ok := nc.(interface{ NetConn() net.Conn }); ok {
					via = "handed over from " + inner.NetConn().RemoteAddr().String()
				}
				return context.WithValue(ctx, key{}, fmt.Sprint(ctx.Value(key{}), " ", via))
			}
			hs.ConnState = func(nc net.Conn, state http.ConnState) {
				mu.Lock()
				defer mu.Unlock()
				kind := "direct"
				if _, ok := nc.(interface{ NetConn() net.Conn }); ok {
					kind = "handed over"
				}
				states[kind] = append(states[kind], state)
			}
		}))
		c := ts.dial()
		c.upgradeTo("/")
		c.preface()
		want := "base handed over from client-1 true server client-1 upgrade"
		if r := c.response(1); r.Body != want {
			t.Errorf("got %q, want %q", r.Body, want)
		}
		c.nc.Close()
		eventually(t, "closed", func() bool {
			mu.Lock()
			defer mu.Unlock()
			s := states["handed over"]
			return len(s) > 0 && s[len(s)-1] == http.StateClosed
		})
		mu.Lock()
		defer mu.Unlock()
		if diff := cmp.Diff([]http.ConnState{http.StateNew, http.StateActive, http.StateHijacked}, states["direct"]); diff != "" {
			t.Errorf("states of the hijacked connection:\n%s", diff)
		}
		if s := states["handed over"]; s[0] != http.StateNew || s[1] != http.StateActive {
			t.Errorf("states of the new connection: %v", s)
		}
		if want := wantBases[role]; bases != want {
			t.Errorf("BaseContext called %d times, want %d", bases, want)
		}
	})
}

// What middleware puts into the context of the first request stays with it.
func TestMiddlewareContextDoesNotLeak(t *testing.T) {
	type key struct{}
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Context().Value(key{}))
	})
	s := new(h2c.Server)
	outer := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, "identity")))
		})
	}
	ts := serve(t, "", outer(h2c.NewHandler(inner, s)), withH2C(s))
	c := ts.dial()
	c.upgradeTo("/")
	c.preface()
	c.request(3, "/")
	for id, r := range c.responses(1, 3) {
		if r.Body != "<nil>" {
			t.Errorf("stream %d: %q", id, r.Body)
		}
	}
}

// unwrapping hides everything of a ResponseWriter but Unwrap.
type unwrapping struct{ w http.ResponseWriter }

func (u unwrapping) Header() http.Header         { return u.w.Header() }
func (u unwrapping) Write(b []byte) (int, error) { return u.w.Write(b) }
func (u unwrapping) WriteHeader(code int)        { u.w.WriteHeader(code) }
func (u unwrapping) Unwrap() http.ResponseWriter { return u.w }

// opaque hides Unwrap, too.
type opaque struct{ http.ResponseWriter }

func TestNewHandlerBehindWrappedWriters(t *testing.T) {
	s := new(h2c.Server)
	h := h2c.NewHandler(http.HandlerFunc(see), s)
	mux := http.NewServeMux()
	mux.HandleFunc("/unwrapping/", func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(unwrapping{w}, r) })
	mux.HandleFunc("/opaque/", func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(opaque{w}, r) })
	ts := serve(t, "", mux, withH2C(s))

	c := ts.dial()
	c.send("POST /unwrapping/x HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\n")
	io.WriteString(c.nc, "body")
	c.wantSwitch()
	c.preface()
	if r := c.response(1); !strings.Contains(r.Body, `"Body":"body"`) {
		t.Errorf("got %+v", r)
	}

	c = ts.dial()
	c.send("POST /opaque/x HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\n")
	io.WriteString(c.nc, "body")
	if _, body := c.want1(200); !strings.Contains(body, `"Body":"body"`) {
		t.Errorf("got %s", body)
	}
	ts.wantDeclined(h2c.ReasonHijack, 1)
}

// A body that breaks off reaches the handler as it would without the offer.
func TestBodyIncomplete(t *testing.T) {
	got := make(chan string, 1)
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		got <- fmt.Sprintf("%s %s %v", r.Proto, body, err)
	}))
	c := ts.dial()
	c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 10\n" + offerFields + "\n")
	io.WriteString(c.nc, "part")
	c.nc.Close()
	if got := <-got; got != "HTTP/1.1 part unexpected EOF" {
		t.Errorf("handler saw %q", got)
	}
	ts.wantDeclined(h2c.ReasonBodyIncomplete, 1)
}

// Windows that HTTP2Config leaves open are raised to hold the largest body; those that it
// sets bound the body.
func TestBodyAndWindows(t *testing.T) {
	post := func(ts *server, n int) *client {
		c := ts.dial()
		c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: h\nContent-Length: %d\n%s\n", n, offerFields))
		go c.nc.Write(bytes.Repeat([]byte("x"), n))
		return c
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})
	eachHandlerRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, handler, withH2C(&h2c.Server{MaxUpgradeBodyBytes: 5 << 20}))
		c := post(ts, 5<<20)
		c.wantSwitch()
		c.preface()
		if r := c.response(1); r.Body != fmt.Sprint(5<<20, nil) {
			t.Errorf("got %+v", r)
		}
		for _, conf := range []http.HTTP2Config{
			{MaxReceiveBufferPerStream: 1000},
			{MaxReceiveBufferPerConnection: 65535 + 1000},
		} {
			ts := serve(t, role, handler, withHTTP(func(hs *http.Server) { hs.HTTP2 = &conf }))
			post(ts, 1001).want1(200)
			ts.wantDeclined(h2c.ReasonBodyTooLarge, 1)
			c := post(ts, 1000)
			c.wantSwitch()
			c.preface()
			if r := c.response(1); r.Body != fmt.Sprint(1000, nil) {
				t.Errorf("%+v: got %+v", conf, r)
			}
		}
	})
}

func TestConfigureServerErrors(t *testing.T) {
	if err := h2c.ConfigureServer(nil, nil); err == nil {
		t.Error("configured nothing")
	}
	hs := new(http.Server)
	if err := h2c.ConfigureServer(hs, nil); err != nil {
		t.Error(err)
	}
	if err := h2c.ConfigureServer(hs, nil); err == nil {
		t.Error("configured twice")
	}
}

func TestTraceAndLogger(t *testing.T) {
	var (
		mu    sync.Mutex
		lines []string
	)
	note := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, fmt.Sprintf(format, args...))
	}
	var logged bytes.Buffer
	s := &h2c.Server{
		Logger: slog.New(slog.NewTextHandler(&logged, nil)),
		Trace: &h2c.Trace{
			Negotiated: func(n h2c.Negotiation) { note("negotiated %s %s %s", n.Via, n.Reason, n.RemoteAddr) },
			Closed: func(i h2c.ConnInfo) {
				note("closed %s %s %s %v", i.Via, i.Reason, i.RemoteAddr, i.BytesRead > 0 && i.BytesWritten > 0)
			},
		},
	}
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, text("x"), withH2C(s))
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: h\nVia: x\n" + offerFields + "\n")
		c.want1(200)
		c.upgradeTo("/")
		c.preface()
		c.response(1)
		c.nc.Close()
		synctest.Wait()
		c = ts.dial()
		c.upgradeTo("/")
		io.WriteString(c.nc, "bad")
		c.wantClosed()
		synctest.Wait()
		c = ts.dial()
		c.preface()
		c.request(1, "/")
		c.response(1)
		c.nc.Close()
		synctest.Wait()
		want := []string{
			"negotiated http/1.1 forwarded client-1",
			"negotiated upgrade  client-1",
			"closed upgrade  client-1 true",
			"negotiated upgrade  client-2",
			"closed upgrade preface_invalid client-2 true",
			"negotiated prior-knowledge  client-3",
			"closed prior-knowledge  client-3 false",
		}
		if diff := cmp.Diff(want, lines); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		stats := ts.s.Stats()
		if stats.BytesRead == 0 || stats.BytesWritten == 0 {
			t.Errorf("stats %+v", stats)
		}
		stats.BytesRead, stats.BytesWritten = 0, 0
		if diff := cmp.Diff(h2c.Stats{
			Upgraded: 2, PriorKnowledge: 1,
			Declined: map[h2c.Reason]int64{h2c.ReasonForwarded: 1},
			Failed:   map[h2c.Reason]int64{h2c.ReasonPrefaceInvalid: 1},
		}, stats); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
	for _, want := range []string{"level=INFO msg=\"h2c: declined\"", "reason=forwarded", "level=WARN msg=\"h2c: failed\" via=upgrade remote=client-2 reason=preface_invalid"} {
		if !strings.Contains(logged.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, logged.String())
		}
	}
}

// httptestServer starts an httptest.Server that the library was put into.
func httptestServer(t *testing.T, role role, handler http.Handler) (*httptest.Server, *h2c.Server) {
	ts, s := httptest.NewUnstartedServer(handler), new(h2c.Server)
	if role == configured {
		if err := h2c.ConfigureServer(ts.Config, s); err != nil {
			t.Fatal(err)
		}
	} else {
		ts.Config.Handler = h2c.NewHandler(ts.Config.Handler, s)
	}
	ts.Start()
	return ts, s
}

// httptest.Server follows connections by ConnState, and closes idle ones.
func TestHTTPTestServer(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts, s := httptestServer(t, role, http.HandlerFunc(see))
		addr := ts.Listener.Addr().String()
		c := dialTCP(t, addr)
		c.upgradeTo("/")
		c.preface()
		c.response(1)
		c2 := dialTCP(t, addr)
		c2.preface()
		c2.request(1, "/")
		c2.response(1)
		start := time.Now()
		ts.Close()
		if took := time.Since(start); took > 4*time.Second {
			t.Errorf("Close took %v", took)
		}
		c.wantClosed()
		c2.wantClosed()
		eventually(t, "no connection left", func() bool { return s.Stats().Active == 0 })
	})
}

// U-02: over TLS an offer is declined, and HTTP/2 is what ALPN says.
func TestUpgrade_U02_tls(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, " ", h2c.RequestVia(r), r.Header["Http2-Settings"])
		}))
		s := new(h2c.Server)
		if role == configured {
			if err := h2c.ConfigureServer(ts.Config, s); err != nil {
				t.Fatal(err)
			}
		} else {
			ts.Config.Handler = h2c.NewHandler(ts.Config.Handler, s)
		}
		ts.EnableHTTP2 = true
		ts.StartTLS()
		defer ts.Close()

		get := func(client *http.Client, header http.Header) string {
			req, _ := http.NewRequest("GET", ts.URL, nil)
			req.Header = header
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return string(body)
		}
		if got := get(ts.Client(), http.Header{}); got != "HTTP/2.0 []" {
			t.Errorf("ALPN: %q", got)
		}
		h1 := &http.Client{Transport: &http.Transport{
			TLSClientConfig: ts.Client().Transport.(*http.Transport).TLSClientConfig.Clone(),
			Protocols:       new(http.Protocols),
		}}
		h1.Transport.(*http.Transport).Protocols.SetHTTP1(true)
		h1.Transport.(*http.Transport).TLSClientConfig.NextProtos = nil
		defer h1.CloseIdleConnections()
		offer := http.Header{"Connection": {"Upgrade, HTTP2-Settings"}, "Upgrade": {"h2c"}, "HTTP2-Settings": {settingsValue}}
		if got := get(h1, offer); got != "HTTP/1.1 http/1.1[]" {
			t.Errorf("offer: %q", got)
		}
		got := s.Stats()
		if got.Declined[h2c.ReasonTLS] != 1 || got.PriorKnowledge != 0 || got.Active != 0 {
			t.Errorf("stats %+v", got)
		}
	})
}

// Where net/http is told not to speak HTTP/2, the first offer finds out, and is answered;
// later ones are declined.
func TestWithoutHTTP2(t *testing.T) {
	t.Setenv("GODEBUG", "http2server=0")
	eachHandlerRole(t, func(t *testing.T, role role) {
		if !netHTTP {
			return
		}
		ts := serve(t, role, text("ok"))
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
		c.want1(503)
		c = ts.dial()
		for range 2 {
			c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
			if _, body := c.want1(200); body != "ok" {
				t.Errorf("got %q", body)
			}
		}
		ts.wantDeclined(h2c.ReasonDisabled, 2)
	})
}

// A hook that closes a connection as it is handed over refuses that one, and no other.
func TestConnStateCloses(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		var refuse atomic.Bool
		ts := serve(t, role, text("ok"), withHTTP(func(hs *http.Server) {
			hs.ConnState = func(nc net.Conn, state http.ConnState) {
				if _, ok := nc.(interface{ NetConn() net.Conn }); ok && state == http.StateNew && refuse.Load() {
					nc.Close()
				}
			}
		}))
		for _, refused := range []bool{true, false, true, false} {
			refuse.Store(refused)
			c := ts.dial()
			if !refused {
				c.upgradeTo("/")
				c.preface()
				if r := c.response(1); r.Body != "ok" {
					t.Errorf("got %+v", r)
				}
				continue
			}
			c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
			c.want1(503)
		}
	})
}
