package h2c_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// A peer is the server's end of a connection, that does what a test says.
type peer struct {
	t  *testing.T
	n  int // of the connection, from 1
	nc net.Conn
	br *bufio.Reader
	fr *http2.Framer
}

// peers serves connections with script, one after the other or at once.
func peers(t *testing.T, script func(*peer)) *memnet.Listener {
	t.Helper()
	l := memnet.Listen(memnet.Options{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 1; ; n++ {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p := &peer{t: t, n: n, nc: nc, br: bufio.NewReader(nc)}
			p.fr = http2.NewFramer(nc, p.br)
			p.fr.AllowIllegalWrites = true
			wg.Go(func() {
				defer nc.Close()
				script(p)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l
}

// request reads an HTTP/1.1 request and its body.
func (p *peer) request() (*http.Request, string, error) {
	req, err := http.ReadRequest(p.br)
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(req.Body)
	return req, string(body), err
}

// offer reads a request with an offer, and switches.
func (p *peer) offer() bool {
	if _, _, err := p.request(); err != nil {
		return false
	}
	p.send(wantSwitching)
	return true
}

func (p *peer) send(text string) { io.WriteString(p.nc, crlf(text)) }

// frames writes what f does in one segment.
func (p *peer) frames(f func(*http2.Framer)) {
	var b bytes.Buffer
	f(http2.NewFramer(&b, nil))
	p.nc.Write(b.Bytes())
}

// preface reads the client's preface and SETTINGS.
func (p *peer) preface() error {
	got := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(p.br, got); err != nil {
		return err
	}
	f, err := p.fr.ReadFrame()
	if _, ok := f.(*http2.SettingsFrame); string(got) != http2.ClientPreface || err != nil || !ok {
		p.t.Errorf("C-02: client sent %q and %v, %v, want its preface", got, f, err)
	}
	return err
}

// answer answers stream id.
func answer(fr *http2.Framer, id uint32, body string) {
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true})
	fr.WriteData(id, true, []byte(body))
}

// serveStreams answers every stream after the first with ok, until the client goes.
func (p *peer) serveStreams() {
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.fr.WriteSettingsAck()
			}
		case *http2.HeadersFrame:
			p.frames(func(fr *http2.Framer) { answer(fr, f.StreamID, "ok") })
		}
	}
}

func TestClient_C01_offer(t *testing.T) {
	requests := make(chan *http.Request, 1)
	heads := make(chan string, 1)
	l := peers(t, func(p *peer) {
		var head bytes.Buffer
		p.br = bufio.NewReader(io.TeeReader(p.nc, &head))
		req, _, err := p.request()
		if err != nil {
			return
		}
		requests <- req
		heads <- head.String()
		p.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
	})
	tr := transport(t, l, new(h2c.Transport))
	fetch(t, tr, "GET", "/path?q", "")
	req, head := <-requests, <-heads
	if n := strings.Count(head, "\r\nHTTP2-Settings: "); n != 1 || !strings.Contains(head, "\r\nConnection: Upgrade, HTTP2-Settings\r\n") || !strings.Contains(head, "\r\nUpgrade: h2c\r\n") {
		t.Errorf("sent %q", head)
	}
	settings, err := h2c.ParseSettings(req.Header.Get("HTTP2-Settings"))
	if err != nil || len(settings) == 0 || settings[0] != (http2.Setting{ID: http2.SettingEnablePush, Val: 0}) {
		t.Errorf("settings %v, %v", settings, err)
	}
}

// An offer is never sent through an HTTP proxy, over https, or with another Upgrade.
func TestClient_C01_C12_noOffer(t *testing.T) {
	l := peers(t, func(p *peer) {
		for {
			req, _, err := p.request()
			if err != nil {
				return
			}
			if req.Header.Get("Upgrade") == "h2c" || req.Header["Http2-Settings"] != nil {
				t.Errorf("offer in %v", req)
			}
			p.send("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
		}
	})
	proxied := transport(t, l, &h2c.Transport{Base: &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "proxy.example"})}})
	fetch(t, proxied, "GET", "/", "")

	tr := transport(t, l, new(h2c.Transport))
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "websocket")
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()

	// What speaks cleartext here cannot do TLS: the request must fail, not be served.
	req, _ = http.NewRequest("GET", "https://example.com/", nil)
	if resp, err := tr.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("https request served over cleartext")
	}
}

// C-02: not one octet of HTTP/2 before the 101, and the preface right after it. C-06: 100
// and 103 before the 101, and frames in its segment.
func TestClient_C02_C06_exchange(t *testing.T) {
	l := peers(t, func(p *peer) {
		if _, _, err := p.request(); err != nil {
			return
		}
		p.send("HTTP/1.1 103 Early Hints\nLink: </x>\n\n")
		p.nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		if b, err := p.br.Peek(1); err == nil {
			t.Errorf("client sent %q before the 101", b)
		}
		p.nc.SetReadDeadline(time.Time{})
		p.br.Reset(p.nc)
		var segment bytes.Buffer
		segment.WriteString(crlf("HTTP/1.1 101 \nUpgrade: h2c\nConnection: Upgrade\nX-More: 1\n\n"))
		fr := http2.NewFramer(&segment, nil)
		fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 10})
		fr.WriteSettings()
		answer(fr, 1, "first")
		p.nc.Write(segment.Bytes())
		if p.preface() == nil {
			p.serveStreams()
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	var interim []int
	var events sync.Map
	count := func(name string) { v, _ := events.LoadOrStore(name, new(atomic.Int64)); v.(*atomic.Int64).Add(1) }
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		GotConn:              func(httptrace.GotConnInfo) { count("GotConn") },
		WroteRequest:         func(httptrace.WroteRequestInfo) { count("WroteRequest") },
		GotFirstResponseByte: func() { count("GotFirstResponseByte") },
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			interim = append(interim, code)
			return nil
		},
	})
	for _, want := range []string{"first", "ok"} {
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != want || err != nil || resp.ProtoMajor != 2 {
			t.Errorf("got %v %q, %v, want %q", resp.Proto, body, err, want)
		}
		for _, event := range []string{"GotConn", "WroteRequest", "GotFirstResponseByte"} {
			v, _ := events.LoadAndDelete(event)
			if n, _ := v.(*atomic.Int64); n == nil || n.Load() != 1 {
				t.Errorf("C-03: %s called %v times", event, n)
			}
		}
	}
	if diff := cmp.Diff([]int{103}, interim); diff != "" {
		t.Errorf("interim responses:\n%s", diff)
	}
}

func TestClient_C05_declined(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	l := peers(t, func(p *peer) {
		for {
			req, body, err := p.request()
			if err != nil {
				return
			}
			mu.Lock()
			seen = append(seen, strings.Join([]string{string(rune('0' + p.n)), req.Method, req.Header.Get("Upgrade"), body}, " "))
			mu.Unlock()
			// Upgrade on a 200 is an advertisement only.
			p.send("HTTP/1.1 200 OK\nUpgrade: h2c\nContent-Length: 2\n\nok")
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	for _, method := range []string{"GET", "GET", "POST"} {
		body := ""
		if method == "POST" {
			body = "b"
		}
		if got := fetch(t, tr, method, "/", body); got != "HTTP/1.1 200 ok" {
			t.Errorf("got %q", got)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"1 GET h2c ", "1 GET  ", "1 POST  b"}, seen); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestClient_C05_refusalExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offers := 0
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}),
			withH2C(&h2c.Server{AllowUpgrade: func(*http.Request) error {
				offers++
				return errors.New("no")
			}}))
		tr := transport(t, ts.l, &h2c.Transport{RefusalTTL: time.Minute})
		for range 5 {
			fetch(t, tr, "GET", "/", "")
			time.Sleep(25 * time.Second)
		}
		if offers != 2 {
			t.Errorf("asked %d times in two minutes, want 2", offers)
		}
		tr.Close()
		time.Sleep(time.Hour)
	})
}

func TestClient_C07_badSwitch(t *testing.T) {
	for name, head := range map[string]string{
		"another protocol": "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: websocket\n\n",
		"none":             "HTTP/1.1 101 Switching Protocols\n\n",
		"no Connection":    "HTTP/1.1 101 Switching Protocols\nUpgrade: h2c\n\n",
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			closed := make(chan error, 10)
			l := peers(t, func(p *peer) {
				if _, _, err := p.request(); err == nil {
					requests.Add(1)
					p.send(head)
					_, err := p.br.ReadByte()
					closed <- err
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			req, _ := http.NewRequest("GET", "http://example.com/", nil)
			resp, err := tr.RoundTrip(req)
			var he *h2c.HandshakeError
			if err == nil {
				resp.Body.Close()
			}
			if !errors.As(err, &he) || he.Reason != h2c.ReasonSwitchInvalid {
				t.Errorf("got %v", err)
			}
			if err := <-closed; err != io.EOF {
				t.Errorf("connection: %v", err)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Run("unasked", func(t *testing.T) {
		l := peers(t, func(p *peer) {
			if _, _, err := p.request(); err == nil {
				p.send(wantSwitching)
				p.br.ReadByte()
			}
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModeHTTP1})
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != h2c.ReasonSwitchInvalid {
			t.Errorf("got %v", err)
		}
	})
}

// h2Only answers HTTP/1.1 with a SETTINGS frame and closes, and speaks HTTP/2 otherwise.
func h2Only(requests *atomic.Int64) func(*peer) {
	return func(p *peer) {
		b, err := p.br.Peek(3)
		if err != nil {
			return
		}
		p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
		if string(b) != "PRI" {
			p.frames(func(fr *http2.Framer) { fr.WriteGoAway(0, http2.ErrCodeProtocol, nil) })
			return
		}
		if p.preface() != nil {
			return
		}
		requests.Add(1)
		p.fr.WriteSettingsAck()
		p.serveStreams()
	}
}

func TestClient_C08_http2Only(t *testing.T) {
	for _, tt := range []struct{ method, body string }{{"GET", ""}, {"POST", "body"}} {
		var conns atomic.Int64
		l := peers(t, h2Only(&conns))
		tr := transport(t, l, new(h2c.Transport))
		for range 3 {
			if got := fetch(t, tr, tt.method, "/", tt.body); got != "HTTP/2.0 200 ok" {
				t.Errorf("got %q", got)
			}
		}
		if n := conns.Load(); n != 1 {
			t.Errorf("%d connections by prior knowledge", n)
		}
		if got := tr.Stats(); got.PriorKnowledge != 1 || got.Failed[h2c.ReasonHTTP2Only] != 1 {
			t.Errorf("%+v", got)
		}
	}
	var conns atomic.Int64
	tr := transport(t, peers(t, h2Only(&conns)), &h2c.Transport{Mode: h2c.ModeUpgrade})
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	if resp, err := tr.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Error("ModeUpgrade spoke by prior knowledge")
	}
}

func TestClient_C09_http1Only(t *testing.T) {
	l := peers(t, func(p *peer) {
		p.br.Peek(1)
		p.send("HTTP/1.1 400 Bad Request\nConnection: close\n\n")
	})
	tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	start := time.Now()
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	resp, err := tr.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != h2c.ReasonHTTP1Only {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}

	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) }) // says nothing
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge, HandshakeTimeout: 3 * time.Second})
		start := time.Now()
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != h2c.ReasonNoAnswer {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// A server that cannot bear the offer is asked again without it, if that is allowed.
func TestClient_C14_rejected(t *testing.T) {
	for name, reject := range map[string]func(p *peer){
		"400":   func(p *peer) { p.send("HTTP/1.1 400 Bad Request\nContent-Length: 0\n\n") },
		"413":   func(p *peer) { p.send("HTTP/1.1 413 Too Large\nConnection: close\nContent-Length: 0\n\n") },
		"500":   func(p *peer) { p.send("HTTP/1.1 500 No\nContent-Length: 0\n\n") },
		"close": func(p *peer) { p.nc.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			var offers atomic.Int64
			l := peers(t, func(p *peer) {
				for {
					req, _, err := p.request()
					if err != nil {
						return
					}
					if req.Header.Get("Upgrade") != "" {
						offers.Add(1)
						reject(p)
						continue
					}
					p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			for range 2 {
				if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/1.1 200 ok" {
					t.Errorf("got %q", got)
				}
			}
			if n := offers.Load(); n != 1 {
				t.Errorf("%d offers", n)
			}

			tr = transport(t, l, new(h2c.Transport)) // which may not repeat this one
			req, _ := http.NewRequest("DELETE", "http://example.com/", nil)
			resp, err := tr.RoundTrip(req)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == 200 {
					t.Error("DELETE was repeated")
				}
			}
			if he := (*h2c.HandshakeError)(nil); name == "close" && (!errors.As(err, &he) || he.Reason != h2c.ReasonRejected) {
				t.Errorf("DELETE: %v", err)
			}
		})
	}
}

// The server goes away right after stream 1: its response stands, the next request dials.
func TestClient_C15_goAwayAfterFirst(t *testing.T) {
	for name, leave := range map[string]func(*http2.Framer){
		"GOAWAY": func(fr *http2.Framer) { fr.WriteGoAway(1, http2.ErrCodeNo, nil) },
		"close":  func(fr *http2.Framer) {},
	} {
		t.Run(name, func(t *testing.T) {
			l := peers(t, func(p *peer) {
				if !p.offer() {
					return
				}
				p.frames(func(fr *http2.Framer) {
					fr.WriteSettings()
					answer(fr, 1, "ok")
					leave(fr)
				})
				p.preface()
				if name == "GOAWAY" {
					io.Copy(io.Discard, p.br)
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			for range 5 {
				if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/2.0 200 ok" {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}

// A server whose HTTP/2 connections do not last gets what cannot carry an offer over HTTP/1.1.
func TestClient_C11_noConnectionLasts(t *testing.T) {
	var posts atomic.Int64
	l := peers(t, func(p *peer) {
		req, body, err := p.request()
		switch {
		case err != nil:
			return
		case req.Method == "POST":
			posts.Add(1)
			p.send("HTTP/1.1 200 OK\nContent-Length: 5\n\n" + body)
			return
		}
		p.send(wantSwitching)
		p.frames(func(fr *http2.Framer) {
			fr.WriteSettings()
			answer(fr, 1, "ok")
			fr.WriteGoAway(1, http2.ErrCodeNo, nil)
		})
		p.preface()
		io.Copy(io.Discard, p.br)
	})
	tr := transport(t, l, new(h2c.Transport))
	for range 3 {
		posts.Store(0)
		if got := fetch(t, tr, "POST", "/", "hello"); got != "HTTP/1.1 200 hello" || posts.Load() != 1 {
			t.Errorf("got %q, handled %d times", got, posts.Load())
		}
	}
}

// The connection breaks: a request that may be repeated is, on another connection.
func TestClient_C11_connectionLost(t *testing.T) {
	var posts atomic.Int64
	l := peers(t, func(p *peer) {
		if !p.offer() {
			return
		}
		p.frames(func(fr *http2.Framer) {
			fr.WriteSettings()
			answer(fr, 1, "ok")
		})
		if p.preface() != nil {
			return
		}
		for {
			f, err := p.fr.ReadFrame()
			if err != nil {
				return
			}
			if h, ok := f.(*http2.HeadersFrame); ok {
				if !h.StreamEnded() {
					posts.Add(1)
				}
				return // closes the connection, without an answer
			}
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/2.0 200 ok" { // by a new offer
		t.Errorf("got %q", got)
	}
	for _, body := range []string{"body", strings.Repeat("more than a window", 100_000)} {
		posts.Store(0)
		req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader(body))
		if resp, err := tr.RoundTrip(req); err == nil {
			resp.Body.Close()
			t.Error("POST succeeded")
		}
		if n := posts.Load(); n != 1 {
			t.Errorf("POST of %d octets sent %d times", len(body), n)
		}
	}
}

// C-13: a cancelled context ends the wait at every stage.
func TestClient_C13_cancel(t *testing.T) {
	stages := map[string]func(p *peer){
		"before the request is read": func(p *peer) {},
		"before the 101":             func(p *peer) { p.request() },
		"after the 101":              func(p *peer) { p.offer() },
		"after the preface": func(p *peer) {
			if p.offer() {
				p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
				p.preface()
			}
		},
	}
	for name, script := range stages {
		for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
			if mode == h2c.ModePriorKnowledge && name != "before the request is read" {
				continue // the other scripts switch by 101
			}
			synctest.Test(t, func(t *testing.T) {
				l := peers(t, func(p *peer) {
					script(p)
					io.Copy(io.Discard, p.br)
				})
				tr := transport(t, l, &h2c.Transport{Mode: mode, HandshakeTimeout: -1})
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				for range 3 { // one negotiates, the others wait
					wg.Go(func() {
						req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
						if resp, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
							if err == nil {
								resp.Body.Close()
							}
							t.Errorf("%s: %v", name, err)
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

func TestClient_closed(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	tr.CloseIdleConnections()
	eventually(t, "idle connection closed", func() bool { return tr.Stats().Active == 0 })
	fetch(t, tr, "GET", "/", "")
	tr.Close()
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	if resp, err := tr.RoundTrip(req); !errors.Is(err, h2c.ErrTransportClosed) {
		if err == nil {
			resp.Body.Close()
		}
		t.Errorf("got %v", err)
	}
}

// C-11: a server that shuts down while requests come loses none that may be repeated.
func TestClient_C11_shutdownUnderLoad(t *testing.T) {
	var current atomic.Pointer[server]
	start := func() *server {
		ts := serve(t, configured, via)
		current.Store(ts)
		return ts
	}
	ts := start()
	tr := &h2c.Transport{Base: &http.Transport{}}
	tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		for {
			nc, err := current.Load().l.Dial()
			if err == nil {
				return nc, nil
			}
			time.Sleep(time.Millisecond)
		}
	}
	defer tr.Close()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 20 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if got := fetch(t, tr, "GET", "/", ""); !strings.HasPrefix(got, "HTTP/") || !strings.Contains(got, " 200 ") {
					t.Errorf("got %q", got)
				}
				done.Add(1)
			}
		})
	}
	for range 5 {
		n := done.Load()
		eventually(t, "more requests", func() bool { return done.Load() > n+50 })
		old := ts
		ts = start()
		if err := old.hs.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
	cancel()
	wg.Wait()
}

// The context of the request that made the connection ends with that request.
func TestClient_contextOfFirstRequest(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, new(h2c.Transport))
	ctx, cancel := context.WithCancel(context.Background())
	req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	cancel()
	for range 3 {
		fetch(t, tr, "GET", "/", "")
	}
	if got := tr.Stats(); got.Upgraded != 1 {
		t.Errorf("%+v", got)
	}
}

// A request that says something of its connection does not share one.
func TestClient_closeAfter(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	req.Close = true
	resp, err := tr.RoundTrip(req)
	if err != nil || resp.ProtoMajor != 1 {
		t.Errorf("got %v, %v", resp, err)
	}
	resp.Body.Close()
	if got := fetch(t, tr, "GET", "/", ""); !strings.HasPrefix(got, "HTTP/2.0 200") {
		t.Errorf("got %q", got)
	}
	if got := tr.Stats(); got.Upgraded != 1 {
		t.Errorf("%+v", got)
	}
}

// Who waits for an offer that is declined goes on at once, whatever RefusalTTL.
func TestClient_C05_waitersDoNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var offers atomic.Int64
		l := peers(t, func(p *peer) {
			for {
				req, _, err := p.request()
				if err != nil {
					return
				}
				if req.Header.Get("Upgrade") != "" {
					offers.Add(1)
				}
				time.Sleep(time.Second)
				p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		tr := transport(t, l, &h2c.Transport{RefusalTTL: -1})
		start := time.Now()
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() { fetch(t, tr, "GET", "/", "") })
		}
		wg.Wait()
		if took := time.Since(start); took != 2*time.Second || offers.Load() != 1 {
			t.Errorf("took %v with %d offers, want 2s with 1", took, offers.Load())
		}
		tr.Close()
	})
}

// A slow answer to the offer holds others for HandshakeTimeout only.
func TestClient_slowOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			for {
				req, _, err := p.request()
				if err != nil {
					return
				}
				if req.Header.Get("Upgrade") != "" {
					time.Sleep(time.Hour)
				}
				p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
			}
		})
		tr := transport(t, l, &h2c.Transport{HandshakeTimeout: 2 * time.Second})
		start := time.Now()
		go fetch(t, tr, "GET", "/", "")
		synctest.Wait()
		fetch(t, tr, "GET", "/", "")
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("took %v, want 2s", took)
		}
		time.Sleep(time.Hour)
		tr.Close()
	})
}

// The window of stream 1 is the one that Base allows, whatever the server sends at once.
func TestClient_smallWindow(t *testing.T) {
	ts := serve(t, configured, text(strings.Repeat("x", 100_000)))
	tr := transport(t, ts.l, &h2c.Transport{Base: &http.Transport{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 4096}}})
	for range 2 {
		if got := fetch(t, tr, "GET", "/", ""); len(got) != len("HTTP/2.0 200 ")+100_000 {
			t.Errorf("got %d octets", len(got))
		}
	}
}

// An origin that cannot be reached costs everybody one dial.
func TestClient_unreachable(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			unreachable := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("unreachable")}
			tr := &h2c.Transport{Mode: mode, Base: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					time.Sleep(time.Second)
					return nil, unreachable
				},
			}}
			start := time.Now()
			var wg sync.WaitGroup
			for range 20 {
				wg.Go(func() {
					req, _ := http.NewRequest("GET", "http://example.com/", nil)
					resp, err := tr.RoundTrip(req)
					if err == nil {
						resp.Body.Close()
					}
					if !errors.Is(err, unreachable) {
						t.Errorf("got %v", err)
					}
				})
			}
			wg.Wait()
			if took := time.Since(start); took != time.Second {
				t.Errorf("took %v", took)
			}
			tr.Close()
		})
	}
}

// A server that closes without a word, under prior knowledge.
func TestClient_C09_silentClose(t *testing.T) {
	var conns atomic.Int64
	l := peers(t, func(p *peer) {
		conns.Add(1)
		p.br.Peek(1)
	})
	tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	req, _ := http.NewRequest("GET", "http://example.com/", nil)
	resp, err := tr.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if he := (*h2c.HandshakeError)(nil); !errors.As(err, &he) || he.Reason != h2c.ReasonNoAnswer {
		t.Errorf("got %v", err)
	}
	if n := tr.Stats().Failed[h2c.ReasonNoAnswer]; n != 1 || conns.Load() != 1 {
		t.Errorf("%d counted on %d connections", n, conns.Load())
	}
}

// A server that is slow to answer has not rejected the offer.
func TestClient_C14_slowIsNotRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		l := peers(t, func(p *peer) {
			if _, _, err := p.request(); err == nil {
				requests.Add(1)
				time.Sleep(time.Hour)
			}
		})
		tr := transport(t, l, &h2c.Transport{Base: &http.Transport{ResponseHeaderTimeout: time.Second}})
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		start := time.Now()
		resp, err := tr.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
			t.Error("no error")
		}
		if took := time.Since(start); took != time.Second || requests.Load() != 1 {
			t.Errorf("took %v and %d requests", took, requests.Load())
		}
		tr.Close()
		time.Sleep(2 * time.Hour)
	})
}

// A body that is in memory for the offer can go elsewhere.
func TestClient_C08_bodyInMemory(t *testing.T) {
	var conns atomic.Int64
	tr := transport(t, peers(t, h2Only(&conns)), &h2c.Transport{MaxUpgradeBodyBytes: 100})
	req, _ := http.NewRequest("POST", "http://example.com/", io.NopCloser(strings.NewReader("body")))
	req.ContentLength = 4
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.Request != req {
		t.Error("Response.Request is another one")
	}
}
