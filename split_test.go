package h2c_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A parted listener is one under Split, whose sides a test serves as it likes.
type parted struct {
	t            *testing.T
	s            *h2c.Server
	l            *memnet.Listener // nil if it is of another kind
	http2, http1 net.Listener
}

func part(t *testing.T, s *h2c.Server, options ...memnet.Options) *parted {
	t.Helper()
	l := memnet.Listen(append(options, memnet.Options{})[0])
	p := partListener(t, s, l)
	p.l = l
	return p
}

func partListener(t *testing.T, s *h2c.Server, l net.Listener) *parted {
	t.Helper()
	p := &parted{t: t, s: s}
	p.http2, p.http1 = s.Split(l)
	t.Cleanup(func() { s.Close() })
	return p
}

// serveHTTP2 serves what speaks HTTP/2 with net/http.
func (p *parted) serveHTTP2(handler http.Handler) *http.Server {
	hs := &http.Server{Handler: handler, Protocols: new(http.Protocols)}
	hs.Protocols.SetUnencryptedHTTP2(true)
	return p.serve(hs, p.http2)
}

// serveHTTP1 serves the rest with net/http and NewHandler.
func (p *parted) serveHTTP1(handler http.Handler) *http.Server {
	return p.serve(&http.Server{Handler: h2c.NewHandler(handler, p.s)}, p.http1)
}

func (p *parted) serve(hs *http.Server, l net.Listener) *http.Server {
	hs.ErrorLog = log.New(io.Discard, "", 0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		hs.Serve(l)
	}()
	p.t.Cleanup(func() {
		hs.Close()
		<-done
	})
	return hs
}

// serveBoth has each side answer with what it is.
func (p *parted) serveBoth() *parted {
	p.serveHTTP2(text("behind http2"))
	p.serveHTTP1(text("behind http1"))
	return p
}

func (p *parted) dial() *client {
	p.t.Helper()
	nc, err := p.l.Dial()
	if err != nil {
		p.t.Fatal(err)
	}
	return newClient(p.t, nc)
}

// wantHTTP2 expects the answer of the server behind http2 on a stream.
func (c *client) wantHTTP2(stream uint32) {
	c.t.Helper()
	if r := c.response(stream); r.Body != "behind http2" {
		c.t.Errorf("stream %d: got %+v, want the answer of the server behind http2", stream, r)
	}
}

func (c *client) wantHTTP1() {
	c.t.Helper()
	if _, body := c.want1(200); body != "behind http1" {
		c.t.Errorf("got %q, want the answer of the server behind http1", body)
	}
}

const (
	plainRequest = "GET / HTTP/1.1\nHost: h\n\n"
	offerRequest = "GET / HTTP/1.1\nHost: h\n" + offerFields + "\n"
)

func bigField(n int) string { return "X-Big: " + strings.Repeat("x", n) + "\n" }

// limited is like netutil.LimitListener: what it yields is a type of its own.
type limited struct {
	net.Listener
	sem chan struct{}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (l limited) Accept() (net.Conn, error) {
	l.sem <- struct{}{}
	nc, err := l.Listener.Accept()
	if err != nil {
		<-l.sem
		return nil, err
	}
	return limitedConn{nc, sync.OnceFunc(func() { <-l.sem })}, nil
}

func (c limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// An offer that comes later than Split looks for one crosses over, on every kind of listener.
func TestSplit_M03_crossing(t *testing.T) {
	listeners := map[string]func(t *testing.T) net.Listener{
		"tcp": func(t *testing.T) net.Listener {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			return l
		},
		"unix": func(t *testing.T) net.Listener {
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil && runtime.GOOS == "windows" {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			return l
		},
		"memory": func(*testing.T) net.Listener { return memnet.Listen(memnet.Options{}) },
	}
	for name, steps := range map[string]func(c *client){
		"second request": func(c *client) {
			c.send(plainRequest)
			c.wantHTTP1()
			c.send(offerRequest)
		},
		"third request, pipelined": func(c *client) {
			c.send(plainRequest + plainRequest + offerRequest)
			c.wantHTTP1()
			c.wantHTTP1()
		},
		"large head": func(c *client) {
			c.send("GET / HTTP/1.1\nHost: h\n" + bigField(20_000) + offerFields + "\n")
		},
		"after a large head": func(c *client) {
			c.send("GET / HTTP/1.1\nHost: h\n" + bigField(20_000) + "\n")
			c.wantHTTP1()
			c.send(offerRequest)
		},
		"after a declined offer": func(c *client) {
			c.send("GET / HTTP/1.1\nHost: h\nVia: x\n" + offerFields + "\n")
			c.wantHTTP1()
			c.send(offerRequest)
		},
		"with a body": func(c *client) {
			c.send(plainRequest)
			c.wantHTTP1()
			c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 60000\n" + offerFields + "\n" + strings.Repeat("b", 60_000))
		},
	} {
		for kind, listen := range listeners {
			for _, limit := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", kind, " ", limit), func(t *testing.T) {
					l := listen(t)
					p := partListener(t, new(h2c.Server), l)
					p.serveHTTP2(text("behind http2"))
					if limit {
						p.http1 = limited{p.http1, make(chan struct{}, 1)}
					}
					p.serveHTTP1(text("behind http1"))
					for range 3 { // as many as the limit and more
						var nc net.Conn
						var err error
						if ml, ok := l.(*memnet.Listener); ok {
							nc, err = ml.Dial()
						} else {
							nc, err = net.Dial(l.Addr().Network(), l.Addr().String())
						}
						if err != nil {
							t.Fatal(err)
						}
						c := newClient(t, nc)
						steps(c)
						c.wantSwitch()
						c.preface()
						c.wantHTTP2(1)
						c.request(3, "/")
						c.wantHTTP2(3)
						nc.Close()
					}
					eventually(t, "no connection left", func() bool { return p.s.Stats().Active == 0 })
					if got := p.s.Stats(); got.Upgraded != 3 || len(got.Failed) > 0 {
						t.Errorf("stats %+v", got)
					}
				})
			}
		}
	}
}

// What comes after HandshakeTimeout is served by http1, and crosses over from there.
func TestSplit_M03_crossingWhenSlow(t *testing.T) {
	for _, parts := range [][]string{
		{"", crlf(offerRequest)},
		{"GET / HTTP/1.1\r\nHo", crlf("st: h\n" + offerFields + "\n")},
		{crlf(offerRequest[:len(offerRequest)-1]), "\r\n"},
		{"", http2.ClientPreface},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := part(t, new(h2c.Server)).serveBoth()
			c := p.dial()
			io.WriteString(c.nc, parts[0])
			time.Sleep(11 * time.Second)
			io.WriteString(c.nc, parts[1])
			if parts[1] == http2.ClientPreface {
				c.fr.WriteSettings()
				c.prefaced = true
				c.request(1, "/")
			} else {
				c.wantSwitch()
				c.preface()
			}
			c.wantHTTP2(1)
		})
	}
}

// A request that comes from nowhere else than a Split does not cross over to it.
func TestSplit_doesNotTakeOthers(t *testing.T) {
	s := new(h2c.Server)
	p := part(t, s)
	p.serveHTTP2(text("behind http2"))
	p.serveHTTP1(text("behind http1"))
	alone := memnet.Listen(memnet.Options{})
	p.serve(&http.Server{Handler: h2c.NewHandler(text("alone"), s)}, alone)
	nc, err := alone.Dial()
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, nc)
	c.upgradeTo("/")
	c.preface()
	if r := c.response(1); r.Body != "alone" {
		t.Errorf("got %+v", r)
	}
	// Nor to that of another Split.
	q := part(t, s)
	q.serveHTTP2(text("behind another"))
	q.serveHTTP1(text("behind http1"))
	c = q.dial()
	c.send(plainRequest)
	c.wantHTTP1()
	c.upgradeTo("/")
	c.preface()
	if r := c.response(1); r.Body != "behind another" {
		t.Errorf("got %+v", r)
	}
}

// Addresses read as those of the connection, apart from being its own.
func TestSplit_addresses(t *testing.T) {
	p := part(t, new(h2c.Server))
	p.dial().send(plainRequest)
	nc, err := p.http1.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a := nc.LocalAddr(); a.String() != "server" || a.Network() != "memnet" || nc.RemoteAddr().String() != "client-1" {
		t.Errorf("got %v, %v", a, nc.RemoteAddr())
	}
	if p.http1.Addr().String() != "server" || p.http2.Addr().String() != "server" {
		t.Errorf("listeners on %v, %v", p.http1.Addr(), p.http2.Addr())
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = partListener(t, new(h2c.Server), l)
	c := dialTCP(t, l.Addr().String())
	c.send(plainRequest)
	if nc, err = p.http1.Accept(); err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if a, ok := nc.LocalAddr().(*net.TCPAddr); !ok || a.String() != c.nc.RemoteAddr().String() {
		t.Errorf("got %v", nc.LocalAddr())
	}
}

// The requests that Split declines, and what it cannot read as a request.
var declinedOffers = map[string]string{
	"bad settings":       "GET / HTTP/1.1\nHost: h\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: ====\n\n",
	"no settings":        "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: h2c\n\n",
	"forwarded":          "GET / HTTP/1.1\nHost: h\nVia: 1.1 x\n" + offerFields + "\n",
	"chunked":            "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n" + offerFields + "\n4\nbody\n0\n\n",
	"body too large":     "POST / HTTP/1.1\nHost: h\nContent-Length: 70000\n" + offerFields + "\n" + strings.Repeat("b", 70_000),
	"HTTP/1.0":           "GET / HTTP/1.0\nHost: h\n" + offerFields + "\n",
	"CONNECT":            "CONNECT h:80 HTTP/1.1\nHost: h:80\n" + offerFields + "\n",
	"not an offer":       "GET /h2c HTTP/1.1\nHost: h\n\n",
	"another protocol":   "GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: h2c-14, websocket\n\n",
	"large head":         "GET / HTTP/1.1\nHost: h\nVia: x\n" + bigField(15_000) + offerFields + "\n",
	"no Host":            "GET / HTTP/1.1\n" + offerFields + "\n",
	"two lengths":        "POST / HTTP/1.1\nHost: h\nContent-Length: 4\nContent-Length: 5\n" + offerFields + "\nbody!",
	"other expectation":  "POST / HTTP/1.1\nHost: h\nContent-Length: 4\nExpect: gifts\n" + offerFields + "\nbody",
	"other coding":       "POST / HTTP/1.1\nHost: h\nTransfer-Encoding: gzip\n" + offerFields + "\nbody",
	"bad field":          "GET / HTTP/1.1\nHost: h\nB ad: x\n" + offerFields + "\n",
	"bad version":        "GET / HTTP/9.9\nHost: h\n" + offerFields + "\n",
	"HTTP/2.0":           "GET / HTTP/2.0\nHost: h\n" + offerFields + "\n",
	"begins with a line": "\nGET / HTTP/1.1\nHost: h\n" + offerFields + "\n",
	"only lines":         "\n\n\n\n",
	"bad target":         "GET h2c HTTP/1.1\nHost: h\n" + offerFields + "\n",
	"PRI, other version": "PRI * HTTP/1.1\nHost: h\n\n",
	"PRI, with a field":  "PRI * HTTP/2.0\nHost: h\n\n",
	"half a request":     "GET / HTTP/1.1\nHost: h\nUpgrade: h2c\n",
	"an octet":           "\x7f",
	"a TLS hello":        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03h2c\n\n",
	"nonsense":           "\x00\x01h2c\n\n\xff",
}

// http1 yields what Split does not take as it came, octet by octet, however it came.
func TestSplit_M01_http1GetsAllOctets(t *testing.T) {
	for name, text := range declinedOffers {
		for _, more := range []string{"", plainRequest, offerRequest + plainRequest} {
			for _, o := range []memnet.Options{{}, {MaxRead: 1}, {MaxRead: 100}} {
				synctest.Test(t, func(t *testing.T) {
					p := part(t, new(h2c.Server), o)
					got := make(chan string, 1)
					go func() {
						nc, err := p.http1.Accept()
						if err != nil {
							t.Error(err)
							return
						}
						defer nc.Close()
						time.Sleep(time.Hour) // no deadline is left
						b, err := io.ReadAll(nc)
						if err != nil {
							t.Errorf("%s: %v", name, err)
						}
						io.WriteString(nc, "answer")
						got <- string(b)
					}()
					c := p.dial()
					c.nc.SetDeadline(time.Time{})
					sent := crlf(text + more)
					io.WriteString(c.nc, sent)
					c.nc.(*memnet.Conn).CloseWrite()
					if answer, err := io.ReadAll(c.br); string(answer) != "answer" || err != nil {
						t.Errorf("%s: client got %q, %v", name, answer, err)
					}
					if got := <-got; got != sent {
						t.Errorf("%s, %+v: http1 got %q, client sent %q", name, o, got, sent)
					}
					if got := p.s.Stats(); len(got.Declined)+len(got.Failed) > 0 {
						t.Errorf("%s: counted by Split: %+v", name, got)
					}
				})
			}
		}
	}
}

// The client gets the answers that it would get without Split, and what is counted is the same.
func TestSplit_answersAreHTTP1s(t *testing.T) {
	date := regexp.MustCompile("Date: .*\r\n")
	ask := func(c *client, sent string) string {
		io.WriteString(c.nc, sent)
		time.Sleep(time.Second)
		c.nc.(*memnet.Conn).CloseWrite()
		c.nc.SetDeadline(time.Now().Add(time.Hour))
		b, err := io.ReadAll(c.br)
		if err != nil {
			c.t.Error(err)
		}
		return date.ReplaceAllString(string(b), "")
	}
	for name, text := range declinedOffers {
		synctest.Test(t, func(t *testing.T) {
			s := new(h2c.Server)
			l := memnet.Listen(memnet.Options{})
			plain := &parted{t: t, s: s, l: l}
			hs := plain.serve(&http.Server{Handler: h2c.NewHandler(http.HandlerFunc(see), s)}, l)
			t.Cleanup(func() { hs.Close(); s.Close() })
			want := ask(plain.dial(), crlf(text+plainRequest))

			p := part(t, new(h2c.Server))
			p.serveHTTP2(http.HandlerFunc(see))
			p.serveHTTP1(http.HandlerFunc(see))
			got := ask(p.dial(), crlf(text+plainRequest))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: answer (-without Split +with it)\n%s", name, diff)
			}
			if diff := cmp.Diff(s.Stats(), p.s.Stats()); diff != "" {
				t.Errorf("%s: counted (-without Split +with it)\n%s", name, diff)
			}
		})
	}
}

// U-18: one 100, whoever sends it.
func TestSplit_U18_expectContinue(t *testing.T) {
	const head = "POST / HTTP/1.1\nHost: h\nContent-Length: 4\nExpect: 100-continue\n" + offerFields
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %v", r.Proto, b, err)
	})
	p := part(t, new(h2c.Server))
	p.serveHTTP2(echo)
	p.serveHTTP1(echo)
	wantContinue := func(c *client) {
		t.Helper()
		want := "HTTP/1.1 100 Continue\r\n\r\n"
		got := make([]byte, len(want))
		if n, err := io.ReadFull(c.br, got); err != nil || string(got) != want {
			t.Fatalf("got %q, %v, want one 100", got[:n], err)
		}
	}
	c := p.dial()
	c.send(head + "\n")
	wantContinue(c)
	c.send("body")
	c.wantSwitch()
	c.preface()
	if r := c.response(1); r.Body != `HTTP/2.0 "body" <nil>` {
		t.Errorf("upgraded: got %+v", r)
	}
	c = p.dial()
	c.send(head + "Via: x\n\n")
	wantContinue(c)
	c.send("body")
	if _, body := c.want1(200); body != `HTTP/1.1 "body" <nil>` {
		t.Errorf("declined: got %q", body)
	}
}

// AllowUpgrade may take its time, or panic: nobody else notices.
func TestSplit_allowUpgradePanics(t *testing.T) {
	s := &h2c.Server{AllowUpgrade: func(r *http.Request) error {
		if r.URL.Path == "/panic" {
			panic("no")
		}
		return nil
	}}
	p := part(t, s).serveBoth()
	c := p.dial()
	c.send("GET /panic HTTP/1.1\nHost: h\n" + offerFields + "\n")
	c.wantClosed() // by http1, where it panics again
	c = p.dial()
	c.upgradeTo("/")
	c.preface()
	c.wantHTTP2(1)
}

// P-02, P-03: a preface that goes wrong or does not come in time.
func TestSplit_M01_badPreface(t *testing.T) {
	for n := 1; n < len(http2.ClientPreface); n++ {
		synctest.Test(t, func(t *testing.T) {
			p := part(t, new(h2c.Server)).serveBoth()
			c := p.dial()
			io.WriteString(c.nc, http2.ClientPreface[:n])
			start := time.Now()
			c.wantClosed()
			if took := time.Since(start); took != 10*time.Second {
				t.Errorf("%d octets: closed after %v", n, took)
			}
			c = p.dial()
			io.WriteString(c.nc, http2.ClientPreface[:n])
			c.nc.(*memnet.Conn).CloseWrite()
			c.wantClosed()
			failed := map[h2c.Reason]int64{h2c.ReasonPrefaceTimeout: 1, h2c.ReasonPrefaceMissing: 1}
			if n >= len("PRI * HTTP/2.0\r\n\r\n") {
				c = p.dial()
				io.WriteString(c.nc, http2.ClientPreface[:n]+"x")
				c.wantClosed()
				failed[h2c.ReasonPrefaceInvalid] = 1
			}
			synctest.Wait()
			if diff := cmp.Diff(failed, p.s.Stats().Failed); diff != "" {
				t.Errorf("%d octets (-want +got)\n%s", n, diff)
			}
		})
	}
}

func TestSplit_priorKnowledgeOff(t *testing.T) {
	p := part(t, &h2c.Server{DisablePriorKnowledge: true}).serveBoth()
	c := p.dial()
	io.WriteString(c.nc, http2.ClientPreface)
	c.wantClosed()
	if n := p.s.Stats().Failed[h2c.ReasonPriorKnowledge]; n != 1 {
		t.Errorf("stats %+v", p.s.Stats())
	}
	c = p.dial()
	c.upgradeTo("/")
	c.preface()
	c.wantHTTP2(1)
}

func TestSplit_upgradeOff(t *testing.T) {
	p := part(t, &h2c.Server{DisableUpgrade: true}).serveBoth()
	c := p.dial()
	for range 2 {
		c.send(offerRequest)
		c.wantHTTP1()
	}
	c = p.dial()
	c.preface()
	c.request(1, "/")
	c.wantHTTP2(1)
	if n := p.s.Stats().Declined[h2c.ReasonDisabled]; n != 2 {
		t.Errorf("stats %+v", p.s.Stats())
	}
}

func (c *client) wantUpgradeRequired() {
	c.t.Helper()
	b, err := io.ReadAll(c.br) // http.Response leaves out Connection
	head, body, _ := strings.Cut(string(b), "\r\n\r\n")
	head += "\r\n"
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 426 Upgrade Required\r\n") || strings.Count(head, "Upgrade: h2c\r\n") != 1 ||
		!strings.Contains(head, "Connection: Upgrade\r\n") || !strings.Contains(head, "Connection: close\r\n") || body == "" {
		c.t.Errorf("got %q, %v, want a 426", b, err)
	}
}

// While nobody accepts from http1, its requests are told to upgrade.
func TestSplit_M04_upgradeRequired(t *testing.T) {
	for name, tt := range map[string]struct {
		closed bool
		before time.Duration // of the request, since Split
		wait   time.Duration // for the answer
	}{
		"closed":          {true, 0, 0},
		"closed, later":   {true, time.Hour, 0},
		"never accepted":  {false, 300 * time.Millisecond, 700 * time.Millisecond},
		"nor later":       {false, time.Hour, 0},
		"in the last bit": {false, time.Second, 0},
	} {
		for _, request := range []string{plainRequest, declinedOffers["forwarded"], "POST / HTTP/1.1\nHost: h\nContent-Length: 100000\n\n" + strings.Repeat("b", 100_000)} {
			synctest.Test(t, func(t *testing.T) {
				p := part(t, new(h2c.Server))
				p.serveHTTP2(text("behind http2"))
				if tt.closed {
					if err := p.http1.Close(); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(tt.before)
				c := p.dial()
				start := time.Now()
				c.send(request)
				c.wantUpgradeRequired()
				if took := time.Since(start).Round(time.Millisecond); took < tt.wait || took > tt.wait+500*time.Millisecond {
					t.Errorf("%s: answer after %v, want %v", name, took, tt.wait)
				}
				c = p.dial()
				c.upgradeTo("/")
				c.preface()
				c.wantHTTP2(1)
			})
		}
	}
}

// A HEAD of curl, and what is not HTTP at all.
func TestSplit_upgradeRequiredOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.http1.Close()
		c := p.dial()
		c.send("HEAD / HTTP/1.1\nHost: h\n\n")
		resp, err := http.ReadResponse(c.br, &http.Request{Method: "HEAD"})
		if err != nil || resp.StatusCode != 426 {
			t.Errorf("got %v, %v", resp, err)
		}
		c.wantClosed()
		c = p.dial()
		c.send("nonsense\n\n")
		c.want1(400)
		c.wantClosed()
		c = p.dial()
		start := time.Now()
		c.wantClosed() // a silent one
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("silent connection open for %v", took)
		}
	})
}

// An Accept in the first second is in time, and one after that is for who comes then.
func TestSplit_lateAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		c := p.dial()
		c.send(plainRequest)
		time.Sleep(999 * time.Millisecond)
		p.serveHTTP1(text("behind http1"))
		c.wantHTTP1()
	})
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		c := p.dial()
		c.send(plainRequest)
		time.Sleep(2 * time.Second)
		c.wantUpgradeRequired()
		p.serveHTTP1(text("behind http1"))
		synctest.Wait()
		c = p.dial()
		c.send(plainRequest)
		c.wantHTTP1()
	})
}

// Who came in the first second waits for a busy http1 as long as others do.
func TestSplit_busyFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		var clients []*client
		for range 3 {
			c := p.dial()
			c.send(plainRequest)
			clients = append(clients, c)
		}
		synctest.Wait()
		p.http1 = limited{p.http1, make(chan struct{}, 1)}
		p.serveHTTP1(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(2 * time.Second)
			w.Header().Set("Connection", "close")
			io.WriteString(w, "behind http1")
		}))
		for _, c := range clients {
			c.wantHTTP1()
		}
	})
}

// One that http1 does not get to in time is told so, and that is not a matter of protocol.
func TestSplit_M04_busyHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		c := p.dial()
		c.send(plainRequest)
		nc, err := p.http1.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		c = p.dial()
		c.send(plainRequest)
		start := time.Now()
		resp, _ := c.want1(503)
		if took := time.Since(start); took != 10*time.Second || !resp.Close || resp.Header["Upgrade"] != nil {
			t.Errorf("after %v: %v", took, resp.Header)
		}
		c.wantClosed()
	})
}

// The answer to a body that nobody reads arrives, on a socket.
func TestSplit_upgradeRequiredBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := partListener(t, new(h2c.Server), l)
	p.http1.Close()
	for _, n := range []int{1, 200_000, 8 << 20} {
		c := dialTCP(t, l.Addr().String())
		done := make(chan struct{})
		go func() {
			defer close(done)
			fmt.Fprintf(c.nc, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", n)
			c.nc.Write(make([]byte, n)) // may not all be taken
		}()
		resp, body := c.want1(426)
		if body == "" || resp.Header.Get("Upgrade") != "h2c" {
			t.Errorf("%d octets: %v %q", n, resp.Header, body)
		}
		c.nc.Close()
		<-done
	}
}

// A lateAddr is a connection whose addresses come with its first octets, as behind a proxy that sends
// them.
type lateAddr struct {
	net.Conn
	once  *sync.Once
	known chan struct{}
}

func withLateAddr(nc net.Conn) net.Conn { return lateAddr{nc, new(sync.Once), make(chan struct{})} }

func (c lateAddr) LocalAddr() net.Addr {
	<-c.known
	return c.Conn.LocalAddr()
}

func (c lateAddr) RemoteAddr() net.Addr {
	<-c.known
	return c.Conn.RemoteAddr()
}

func (c lateAddr) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.once.Do(func() { close(c.known) })
	}
	return n, err
}

func (c lateAddr) Close() error {
	c.once.Do(func() { close(c.known) })
	return c.Conn.Close()
}

// A connection that does not know its addresses yet is in nobody's way.
func TestSplit_M05_lateAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(memnet.Options{})
		p := partListener(t, new(h2c.Server), wrappingListener{l, withLateAddr}).serveBoth()
		p.l = l
		silent := p.dial()
		synctest.Wait()
		c := p.dial()
		c.upgradeTo("/")
		c.preface()
		c.wantHTTP2(1)
		c = p.dial()
		for range 2 {
			c.send(plainRequest)
			c.wantHTTP1()
		}
		c = p.dial()
		c.preface()
		c.request(1, "/")
		c.wantHTTP2(1)
		silent.send(plainRequest)
		silent.wantHTTP1()
		p.dial() // is silent to the end
		synctest.Wait()
		if err := p.s.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A verdict is for the request that it was made for, though a handler beside NewHandler may have had that.
func TestSplit_verdictOfAnother(t *testing.T) {
	p := part(t, new(h2c.Server))
	p.serveHTTP2(text("behind http2"))
	mux := http.NewServeMux()
	mux.Handle("/plain", text("behind http1"))
	mux.Handle("/", h2c.NewHandler(text("behind http1"), p.s))
	p.serve(&http.Server{Handler: mux}, p.http1)
	c := p.dial()
	c.send("GET /plain HTTP/1.1\nHost: h\nX-Forwarded-For: a\n" + offerFields + "\n")
	c.wantHTTP1()
	c.upgradeTo("/")
	c.preface()
	c.wantHTTP2(1)
}

// S-01: whoever is silent or slow is in nobody's way, and is not forgotten.
func TestSplit_M05_S01_slowClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server)).serveBoth()
		begins := []string{"", "GET / HTTP/1.1\r\nHost: h\r\n", "PRI * HT", "P", strings.TrimSuffix(crlf(offerRequest), "\r\n"),
			"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n" + crlf(offerFields) + "\r\n"}
		var clients []*client
		for i := range 1000 {
			c := p.dial()
			c.nc.SetDeadline(time.Time{})
			io.WriteString(c.nc, begins[i%len(begins)])
			clients = append(clients, c)
		}
		synctest.Wait()
		start := time.Now()
		c := p.dial()
		c.upgradeTo("/")
		c.preface()
		c.wantHTTP2(1)
		c = p.dial()
		c.preface()
		c.request(1, "/")
		c.wantHTTP2(1)
		c = p.dial()
		c.send(plainRequest)
		c.wantHTTP1()
		if took := time.Since(start); took != 0 {
			t.Errorf("new clients waited %v", took)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for i, c := range clients {
			switch i % len(begins) {
			case 0:
				c.send(plainRequest)
				c.wantHTTP1()
			case 1:
				c.send("\n")
				c.wantHTTP1()
			case 4:
				c.send("\n")
				c.wantSwitch()
			default:
				c.wantClosed()
			}
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("slow clients were closed or served after %v", took)
		}
	})
}

// A body of an upgrade that comes too slowly is bounded.
func TestSplit_slowUpgradeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server)).serveBoth()
		c := p.dial()
		c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 1000\n" + offerFields + "\n")
		start := time.Now()
		for range 1000 {
			if _, err := io.WriteString(c.nc, "b"); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		c.wantClosed()
		if took := time.Since(start); took > 12*time.Second {
			t.Errorf("open for %v", took)
		}
		if n := p.s.Stats().Declined[h2c.ReasonBodyIncomplete]; n != 1 {
			t.Errorf("stats %+v", p.s.Stats())
		}
	})
}

// A negative HandshakeTimeout is no bound, and nothing ends at once because of it.
func TestSplit_noTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, &h2c.Server{HandshakeTimeout: -1}).serveBoth()
		for _, parts := range [][]string{{"", crlf(plainRequest)}, {"GET", crlf(plainRequest[3:])}} {
			c := p.dial()
			c.nc.SetDeadline(time.Time{})
			io.WriteString(c.nc, parts[0])
			time.Sleep(time.Hour)
			io.WriteString(c.nc, parts[1])
			c.wantHTTP1()
			c.upgradeTo("/")
			c.preface()
			c.wantHTTP2(1)
		}
		c := p.dial()
		c.nc.SetDeadline(time.Time{})
		io.WriteString(c.nc, http2.ClientPreface[:20])
		time.Sleep(time.Hour)
		io.WriteString(c.nc, http2.ClientPreface[20:])
		c.fr.WriteSettings()
		c.prefaced = true
		c.request(1, "/")
		c.wantHTTP2(1)
	})
}

// Closing one side leaves the other.
func TestSplit_M06_closeHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.serveHTTP1(text("behind http1"))
		if err := p.http2.Close(); err != nil {
			t.Error(err)
		}
		if _, err := p.http2.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept: %v", err)
		}
		c := p.dial()
		for range 2 {
			c.send(offerRequest)
			c.wantHTTP1()
		}
		c = p.dial()
		c.preface()
		// Without an octet: grpc-go would take the server for a good one, and dial again at once.
		if b, err := io.ReadAll(c.br); len(b) > 0 || err != nil {
			t.Errorf("got %x, %v", b, err)
		}
		c.nc.Close()
		synctest.Wait()
		got := p.s.Stats()
		if got.Declined[h2c.ReasonDisabled] != 2 || got.Failed[h2c.ReasonShutdown] != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}

// Where nobody speaks HTTP/2 any more, nobody is told to upgrade to it.
func TestSplit_closeHTTP2UnusedHTTP1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.http2.Close()
		time.Sleep(2 * time.Second)
		c := p.dial()
		c.send(plainRequest)
		c.want1(503)
	})
}

// Both sides closed, in any order and twice: l is closed, and nothing is left but what was
// accepted. The bubble tells of goroutines left.
func TestSplit_M06_closeBoth(t *testing.T) {
	for _, order := range []string{"12", "21", "1122", "2121"} {
		synctest.Test(t, func(t *testing.T) {
			l := memnet.Listen(memnet.Options{})
			http2, http1 := new(h2c.Server).Split(l)
			errs := make(chan error)
			for _, side := range []net.Listener{http2, http1} {
				go func() {
					_, err := side.Accept()
					errs <- err
				}()
			}
			nc, err := l.Dial() // and is silent
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			synctest.Wait()
			for _, side := range order {
				if side == '1' {
					http1.Close()
				} else {
					http2.Close()
				}
			}
			for range 2 {
				if err := <-errs; !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
			}
			if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("l: %v", err)
			}
			for _, side := range []net.Listener{http2, http1} {
				if _, err := side.Accept(); !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
			}
		})
	}
}

// A flaky listener fails as a test says.
type flaky struct {
	*memnet.Listener
	errs   chan error
	closes atomic.Int64
}

func (l *flaky) Accept() (net.Conn, error) {
	select {
	case err := <-l.errs:
		return nil, err
	default:
	}
	nc, err := l.Listener.Accept()
	if err != nil {
		select {
		case err = <-l.errs:
		default:
		}
	}
	return nc, err
}

// Close fails the second time, as that of a socket does.
func (l *flaky) Close() error {
	l.Listener.Close()
	if l.closes.Add(1) > 1 {
		return net.ErrClosed
	}
	return nil
}

type temporary struct{}

func (temporary) Error() string   { return "try again" }
func (temporary) Temporary() bool { return true }
func (temporary) Timeout() bool   { return false }

func TestSplit_temporaryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{Listener: memnet.Listen(memnet.Options{}), errs: make(chan error, 20)}
		for range 20 {
			l.errs <- temporary{}
		}
		p := partListener(t, new(h2c.Server), l)
		p.l = l.Listener
		p.serveBoth()
		start := time.Now()
		c := p.dial()
		c.send(plainRequest)
		c.wantHTTP1()
		if took := time.Since(start); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("20 errors took %v", took)
		}
	})
}

// An error of l reaches both sides, and l can still be closed.
func TestSplit_listenerFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &flaky{Listener: memnet.Listen(memnet.Options{}), errs: make(chan error, 1)}
		broken := errors.New("broken")
		l.errs <- broken
		http2, http1 := new(h2c.Server).Split(l)
		for _, side := range []net.Listener{http2, http1} {
			for range 2 {
				if _, err := side.Accept(); !errors.Is(err, broken) {
					t.Errorf("Accept: %v", err)
				}
			}
		}
		http2.Close()
		http1.Close()
		if n := l.closes.Load(); n != 1 {
			t.Errorf("l was closed %d times", n)
		}
	})
}

// Server.Shutdown, and that of the servers behind, in any order, on a socket: nothing fails
// because it is closed already.
func TestSplit_shutdownErrors(t *testing.T) {
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := partListener(t, new(h2c.Server), l)
		hs2, hs1 := p.serveHTTP2(text("behind http2")), p.serveHTTP1(text("behind http1"))
		c := dialTCP(t, l.Addr().String())
		c.send(plainRequest)
		c.wantHTTP1()
		for _, shutdown := range []func(context.Context) error{p.s.Shutdown, hs2.Shutdown, hs1.Shutdown, p.s.Shutdown} {
			if err := shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown: %v", err)
			}
		}
		if err := p.s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

// What has begun when Shutdown does is answered, what is silent is closed, and Shutdown waits.
func TestSplit_M06_shutdown(t *testing.T) {
	for name, tt := range map[string]struct {
		begin, rest string
		want        func(c *client)
	}{
		"silent":               {"", "", (*client).wantClosed},
		"half a head":          {"GET / HTTP/1.1\nHost", ": h\n\n", func(c *client) { c.want1(503) }},
		"half a head, offer":   {"GET / HTTP/1.1\nHost", ": h\n" + offerFields + "\n", func(c *client) { c.want1(503) }},
		"half an upgrade body": {"POST / HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\nbo", "dy", func(c *client) { c.want1(503) }},
		"half a preface":       {"PRI * HTTP/2.0\n\nS", "M\n\n", (*client).wantClosedAfterGoAway},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := part(t, new(h2c.Server)).serveBoth()
				c := p.dial()
				c.send(tt.begin)
				synctest.Wait()
				start := time.Now()
				done := make(chan error, 1)
				var stats h2c.Stats
				go func() {
					err := p.s.Shutdown(context.Background())
					stats = p.s.Stats()
					done <- err
				}()
				if tt.rest != "" {
					time.Sleep(3 * time.Second)
					select {
					case err := <-done:
						t.Errorf("Shutdown did not wait: %v", err)
						done <- err
					default:
					}
					c.send(tt.rest)
				}
				tt.want(c)
				if err := <-done; err != nil {
					t.Error(err)
				}
				if took := time.Since(start); took > 4*time.Second || tt.rest == "" && took != 0 {
					t.Errorf("Shutdown took %v", took)
				}
				c.nc.Close()
				synctest.Wait()
				// It has waited until nothing was under way.
				if diff := cmp.Diff(p.s.Stats(), stats); diff != "" {
					t.Errorf("stats at the end of Shutdown (-later +then)\n%s", diff)
				}
				if nc, err := p.l.Dial(); err == nil {
					nc.Close()
					t.Error("l still accepts")
				}
			})
		})
	}
}

// Shutdown waits until what crosses over, and is accepted by nobody, has its answer.
func TestSplit_shutdownCrossing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.serveHTTP1(text("behind http1"))
		c := p.dial()
		c.send(plainRequest)
		c.wantHTTP1()
		c.send(offerRequest)
		synctest.Wait()
		start := time.Now()
		if err := p.s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if n := p.s.Stats().Failed[h2c.ReasonShutdown]; n != 1 || time.Since(start) > time.Second {
			t.Errorf("after %v: stats %+v", time.Since(start), p.s.Stats())
		}
		c.want1(503)
	})
}

// Shutdown leaves alone what was accepted, silent or not.
func TestSplit_shutdownLeavesAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.serveBoth()
		silent, plain, http2 := p.dial(), p.dial(), p.dial()
		time.Sleep(11 * time.Second) // it is with http1 now
		plain.send(plainRequest)
		plain.wantHTTP1()
		http2.preface()
		http2.request(1, "/")
		http2.wantHTTP2(1)
		if err := p.s.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		silent.send(plainRequest)
		silent.wantHTTP1()
		plain.send(offerRequest)
		plain.wantHTTP1()
		http2.request(3, "/")
		http2.wantHTTP2(3)
		if n := p.s.Stats().Declined[h2c.ReasonDisabled]; n != 1 {
			t.Errorf("stats %+v", p.s.Stats())
		}
	})
}

func TestSplit_shutdownContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server)).serveBoth()
		c := p.dial()
		c.send("GET / HTTP/1.1\nHost")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		if err := p.s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if err := p.s.Close(); err != nil {
			t.Error(err)
		}
		c.wantClosed()
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		if err := p.s.Shutdown(context.Background()); err != nil {
			t.Errorf("after Close: %v", err)
		}
	})
}

// Close ends whatever is not accepted, at any stage.
func TestSplit_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server)) // nobody accepts
		var clients []*client
		for _, begin := range []string{"", "GET / HTTP/1.1\n", plainRequest, offerRequest, declinedOffers["forwarded"],
			"PRI", "POST / HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\nbo"} {
			c := p.dial()
			c.send(begin)
			clients = append(clients, c)
		}
		c := p.dial()
		c.preface()
		clients = append(clients, c)
		synctest.Wait()
		start := time.Now()
		if err := p.s.Close(); err != nil {
			t.Error(err)
		}
		for _, c := range clients {
			c.wantClosed()
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v", took)
		}
	})
}

func TestSplit_afterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(h2c.Server)
		if err := s.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		l := memnet.Listen(memnet.Options{})
		http2, http1 := s.Split(l)
		for _, side := range []net.Listener{http2, http1} {
			if _, err := side.Accept(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("Accept: %v", err)
			}
		}
		if _, err := l.Dial(); err == nil {
			t.Error("l still accepts")
		}
	})
}

// Where nobody accepts from http2, both ways in are refused in time.
func TestSplit_nobodyAcceptsHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		p.serveHTTP1(text("behind http1"))
		start := time.Now()
		first, later, prior := p.dial(), p.dial(), p.dial()
		first.send(offerRequest)
		later.send(plainRequest)
		later.wantHTTP1()
		later.send(offerRequest)
		prior.preface()
		for _, c := range []*client{first, later} {
			if resp, _ := c.want1(503); !resp.Close {
				t.Error("503 without Connection: close")
			}
			c.wantClosed()
		}
		prior.wantClosedAfterGoAway()
		prior.nc.Close()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("refused after %v", took)
		}
		time.Sleep(time.Second)
		if n := p.s.Stats().Failed[h2c.ReasonShutdown]; n != 3 {
			t.Errorf("stats %+v", p.s.Stats())
		}
	})
}

// An engine that is late gets no connection that was refused or has gone.
func TestSplit_lateHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		c := p.dial()
		c.preface()
		time.Sleep(9 * time.Second)
		p.serveHTTP2(text("behind http2"))
		c.request(1, "/")
		c.wantHTTP2(1)
	})
}

// careful is an engine that writes nothing until it has read the client's SETTINGS, and answers
// each request with the octets of its body.
func careful(nc net.Conn) error {
	defer nc.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(nc, preface); err != nil || string(preface) != http2.ClientPreface {
		return fmt.Errorf("preface %q, %w", preface, err)
	}
	fr := http2.NewFramer(nc, nc)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	first := true
	bodies := make(map[uint32]int)
	for {
		f, err := fr.ReadFrame()
		if err != nil {
			return err
		}
		if _, ok := f.(*http2.SettingsFrame); first && !ok {
			return fmt.Errorf("first frame: %v", f)
		}
		id, ended := f.Header().StreamID, false
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if first {
				first = false
				fr.WriteSettings()
			}
			if !f.IsAck() {
				fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				fr.WritePing(true, f.Data)
			}
		case *http2.MetaHeadersFrame:
			ended = f.StreamEnded()
		case *http2.DataFrame:
			bodies[id] += len(f.Data())
			ended = f.StreamEnded()
			if n := f.Length; n > 0 {
				fr.WriteWindowUpdate(0, n)
			}
		}
		if ended {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: headerBlock(":status", "200"), EndHeaders: true})
			fr.WriteData(id, true, fmt.Append(nil, bodies[id]))
		}
	}
}

// Any engine will do, not only one that speaks first as net/http does.
func TestSplit_M02_engineThatReadsFirst(t *testing.T) {
	p := part(t, new(h2c.Server))
	p.serveHTTP1(text("behind http1"))
	go func() {
		for {
			nc, err := p.http2.Accept()
			if err != nil {
				return
			}
			go careful(nc)
		}
	}()
	c := p.dial()
	c.preface()
	c.request(1, "/")
	if r := c.response(1); r.Body != "0" {
		t.Errorf("prior knowledge: %+v", r)
	}
	for _, later := range []bool{false, true} {
		for _, n := range []int{0, 1, 16383, 65535} {
			c = p.dial()
			if later {
				c.send(plainRequest)
				c.wantHTTP1()
			}
			c.send(fmt.Sprintf("POST / HTTP/1.1\nHost: h\nContent-Length: %d\n%s\n%s", n, offerFields, strings.Repeat("b", n)))
			c.wantSwitch()
			c.preface()
			if r := c.response(1); r.Body != fmt.Sprint(n) {
				t.Errorf("upgrade: %+v", r)
			}
			c.openStream(3, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
			for sent := 0; sent < 65535; sent += 4369 {
				c.fr.WriteData(3, sent+4369 == 65535, make([]byte, 4369))
			}
			if r := c.response(3); r.Body != "65535" {
				t.Errorf("after the upgrade: %+v", r)
			}
		}
	}
	c = p.dial() // one more than a window holds
	c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 65536\n" + offerFields + "\n" + strings.Repeat("b", 65536))
	c.wantHTTP1()
	if n := p.s.Stats().Declined[h2c.ReasonBodyTooLarge]; n != 1 {
		t.Errorf("stats %+v", p.s.Stats())
	}
}

// An engine that closes what it accepted, before a word.
func TestSplit_engineCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server))
		go func() {
			for {
				nc, err := p.http2.Accept()
				if err != nil {
					return
				}
				nc.Close()
			}
		}()
		c := p.dial()
		c.send(offerRequest)
		c.want1(503)
		c.wantClosed()
		c = p.dial()
		c.preface()
		c.wantClosedAfterGoAway()
	})
}

// Connections of all kinds while the sides are closed and the server shuts down: each is
// answered or closed, and all is over.
func TestSplit_race(t *testing.T) {
	for round := range 40 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		p := partListener(t, new(h2c.Server), l)
		hs2, hs1 := p.serveHTTP2(text("behind http2")), p.serveHTTP1(text("behind http1"))
		begins := []string{"", plainRequest, offerRequest, plainRequest + offerRequest, declinedOffers["forwarded"], http2.ClientPreface + "\x00\x00\x00\x04\x00\x00\x00\x00\x00",
			"POST / HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\nbody"}
		var wg sync.WaitGroup
		for i := range 3 * len(begins) {
			wg.Go(func() {
				nc, err := net.Dial("tcp", l.Addr().String())
				if err != nil {
					return
				}
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(30 * time.Second))
				begin := begins[i%len(begins)]
				if !strings.HasPrefix(begin, "PRI") {
					begin = crlf(begin)
				}
				io.WriteString(nc, begin)
				if i%2 == 0 {
					nc.(*net.TCPConn).CloseWrite()
				}
				if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("connection %d (%q) was left open", i, begin)
				}
			})
		}
		ends := []func(){
			func() { p.http1.Close() },
			func() { p.http2.Close() },
			func() { p.s.Shutdown(context.Background()) },
			func() { p.s.Close() },
			func() { l.Close() },
			func() {},
		}
		wg.Go(ends[round%6])
		wg.Go(ends[round/6%6])
		if round%3 == 0 {
			runtime.Gosched()
		}
		if err := p.s.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		hs2.Close()
		hs1.Close()
		p.s.Close()
		wg.Wait()
		eventually(t, "no connection active", func() bool { return p.s.Stats().Active == 0 })
	}
}

// tracked is a listener whose connections have local addresses that can be followed.
type tracked struct {
	*memnet.Listener
	mu    sync.Mutex
	addrs []weak.Pointer[trackedAddr]
}

type trackedAddr struct{ name string }

func (*trackedAddr) Network() string  { return "tracked" }
func (a *trackedAddr) String() string { return a.name }

type trackedConn struct {
	net.Conn
	local *trackedAddr
}

func (c *trackedConn) LocalAddr() net.Addr { return c.local }
func (c *trackedConn) CloseWrite() error   { return c.Conn.(*memnet.Conn).CloseWrite() }

func (l *tracked) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	addr := &trackedAddr{"server"}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.addrs = append(l.addrs, weak.Make(addr))
	return &trackedConn{nc, addr}, nil
}

// Of a connection that has ended, nothing is kept, however it went.
func TestSplit_keepsNothing(t *testing.T) {
	for name, exchange := range map[string]func(c *client){
		"silent":  func(c *client) {},
		"nothing": func(c *client) { c.nc.(*memnet.Conn).CloseWrite() },
		"plain": func(c *client) {
			c.send(plainRequest)
			c.wantHTTP1()
		},
		"declined": func(c *client) {
			c.send(declinedOffers["forwarded"])
			c.wantHTTP1()
		},
		"upgrade": func(c *client) {
			c.upgradeTo("/")
			c.preface()
			c.wantHTTP2(1)
		},
		"crossing": func(c *client) {
			c.send(plainRequest)
			c.wantHTTP1()
			c.upgradeTo("/")
			c.preface()
			c.wantHTTP2(1)
		},
		"prior knowledge": func(c *client) {
			c.preface()
			c.request(1, "/")
			c.wantHTTP2(1)
		},
		"wrong preface": func(c *client) {
			io.WriteString(c.nc, http2.ClientPreface[:20]+"xxxx")
			c.wantClosed()
		},
		"half a preface": func(c *client) {
			io.WriteString(c.nc, http2.ClientPreface[:20])
			c.nc.(*memnet.Conn).CloseWrite()
			c.wantClosed()
		},
		"body that ends early": func(c *client) {
			c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 4\n" + offerFields + "\nbo")
			c.nc.(*memnet.Conn).CloseWrite()
			c.wantClosed()
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := &tracked{Listener: memnet.Listen(memnet.Options{})}
			p := partListener(t, new(h2c.Server), l)
			p.l = l.Listener
			p.serveBoth()
			const n = 20
			for range n {
				c := p.dial()
				exchange(c)
				c.nc.Close()
			}
			eventually(t, "no address kept", func() bool {
				runtime.GC()
				l.mu.Lock()
				defer l.mu.Unlock()
				kept := 0
				for _, a := range l.addrs {
					if a.Value() != nil {
						kept++
					}
				}
				return len(l.addrs) == n && kept <= 2 // what a goroutine's stack still shows
			})
			runtime.KeepAlive(p)
		})
	}
}

// noDeadlines is a listener of connections that have no deadlines, as some that are tunnelled.
type noDeadlines struct{ *memnet.Listener }

type noDeadlineConn struct{ net.Conn }

func (l noDeadlines) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return noDeadlineConn{nc}, nil
}

func (noDeadlineConn) SetReadDeadline(time.Time) error { return errors.New("deadline not supported") }

func TestSplit_withoutDeadlines(t *testing.T) {
	l := memnet.Listen(memnet.Options{})
	p := partListener(t, new(h2c.Server), noDeadlines{l})
	p.l = l
	p.serveHTTP2(text("behind http2"))
	c := p.dial()
	c.preface()
	c.request(1, "/")
	c.wantHTTP2(1)
}

// S-04: the connection fails at the Nth Read or Write, on every way through Split.
func TestSplit_S04_everyReadAndWrite(t *testing.T) {
	frames := func(after string) string {
		var b bytes.Buffer
		b.WriteString(http2.ClientPreface)
		fr := http2.NewFramer(&b, nil)
		fr.WriteSettings()
		b.WriteString(after)
		return b.String()
	}
	var get bytes.Buffer
	http2.NewFramer(&get, nil).WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndStream: true, EndHeaders: true,
		BlockFragment: headerBlock(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h")})
	for name, script := range map[string]string{
		"prior knowledge": frames(get.String()),
		"plain":           crlf(plainRequest),
		"declined":        crlf(declinedOffers["forwarded"]),
		"chunked":         crlf(declinedOffers["chunked"]),
		"crossing":        crlf(plainRequest+offerRequest) + frames(""),
		"wrong preface":   http2.ClientPreface[:20] + "wrong",
		"nonsense":        crlf(declinedOffers["nonsense"]),
	} {
		for _, served := range []bool{true, false} {
			for n := 1; n <= 25; n++ {
				for _, o := range []memnet.Options{{FailRead: n}, {FailWrite: n}, {FailRead: n, MaxRead: 7}} {
					synctest.Test(t, func(t *testing.T) {
						p := part(t, new(h2c.Server), o)
						if served {
							p.serveBoth()
						} else {
							p.http1.Close()
							p.serveHTTP2(text("behind http2"))
						}
						c := p.dial()
						c.nc.SetDeadline(time.Time{})
						io.WriteString(c.nc, script)
						c.prefaced = true
						go io.Copy(io.Discard, c.br)
						time.Sleep(time.Minute)
						c.nc.Close()
						time.Sleep(time.Minute)
						synctest.Wait()
						if got := p.s.Stats(); got.Active != 0 {
							t.Errorf("%s, %+v: %+v", name, o, got)
						}
						// Nothing is pending.
						start := time.Now()
						if err := p.s.Shutdown(context.Background()); err != nil || time.Since(start) > time.Second {
							t.Errorf("%s, %+v: Shutdown: %v after %v", name, o, err, time.Since(start))
						}
					})
				}
			}
		}
	}
}

// S-01: what a slow connection holds is bounded.
func TestSplit_S01_memory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := part(t, new(h2c.Server)).serveBoth()
		heap := func() uint64 {
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		const n, head = 500, "GET / HTTP/1.1\r\nX: "
		var clients [n]*client
		for i := range clients {
			clients[i] = p.dial()
		}
		before := heap()
		for _, c := range clients {
			io.WriteString(c.nc, head+strings.Repeat("x", 16<<10-1-len(head)))
		}
		if each := (heap() - before) / n; each > 48<<10 {
			t.Errorf("%d octets for each slow connection", each)
		} else {
			t.Logf("%d octets for each slow connection", each)
		}
		runtime.KeepAlive(clients)
	})
}
