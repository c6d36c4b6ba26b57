package h2c_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

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
	var conns atomic.Int64
	l := peers(t, func(p *peer) {
		conns.Add(1)
		for {
			if _, _, err := p.request(); err != nil {
				return
			}
			p.send("HTTP/1.1 404 Not Found\nContent-Length: 4\n\nnone")
		}
	})
	fetch(t, transport(t, l, new(h2c.Transport)), "POST", "/", "body")
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
