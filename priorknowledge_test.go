package h2c_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// serveTCP is serve on a socket, for what depends on one.
func serveTCP(t *testing.T, role role, handler http.Handler, options ...option) (*server, string) {
	t.Helper()
	ts := serve(t, role, handler, options...)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	http1 := l
	if role == split {
		http1 = ts.split(l)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ts.hs.Serve(http1)
	}()
	t.Cleanup(func() {
		http1.Close()
		<-done
	})
	return ts, l.Addr().String()
}

func dialTCP(t *testing.T, addr string) *client {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, nc)
}

func TestPriorKnowledge_P01_anySplit(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		var script bytes.Buffer
		script.WriteString(http2.ClientPreface)
		http2.NewFramer(&script, nil).WriteSettings()
		all := script.Bytes()
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, text("hello"))
			for i := range all {
				c := ts.dial()
				c.nc.Write(all[:i])
				time.Sleep(time.Millisecond)
				c.nc.Write(all[i:])
				c.prefaced = true
				c.request(1, "/")
				if r := c.response(1); r.Body != "hello" {
					t.Errorf("split at %d: %+v", i, r)
				}
				c.nc.Close()
			}
			synctest.Wait()
			if got := ts.s.Stats(); got.PriorKnowledge != int64(len(all)) || got.Active != 0 {
				t.Errorf("stats %+v", got)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			c := serve(t, role, text("hello"), withNetwork(memnet.Options{MaxRead: 1})).dial()
			c.preface()
			c.request(1, "/")
			if r := c.response(1); r.Body != "hello" {
				t.Errorf("an octet at a time: %+v", r)
			}
		})
	})
}

// Silence after a part of the preface. Under NewHandler, the first 18 octets are a request
// that net/http waits for, with its own timeout.
func TestPriorKnowledge_P02_halfPreface(t *testing.T) {
	const timeout = 200 * time.Millisecond
	eachRole(t, func(t *testing.T, role role) {
		ts, addr := serveTCP(t, role, text("x"), withH2C(&h2c.Server{HandshakeTimeout: timeout}))
		first := 1
		if role == wrapped {
			first = len("PRI * HTTP/2.0\r\n\r\n")
		}
		start := time.Now()
		var clients []*client
		for n := first; n < len(http2.ClientPreface); n++ {
			c := dialTCP(t, addr)
			io.WriteString(c.nc, http2.ClientPreface[:n])
			clients = append(clients, c)
		}
		for _, c := range clients {
			c.wantClosed()
		}
		if took := time.Since(start); took < timeout/2 || took > 10*time.Second {
			t.Errorf("closed after %v, want %v", took, timeout)
		}
		ts.wantFailed(h2c.ReasonPrefaceTimeout, int64(len(clients)))
		ts.hs.Close() // whoever has half a preface is through with it
		time.Sleep(10 * time.Millisecond)
		if failed := ts.s.Stats().Failed; len(failed) != 1 {
			t.Errorf("counted more than once: %v", failed)
		}
	})
}

// A preface that comes slowly is bounded as a whole.
func TestPriorKnowledge_P02_slowPreface(t *testing.T) {
	ts, addr := serveTCP(t, configured, text("x"), withH2C(&h2c.Server{HandshakeTimeout: 300 * time.Millisecond}))
	c := dialTCP(t, addr)
	for _, b := range []byte(http2.ClientPreface[:23]) {
		if _, err := c.nc.Write([]byte{b}); err != nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	c.wantClosed()
	ts.wantFailed(h2c.ReasonPrefaceTimeout, 1)
}

// HTTP/1.1 clients that are slow, or silent at first, are not touched by the bound, nor are
// those whose first octets could begin a preface.
func TestPriorKnowledge_P02_slowHTTP1(t *testing.T) {
	ts, addr := serveTCP(t, configured, http.HandlerFunc(see), withH2C(&h2c.Server{HandshakeTimeout: 50 * time.Millisecond}))
	for _, parts := range [][]string{
		{"", "GET / HTTP/1.1\nHost: h\n\n"},
		{"GET / HT", "TP/1.1\nHost: h\n\n"},
		{"PUT / HTTP/1.1\nHost: h\n", "\n"},
		{"PRI * HTTP/1.1\nHost: h\n", "\n"},
	} {
		c := dialTCP(t, addr)
		c.send(parts[0])
		time.Sleep(200 * time.Millisecond)
		c.send(parts[1])
		c.want1(200)
		time.Sleep(100 * time.Millisecond)
		c.send("GET / HTTP/1.1\nHost: h\n\n")
		c.want1(200)
	}
	if got := ts.s.Stats(); len(got.Failed) > 0 {
		t.Errorf("stats %+v", got)
	}
}

// Where the octets cannot be seen, the bound holds for the first request of any kind.
func TestPriorKnowledge_P02_noSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, text("x"))
		c := ts.dial()
		io.WriteString(c.nc, http2.ClientPreface[:20])
		start := time.Now()
		c.wantClosed()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("closed after %v, want 10s", took)
		}
		synctest.Wait()
		ts.wantFailed(h2c.ReasonPrefaceTimeout, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, text("x"), withH2C(&h2c.Server{HandshakeTimeout: -1}))
		c := ts.dial()
		io.WriteString(c.nc, http2.ClientPreface[:20])
		c.nc.SetDeadline(time.Time{})
		time.Sleep(time.Hour)
		io.WriteString(c.nc, http2.ClientPreface[20:])
		c.fr.WriteSettings()
		c.prefaced = true
		c.request(1, "/")
		if r := c.response(1); r.Body != "x" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestPriorKnowledge_P03_wrongRest(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		for at := len("PRI * HTTP/2.0\r\n\r\n"); at < len(http2.ClientPreface); at++ {
			var served atomic.Bool
			ts := serve(t, role, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Store(true) }))
			c := ts.dial()
			preface := []byte(http2.ClientPreface)
			preface[at] = 'x'
			c.nc.Write(preface)
			c.wantClosed()
			ts.wantFailed(h2c.ReasonPrefaceInvalid, 1)
			if served.Load() {
				t.Errorf("octet %d wrong: the handler ran", at)
			}
		}
	})
}

func TestPriorKnowledge_P04_switchedOff(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		var served atomic.Int64
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			served.Add(1)
			io.WriteString(w, r.Proto)
		})
		t.Run("prior knowledge", func(t *testing.T) {
			ts := serve(t, role, handler, withH2C(&h2c.Server{DisablePriorKnowledge: true}))
			if resp, err := ts.httpClient(true).Get("http://h/"); err == nil {
				resp.Body.Close()
				t.Errorf("prior knowledge: %v", resp.Status)
			}
			c := ts.dial()
			go c.nc.Write(benchDirect) // may not all be taken
			c.wantClosed()
			if n := served.Load(); n != 0 {
				t.Errorf("%d requests served", n)
			}
			c = ts.dial()
			c.send("GET / HTTP/1.1\nHost: h\n\n")
			if _, body := c.want1(200); body != "HTTP/1.1" {
				t.Errorf("got %q", body)
			}
			c.upgradeTo("/")
			c.preface()
			if r := c.response(1); r.Body != "HTTP/2.0" {
				t.Errorf("got %+v", r)
			}
			got := ts.s.Stats()
			if got.PriorKnowledge != 0 || got.Failed[h2c.ReasonPriorKnowledge] == 0 {
				t.Errorf("stats %+v", got)
			}
		})
		t.Run("upgrade", func(t *testing.T) {
			ts := serve(t, role, http.HandlerFunc(see), withH2C(&h2c.Server{DisableUpgrade: true}))
			c := ts.dial()
			c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
			if _, body := c.want1(200); strings.Contains(body, "Http2-Settings") {
				t.Errorf("handler saw %s", body)
			}
			ts.wantDeclined(h2c.ReasonDisabled, 1)
			if got := ts.get(true); !strings.Contains(got, "HTTP/2.0") {
				t.Errorf("prior knowledge: got %s", got)
			}
		})
		t.Run("both", func(t *testing.T) {
			ts := serve(t, role, handler, withH2C(&h2c.Server{DisableUpgrade: true, DisablePriorKnowledge: true}))
			c := ts.dial()
			c.preface()
			c.wantClosed()
			if got := ts.get(false); got != "HTTP/1.1" {
				t.Errorf("got %s", got)
			}
		})
	})
}

func TestPriorKnowledge_P06_laterRequest(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		var served atomic.Int64
		ts, addr := serveTCP(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			served.Add(1)
			if r.ProtoMajor != 1 {
				t.Errorf("served %s %s", r.Proto, r.URL)
			}
		}))
		for range 2 {
			c := dialTCP(t, addr)
			c.send("GET / HTTP/1.1\nHost: h\n\n")
			c.want1(200)
			io.WriteString(c.nc, http2.ClientPreface)
			c.want1(400)
			c.wantClosed()
		}
		c := dialTCP(t, addr) // another connection is another matter
		c.preface()
		ts.wantFailed(h2c.ReasonPrefaceLate, 2)
		if n := served.Load(); n != 2 {
			t.Errorf("%d requests served, want 2", n)
		}
	})
}

// A stream whose method is PRI is a request like no other, not a preface.
func TestPriorKnowledge_methodPRIOverHTTP2(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, text("x"))
		c := ts.dial()
		c.preface()
		c.request(1, "/")
		c.response(1)
		c.requestFields(3, ":method", "PRI", ":scheme", "http", ":path", "*")
		if r := c.response(3); r.Status < "400" && !r.Cut {
			t.Errorf("got %+v", r)
		}
		c.request(5, "/")
		if r := c.response(5); r.Status != "200" {
			t.Errorf("the connection did not survive: %+v", r)
		}
		c = ts.dial()
		c.upgradeTo("/")
		c.preface()
		c.requestFields(3, ":method", "PRI", ":scheme", "http", ":path", "*")
		if r := c.responses(1, 3)[3]; r.Status < "400" && !r.Cut {
			t.Errorf("after an upgrade: %+v", r)
		}
		ts.dial().upgradeTo("/") // others still may
	})
}

// Where nothing but HTTP/2 is spoken, whoever does not is told so in HTTP/2, which a Transport
// takes for what it is.
func TestPriorKnowledge_P03_http2Only(t *testing.T) {
	only := withHTTP(func(hs *http.Server) {
		hs.Protocols = new(http.Protocols)
		hs.Protocols.SetUnencryptedHTTP2(true)
	})
	ts, addr := serveTCP(t, configured, http.HandlerFunc(via), only)
	for _, begin := range []string{"GET / HTTP/1.1\nHost: h\n\n", "INVALID CONNECTION PREFACE\n\n", "G", "PRI * HTTP/2.0\n\nSX\n\n"} {
		c := dialTCP(t, addr)
		c.send(begin)
		c.wantClosedAfterGoAway()
		if c.goAway != nil && c.goAway.ErrCode != http2.ErrCodeProtocol {
			t.Errorf("%q: %v", begin, c.goAway)
		}
	}
	ts.wantFailed(h2c.ReasonPrefaceInvalid, 4)

	c := dialTCP(t, addr)
	for _, part := range []string{http2.ClientPreface[:7], http2.ClientPreface[7:]} {
		io.WriteString(c.nc, part)
		time.Sleep(50 * time.Millisecond)
	}
	c.prefaced = true
	c.fr.WriteSettings()
	c.request(1, "/")
	if r := c.response(1); r.Status != "200" {
		t.Errorf("a preface in two parts: %+v", r)
	}

	tr := new(h2c.Transport)
	defer tr.Close()
	resp, err := tr.RoundTrip(httptest.NewRequest("POST", "http://"+addr+"/", nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("a Transport gets %s %s", resp.Proto, resp.Status)
	}
}

// A client that leaves before it was sent anything has broken no handshake.
func TestPriorKnowledge_P04_leavesEarly(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, text("x"))
		for range 50 {
			c := ts.dial()
			c.preface()
			c.nc.Close()
		}
		eventually(t, "all have ended", func() bool {
			got := ts.s.Stats()
			return (role == configured || got.PriorKnowledge == 50) && got.Active == 0
		})
		if got := ts.s.Stats().Failed; len(got) > 0 {
			t.Errorf("failed: %v", got)
		}
	})
}
