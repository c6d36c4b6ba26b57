package h2c_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
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

// What HTTP/1.1 can carry and HTTP/2 cannot is handled once, whatever the origin speaks.
func TestClient_C03_onlyHTTP1Carries(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"Opaque": func(r *http.Request) { r.URL.Opaque = "//other.example/x" },
		"Host":   func(r *http.Request) { r.Host = "/var/run/app.sock" },
		"URL.Host": func(r *http.Request) {
			r.URL, r.Host = &url.URL{Scheme: "http", Host: "/var/run/app.sock", Path: "/x"}, ""
		},
		"Transfer-Encoding": func(r *http.Request) { r.Header.Set("Transfer-Encoding", "identity") },
	} {
		t.Run(name, func(t *testing.T) {
			var handled atomic.Int64
			ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handled.Add(1) }))
			tr := transport(t, ts.l, new(h2c.Transport))
			send := func() {
				t.Helper()
				for _, method := range []string{"GET", "POST"} {
					handled.Store(0)
					req, _ := http.NewRequest(method, "http://example.com/", nil)
					change(req)
					resp, err := tr.RoundTrip(req)
					if err != nil {
						t.Fatal(err)
					}
					resp.Body.Close()
					if resp.ProtoMajor != 1 || handled.Load() != 1 || resp.Request != req {
						t.Errorf("%s: %s, handled %d times", method, resp.Proto, handled.Load())
					}
				}
			}
			send()
			fetch(t, tr, "GET", "/", "") // there is HTTP/2 now
			send()
		})
	}
}

// A target in absolute form is that of its path where it names the same host.
func TestClient_opaqueOfItsHost(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.RequestURI) }))
	tr := transport(t, ts.l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	req.URL.Opaque = "//example.com/a%2Fb"
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); !strings.HasSuffix(string(b), "/a%2Fb") || resp.ProtoMajor != 2 {
		t.Errorf("got %s %q", resp.Proto, b)
	}
}

// Proxy is asked for the requests of the user, and for no other.
func TestClient_C01_proxyOfOptions(t *testing.T) {
	l := peers(t, func(p *peer) {
		for {
			req, _, err := p.request()
			if err != nil {
				return
			}
			if req.URL.IsAbs() {
				t.Errorf("%s %s sent to the proxy", req.Method, req.RequestURI)
			}
			p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
		}
	})
	asked := 0
	tr := transport(t, l, &h2c.Transport{Base: &http.Transport{Proxy: func(r *http.Request) (*url.URL, error) {
		if asked++; r.Method == "POST" {
			return nil, nil
		}
		return &url.URL{Scheme: "http", Host: "proxy.example:3128"}, nil
	}}})
	if got := fetch(t, tr, "POST", "/", "body"); got != "HTTP/1.1 200 ok" || asked != 1 {
		t.Errorf("got %q, Proxy asked %d times", got, asked)
	}
}

// A body that does not end holds nobody up: neither that of the "OPTIONS /", nor that of an
// error in answer to the offer.
func TestClient_C10_endlessAnswer(t *testing.T) {
	for name, begin := range map[string]string{
		"declined": "HTTP/1.1 200 OK\nContent-Length: 100\n\nhalf",
		"rejected": "HTTP/1.1 500 No\nContent-Length: 100\n\nhalf",
		"gzip":     "HTTP/1.1 500 No\nContent-Encoding: gzip\nContent-Length: 100\n\n\x1f\x8b",
		"accepted": wantSwitching,
	} {
		for _, method := range []string{"GET", "POST"} {
			if method == "GET" && name != "rejected" && name != "gzip" {
				continue // the body is that of the request's own response
			}
			synctest.Test(t, func(t *testing.T) {
				l := peers(t, func(p *peer) {
					for {
						req, _, err := p.request()
						switch {
						case err != nil:
							return
						case req.Header.Get("Upgrade") == "":
							p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
							continue
						}
						p.send(begin)
						if begin == wantSwitching {
							p.frames(func(fr *http2.Framer) {
								fr.WriteSettings()
								fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x88}, EndHeaders: true})
								fr.WriteData(1, false, []byte("half"))
							})
							if p.preface() == nil {
								p.serveStreams()
							}
							return
						}
					}
				})
				tr := transport(t, l, new(h2c.Transport))
				start := time.Now()
				body := ""
				if method == "POST" {
					body = "body"
				}
				if got := fetch(t, tr, method, "/", body); !strings.HasSuffix(got, " 200 ok") {
					t.Errorf("%s, %s: %q", name, method, got)
				}
				if took := time.Since(start); took > 100*time.Millisecond {
					t.Errorf("%s, %s: took %v", name, method, took)
				}
				tr.Close()
				time.Sleep(time.Hour)
			})
		}
	}
}

// A short one is read, and the connection serves the request, too.
func TestClient_C10_shortAnswer(t *testing.T) {
	for _, status := range []string{"404 Not Found", "500 No"} {
		for _, method := range []string{"GET", "POST"} {
			var conns atomic.Int64
			l := peers(t, func(p *peer) {
				conns.Add(1)
				for {
					if _, _, err := p.request(); err != nil {
						return
					}
					p.send("HTTP/1.1 " + status + "\nContent-Length: 4\n\nnone")
				}
			})
			fetch(t, transport(t, l, new(h2c.Transport)), method, "/", map[string]string{"POST": "body"}[method])
			if n := conns.Load(); n != 1 {
				t.Errorf("%s, %s: %d connections", method, status, n)
			}
		}
	}
}

// brokenBody is a body that fails in the middle.
type brokenBody struct{ closed atomic.Int64 }

var errBody = errors.New("disk error")

func (b *brokenBody) Read(p []byte) (int, error) { return copy(p, "ab"), errBody }
func (b *brokenBody) Close() error               { b.closed.Add(1); return nil }

// A body that cannot be read says nothing of the origin, to which it is not offered.
func TestClient_C10_brokenBody(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, &h2c.Transport{MaxUpgradeBodyBytes: 1000})
	body := new(brokenBody)
	req, _ := http.NewRequest("POST", "http://example.com/", body)
	req.ContentLength = 10
	req.GetBody = func() (io.ReadCloser, error) { return body, nil }
	if _, err := tr.RoundTrip(req); !errors.Is(err, errBody) || body.closed.Load() == 0 {
		t.Errorf("got %v, closed %d times", err, body.closed.Load())
	}
	if got := fetch(t, tr, "GET", "/", ""); !strings.HasPrefix(got, "HTTP/2.0 200") {
		t.Errorf("got %q", got)
	}
}

// A body is read into memory for an offer alone, and no longer than the caller waits.
func TestClient_C13_slowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			if !p.offer() {
				return
			}
			p.frames(func(fr *http2.Framer) { fr.WriteSettings(); answer(fr, 1, "ok") })
			if p.preface() == nil {
				p.serveStreams() // answers before the body has come
			}
		})
		tr := transport(t, l, &h2c.Transport{MaxUpgradeBodyBytes: 1000})
		send := func() (*http.Response, error) {
			pr, pw := io.Pipe()
			defer pw.Close()
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", "http://example.com/", pr)
			req.ContentLength = 10
			return tr.RoundTrip(req)
		}
		if _, err := send(); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		fetch(t, tr, "GET", "/", "")
		resp, err := send()
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		tr.Close()
		time.Sleep(time.Hour)
	})
}

// A server that is gone for a moment has not rejected anything.
func TestClient_C14_redialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			for answered := false; ; answered = true {
				if _, _, err := p.request(); err != nil || answered {
					return
				}
				if p.n > 1 {
					p.send(wantSwitching)
					p.frames(func(fr *http2.Framer) { fr.WriteSettings(); answer(fr, 1, "ok") })
					if p.preface() == nil {
						p.serveStreams()
					}
					return
				}
				p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		tr := transport(t, l, &h2c.Transport{RefusalTTL: time.Minute})
		fetch(t, tr, "GET", "/", "")
		time.Sleep(time.Minute)
		dial := tr.Base.DialContext
		refused := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, refused }
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		if _, err := tr.RoundTrip(req); !errors.Is(err, refused) {
			t.Errorf("got %v", err)
		}
		tr.Base.DialContext = dial
		if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/2.0 200 ok" {
			t.Errorf("got %q", got)
		}
		tr.Close()
		time.Sleep(time.Hour)
	})
}

var errWrite = errors.New("broken pipe")

// failingConn fails from the Nth Write on.
type failingConn struct {
	net.Conn
	left int
}

func (c *failingConn) Write(p []byte) (int, error) {
	if c.left--; c.left <= 0 {
		time.Sleep(time.Second)
		return 0, errWrite
	}
	return c.Conn.Write(p)
}

// No frame follows a request of which the rest could not be sent, though the 101 is there.
func TestClient_C02_requestBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rest := make(chan string, 1)
		l := peers(t, func(p *peer) {
			if _, err := http.ReadRequest(p.br); err != nil {
				return
			}
			p.send(wantSwitching)
			b, _ := io.ReadAll(p.br)
			rest <- string(b)
		})
		tr := transport(t, l, &h2c.Transport{MaxUpgradeBodyBytes: 1 << 20})
		dial := tr.Base.DialContext
		tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			nc, err := dial(ctx, network, addr)
			return &failingConn{nc, 2}, err
		}
		req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader(strings.Repeat("x", 100_000)))
		if _, err := tr.RoundTrip(req); err == nil || !strings.Contains(err.Error(), errWrite.Error()) {
			t.Errorf("got %v", err)
		}
		if b := <-rest; strings.Contains(b, "PRI") {
			t.Errorf("the server read %q as the body", b[max(0, len(b)-100):])
		}
		if got := tr.Stats(); got.Upgraded != 0 {
			t.Errorf("%+v", got)
		}
		tr.Close()
		time.Sleep(time.Hour)
	})
}

// What breaks after the 101 is asked again without the offer, once, if that is allowed; and
// so is what says nothing after it.
func TestClient_C14_switchBreaks(t *testing.T) {
	for name, then := range map[string]func(*peer){
		"close":         func(p *peer) { p.preface() },
		"close at once": func(p *peer) {},
		"error": func(p *peer) {
			p.frames(func(fr *http2.Framer) { fr.WriteSettings(); fr.WriteGoAway(0, http2.ErrCodeProtocol, nil) })
		},
		"HTTP/1.1": func(p *peer) { p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok") },
		"silence":  func(p *peer) { io.Copy(io.Discard, p.br) },
	} {
		synctest.Test(t, func(t *testing.T) {
			var handled atomic.Int64
			l := peers(t, func(p *peer) {
				for {
					req, _, err := p.request()
					if err != nil {
						return
					}
					handled.Add(1)
					if req.Header.Get("Upgrade") != "" {
						p.send(wantSwitching)
						then(p)
						return
					}
					p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			for _, want := range []int64{2, 3} {
				if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/1.1 200 ok" || handled.Load() != want {
					t.Errorf("%s: got %q, handled %d times, want %d", name, got, handled.Load(), want)
				}
			}
			if got := tr.Stats(); got.Declined[h2c.ReasonRejected] != 1 || got.Active != 0 {
				t.Errorf("%s: %+v", name, got)
			}
			tr.Close()

			tr = transport(t, l, new(h2c.Transport))
			handled.Store(0)
			req, _ := http.NewRequest("DELETE", "http://example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != h2c.ReasonRejected || handled.Load() != 1 {
				t.Errorf("%s: DELETE: %v, handled %d times", name, err, handled.Load())
			}
			tr.Close()
			time.Sleep(time.Hour)
		})
	}
}

// Request.Cancel ends the wait, and is not taken for an answer.
func TestClient_C13_requestCancel(t *testing.T) {
	for name, script := range map[string]func(*peer){
		"before the 101": func(p *peer) { p.request() },
		"after the 101":  func(p *peer) { p.offer() },
		"stream 1": func(p *peer) {
			if p.offer() {
				p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			}
		},
	} {
		for _, method := range []string{"GET", "POST"} {
			synctest.Test(t, func(t *testing.T) {
				l := peers(t, func(p *peer) {
					script(p)
					io.Copy(io.Discard, p.br)
				})
				tr := transport(t, l, new(h2c.Transport))
				var body io.Reader
				if method == "POST" {
					body = strings.NewReader("body")
				}
				req, _ := http.NewRequest(method, "http://example.com/", body)
				cancel := make(chan struct{})
				req.Cancel = cancel //lint:ignore SA1019 net/http honours it
				time.AfterFunc(time.Second, func() { close(cancel) })
				start := time.Now()
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						resp, err := tr.RoundTrip(req.Clone(context.Background()))
						if err == nil {
							resp.Body.Close()
						}
						if got := tr.Stats(); err == nil || time.Since(start) != time.Second || got.Declined != nil {
							t.Errorf("%s, %s: %v after %v, %+v", name, method, err, time.Since(start), got)
						}
					})
				}
				wg.Wait()
				tr.Close()
				time.Sleep(time.Hour)
			})
		}
	}
}

// The client preface waits for a server that does not read, but not for longer than the caller.
func TestClient_C13_unbuffered(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			tr := &h2c.Transport{Mode: mode, HandshakeTimeout: -1, Base: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					nc, server := net.Pipe()
					if mode == h2c.ModeAuto {
						go func() {
							http.ReadRequest(bufio.NewReader(server))
							io.WriteString(server, crlf(wantSwitching))
						}()
					}
					return nc, nil
				},
			}}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			start := time.Now()
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
			}
			if got := tr.Stats(); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second || got.Declined != nil || got.Failed != nil {
				t.Errorf("mode %d: %v after %v, %+v", mode, err, time.Since(start), got)
			}
			tr.Close()
			time.Sleep(time.Hour)
		})
	}
}

// An error of the request's own says nothing of the server, though it has not answered yet.
func TestClient_C09_localError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			time.Sleep(time.Second)
			p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			if p.preface() == nil {
				p.serveStreams()
			}
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		body := new(brokenBody)
		req, _ := http.NewRequest("POST", "http://example.com/", body)
		if _, err := tr.RoundTrip(req); !errors.Is(err, errBody) {
			t.Errorf("got %v", err)
		}
		if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/2.0 200 ok" {
			t.Errorf("got %q", got)
		}
		if got := tr.Stats(); got.Failed != nil {
			t.Errorf("%+v", got)
		}
		tr.Close()
		time.Sleep(time.Hour)
	})
}

func TestClient_C09_timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) })
		for _, timeout := range []time.Duration{0, time.Second} {
			tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge, Base: &http.Transport{ResponseHeaderTimeout: timeout}})
			resp, err := (&http.Client{Transport: tr}).Get("http://example.com/")
			if err == nil {
				resp.Body.Close()
			}
			if timed, ok := err.(interface{ Timeout() bool }); !ok || !timed.Timeout() {
				t.Errorf("ResponseHeaderTimeout %v: %v is no timeout", timeout, err)
			}
			tr.Close()
		}
		if (&h2c.HandshakeError{}).Timeout() {
			t.Error("an error without a cause is a timeout")
		}
		time.Sleep(time.Hour)
	})
}

// A server that does not answer "OPTIONS /" holds one request up, for HandshakeTimeout.
func TestClient_C14_optionsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			for {
				req, _, err := p.request()
				if err != nil {
					return
				}
				if req.Header.Get("Upgrade") != "" {
					io.Copy(io.Discard, p.br)
					return
				}
				p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		tr := transport(t, l, &h2c.Transport{HandshakeTimeout: 2 * time.Second})
		start := time.Now()
		for range 3 {
			if got := fetch(t, tr, "POST", "/", "body"); got != "HTTP/1.1 200 ok" || time.Since(start) != 2*time.Second {
				t.Errorf("got %q after %v", got, time.Since(start))
			}
		}
		if got := tr.Stats(); got.Declined[h2c.ReasonRejected] != 1 {
			t.Errorf("%+v", got)
		}
		tr.Close()
		time.Sleep(time.Hour)
	})
}

// The time that dialing takes is not the server's.
func TestClient_C14_slowDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, via)
		tr := transport(t, ts.l, &h2c.Transport{HandshakeTimeout: time.Second})
		dial := tr.Base.DialContext
		tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return dial(ctx, network, addr)
		}
		if got := fetch(t, tr, "POST", "/", "body"); !strings.HasPrefix(got, "HTTP/2.0 200") {
			t.Errorf("got %q", got)
		}
		tr.Close()
		ts.hs.Close()
		time.Sleep(time.Hour)
	})
}

// A slow answer to the offer holds others up once, not each of them.
func TestClient_slowOfferOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			for {
				req, _, err := p.request()
				if err != nil {
					return
				}
				if req.URL.Path == "/poll" {
					time.Sleep(5 * time.Minute)
				}
				p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		tr := transport(t, l, &h2c.Transport{HandshakeTimeout: 2 * time.Second})
		start := time.Now()
		go fetch(t, tr, "GET", "/poll", "")
		synctest.Wait()
		for range 3 {
			fetch(t, tr, "GET", "/", "")
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Hour)
		tr.Close()
	})
}

// The fields of the offer come once, whatever fields the user has set.
func TestClient_C01_fieldsOfUser(t *testing.T) {
	for name, tt := range map[string]struct {
		header                        http.Header
		connection, upgrade, settings int
	}{
		"HTTP2-Settings":         {http.Header{"Http2-Settings": {"AAMAAABk"}, "http2-settings": {"AAMAAABk"}}, 1, 1, 1},
		"upgrade and connection": {http.Header{"upgrade": {"websocket"}, "connection": {"Upgrade"}}, 1, 1, 0},
		"connection":             {http.Header{"connection": {"close"}}, 1, 0, 0},
	} {
		heads := make(chan string, 1)
		l := peers(t, func(p *peer) {
			var head bytes.Buffer
			p.br = bufio.NewReader(io.TeeReader(p.nc, &head))
			if _, _, err := p.request(); err != nil {
				return
			}
			heads <- strings.ToLower(head.String())
			p.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
		})
		tr := transport(t, l, new(h2c.Transport))
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		req.Header = tt.header
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		head := <-heads
		for field, want := range map[string]int{"connection": tt.connection, "upgrade": tt.upgrade, "http2-settings": tt.settings} {
			if n := strings.Count(head, "\r\n"+field+": "); n != want {
				t.Errorf("%s: %d lines of %s, want %d", name, n, field, want)
			}
		}
	}
}

// A request that is not valid is not sent, and its body closed.
func TestClient_invalidRequest(t *testing.T) {
	ts := serve(t, configured, via)
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		tr := transport(t, ts.l, &h2c.Transport{Mode: mode})
		for range 2 { // without a connection, and with one
			for name, change := range map[string]func(*http.Request){
				"field":   func(r *http.Request) { r.Header.Set("X", "a\nb") },
				"name":    func(r *http.Request) { r.Header["a b"] = []string{"x"} },
				"trailer": func(r *http.Request) { r.Trailer = http.Header{"X": {"a\nb"}} },
				"method":  func(r *http.Request) { r.Method = "a b" },
			} {
				body := new(brokenBody)
				req, _ := http.NewRequest("POST", "http://example.com/", body)
				change(req)
				_, err := tr.RoundTrip(req)
				if err == nil || errors.Is(err, errBody) || body.closed.Load() == 0 {
					t.Errorf("mode %d, invalid %s: %v, body closed %d times", mode, name, err, body.closed.Load())
				}
			}
			fetch(t, tr, "GET", "/", "")
		}
		if got := tr.Stats(); got.Failed != nil || got.Active != 1 {
			t.Errorf("mode %d: %+v", mode, got)
		}
	}
}

// A dial that ignores the context holds nobody up, and what it returns is closed.
func TestClient_C13_dialIgnoresContext(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			var other net.Conn
			tr := &h2c.Transport{Mode: mode, Base: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					time.Sleep(time.Minute)
					var mine net.Conn
					mine, other = net.Pipe()
					return mine, nil
				},
			}}
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			start := time.Now()
			if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("mode %d: %v after %v", mode, err, time.Since(start))
			}
			time.Sleep(time.Minute)
			tr.CloseIdleConnections()
			if _, err := other.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("mode %d: connection: %v", mode, err)
			}
			tr.Close()
			time.Sleep(time.Hour)
		})
	}
}

// endlessConn fails to write, has no deadlines, and its Read does not end before Close.
type endlessConn struct{ net.Conn }

func (endlessConn) Write([]byte) (int, error)       { return 0, errWrite }
func (endlessConn) SetReadDeadline(time.Time) error { return errors.ErrUnsupported }

func TestClient_C13_noDeadlines(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) })
			tr := transport(t, l, &h2c.Transport{Mode: mode, HandshakeTimeout: -1})
			dial := tr.Base.DialContext
			tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := dial(ctx, network, addr)
				return endlessConn{nc}, err
			}
			start := time.Now()
			req, _ := http.NewRequest("POST", "http://example.com/", nil)
			if _, err := tr.RoundTrip(req); err == nil || time.Since(start) > time.Second {
				t.Errorf("mode %d: %v after %v", mode, err, time.Since(start))
			}
			tr.Close()
			time.Sleep(time.Hour)
		})
	}
}

// DialContext gets the address as it was written; it is one origin, however it was.
func TestClient_dialAddr(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		ts := serve(t, configured, via)
		tr := transport(t, ts.l, &h2c.Transport{Mode: mode})
		var addrs []string
		dial := tr.Base.DialContext
		tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			addrs = append(addrs, addr)
			return dial(ctx, network, addr)
		}
		for _, host := range []string{"ExAmple.com", "example.com:80"} {
			resp, err := (&http.Client{Transport: tr}).Get("http://" + host + "/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		if diff := cmp.Diff([]string{"ExAmple.com:80"}, addrs); diff != "" {
			t.Errorf("mode %d: (-want +got)\n%s", mode, diff)
		}
	}
}

func TestClient_C13_cancelWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) })
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge, HandshakeTimeout: -1})
		dial := tr.Base.DialContext
		tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			time.Sleep(time.Minute)
			return dial(ctx, network, addr)
		}
		ctx, giveUp := context.WithTimeout(context.Background(), 2*time.Minute)
		defer giveUp()
		first, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
		go tr.RoundTrip(first)
		synctest.Wait()
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		cancel := make(chan struct{})
		req.Cancel = cancel //lint:ignore SA1019 net/http honours it
		time.AfterFunc(time.Second, func() { close(cancel) })
		start := time.Now()
		if _, err := tr.RoundTrip(req); err == nil || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		time.Sleep(time.Hour)
		tr.Close()
	})
}
