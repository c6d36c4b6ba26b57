package h2c_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

// A countedBody counts how it is used.
type countedBody struct {
	io.Reader
	closed atomic.Int64
	late   atomic.Bool // it was read after Close
}

func (b *countedBody) Read(p []byte) (int, error) {
	if b.closed.Load() > 0 {
		b.late.Store(true)
	}
	return b.Reader.Read(p)
}

func (b *countedBody) Close() error {
	b.closed.Add(1)
	return nil
}

func post(body io.Reader) *http.Request {
	req, err := http.NewRequest("POST", "http://example.com/", body)
	if err != nil {
		panic(err)
	}
	return req
}

// refuseStreams refuses all streams.
func refuseStreams(p *peer) {
	p.fr.WriteSettings()
	if p.preface() != nil {
		return
	}
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		if f, ok := f.(*http2.HeadersFrame); ok {
			p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
		}
	}
}

// The body of a request that fails is closed once, and not read afterwards, also when it is closed before
// it is read.
func TestClient_C11_bodyClosed(t *testing.T) {
	tr := transport(t, peers(t, refuseStreams), &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	for name, before := range map[string]func(*http.Request) *http.Request{
		"refused before it is read": func(r *http.Request) *http.Request {
			slow := &httptrace.ClientTrace{WroteHeaders: func() { time.Sleep(20 * time.Millisecond) }}
			return r.WithContext(httptrace.WithClientTrace(r.Context(), slow))
		},
		"refused while it is read": func(r *http.Request) *http.Request { return r },
		"given up between attempts": func(r *http.Request) *http.Request {
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("abc")), nil }
			return r
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		body := &countedBody{Reader: strings.NewReader("abc")}
		resp, err := tr.RoundTrip(before(post(body).WithContext(ctx)))
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s: answered", name)
		}
		eventually(t, name+": closed", func() bool { return body.closed.Load() > 0 })
		time.Sleep(50 * time.Millisecond)
		if n := body.closed.Load(); n != 1 || body.late.Load() {
			t.Errorf("%s: closed %d times, read afterwards: %v", name, n, body.late.Load())
		}
		cancel()
	}
}

// An error of a body is what its request fails with, whatever it looks like, and that is not repeated.
func TestClient_C11_bodyErrors(t *testing.T) {
	for _, want := range []error{
		http2.StreamError{StreamID: 5, Code: http2.ErrCodeRefusedStream, Cause: errors.New("of another connection")},
		errors.New("http2: client conn not usable"),
	} {
		var handled atomic.Int64
		ts := serve(t, configured, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			handled.Add(1)
			io.Copy(io.Discard, r.Body)
		}))
		tr := transport(t, ts.l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		req := post(nil)
		req.GetBody = func() (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(want))), nil
		}
		req.Body, _ = req.GetBody()
		if _, err := tr.RoundTrip(req); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
		if n := handled.Load(); n > 1 {
			t.Errorf("%v: handled %d times", want, n)
		}
	}
}

// A slowBody takes a moment for each Read.
type slowBody struct{ io.Reader }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(50 * time.Millisecond)
	return b.Reader.Read(p)
}

// An error of a body is no matter of others, who wait for the same connection.
func TestClient_C13_bodyErrorOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			if p.preface() != nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
			p.fr.WriteSettings()
			p.serveStreams()
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		want := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("another service is down")}
		failed := make(chan error, 1)
		go func() {
			_, err := tr.RoundTrip(post(slowBody{iotest.ErrReader(want)}))
			failed <- err
		}()
		synctest.Wait()
		if got := fetch(t, tr, "GET", "/", ""); !strings.Contains(got, "ok") {
			t.Errorf("got %q", got)
		}
		if err := <-failed; !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	})
}

// Where nothing but HTTP/2 is spoken, nobody goes on over HTTP/1.1 because the connection is slow in
// coming.
func TestClient_C06_slowDialHTTP2Only(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			p.fr.WriteSettings()
			if b, err := p.br.Peek(3); err != nil || string(b) != "PRI" {
				return
			}
			if p.preface() == nil {
				p.serveStreams()
			}
		})
		var wait atomic.Bool // the next dial does
		tr := transport(t, l, &h2c.Transport{HandshakeTimeout: 200 * time.Millisecond})
		tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) {
			if wait.CompareAndSwap(true, false) {
				time.Sleep(time.Second)
			}
			return l.Dial()
		}
		fetch(t, tr, "GET", "/", "")
		tr.CloseIdleConnections()
		wait.Store(true)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				resp, err := tr.RoundTrip(post(io.MultiReader(strings.NewReader("x"))))
				if err != nil {
					t.Error(err)
					return
				}
				resp.Body.Close()
			})
		}
		wg.Wait()
	})
}

// Whatever becomes of OPTIONS, a connection that has switched is used.
func TestClient_C04_optionsFails(t *testing.T) {
	for name, end := range map[string]func(fr *http2.Framer){
		"reset":     func(fr *http2.Framer) { fr.WriteRSTStream(1, http2.ErrCodeInternal) },
		"cancelled": func(fr *http2.Framer) { fr.WriteRSTStream(1, http2.ErrCodeCancel) },
		"no status": func(fr *http2.Framer) {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x84}, EndHeaders: true, EndStream: true})
		},
		"never answered": func(*http2.Framer) {},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := peers(t, func(p *peer) {
				if !p.offer() {
					return
				}
				p.frames(func(fr *http2.Framer) {
					fr.WriteSettings()
					end(fr)
				})
				if p.preface() == nil {
					p.serveStreams()
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			start := time.Now()
			if got := fetch(t, tr, "POST", "/", "body"); !strings.Contains(got, "ok") {
				t.Errorf("%s: got %q", name, got)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("%s: it took %v", name, took)
			}
			if got := tr.Stats(); got.Upgraded != 1 || len(got.Declined) > 0 {
				t.Errorf("%s: %+v", name, got)
			}
		})
	}
}

// A server that does not answer OPTIONS within ResponseHeaderTimeout has declined.
func TestClient_C04_optionsHeaderTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			for {
				req, _, err := p.request()
				if err != nil {
					return
				}
				if req.Method != http.MethodOptions {
					p.send("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
				}
			}
		})
		tr := transport(t, l, &h2c.Transport{Base: &http.Transport{ResponseHeaderTimeout: time.Second}})
		for range 2 {
			if got := fetch(t, tr, "POST", "/", "body"); !strings.Contains(got, "ok") {
				t.Errorf("got %q", got)
			}
		}
		if got := tr.Stats().Declined; got[h2c.ReasonRejected] != 1 {
			t.Errorf("declined: %v", got)
		}
	})
}

// A request that cannot be written says nothing about its origin.
func TestClient_C05_localErrors(t *testing.T) {
	for name, spoil := range map[string]func(*http.Request){
		"length without a body": func(r *http.Request) { r.ContentLength = 5 },
		"control character":     func(r *http.Request) { r.URL.RawQuery = "a=\x01" },
	} {
		for _, method := range []string{"GET", "DELETE"} {
			ts := serve(t, configured, http.HandlerFunc(via))
			tr := transport(t, ts.l, new(h2c.Transport))
			req, _ := http.NewRequest(method, "http://example.com/", nil)
			spoil(req)
			var failed *h2c.HandshakeError
			if _, err := tr.RoundTrip(req); err == nil || errors.As(err, &failed) {
				t.Errorf("%s, %s: got %v", name, method, err)
			}
			fetch(t, tr, "GET", "/", "")
			if got := tr.Stats(); got.Upgraded != 1 || len(got.Declined) > 0 {
				t.Errorf("%s, %s: %+v", name, method, got)
			}
		}
	}
}

// A request is in progress until its body has been sent, though its response has ended.
func TestClient_C13_idleUpload(t *testing.T) {
	got := make(chan string, 1)
	l := peers(t, func(p *peer) {
		p.fr.WriteSettings()
		if p.preface() != nil {
			return
		}
		var body []byte
		for {
			f, err := p.fr.ReadFrame()
			if err != nil {
				return
			}
			switch f := f.(type) {
			case *http2.HeadersFrame:
				p.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true})
			case *http2.DataFrame:
				if body = append(body, f.Data()...); f.StreamEnded() {
					got <- string(body)
				}
			}
		}
	})
	tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	r, w := io.Pipe()
	go io.WriteString(w, "abc")
	resp, err := tr.RoundTrip(post(r))
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	tr.CloseIdleConnections()
	if _, err := io.WriteString(w, "def"); err != nil {
		t.Error(err)
	}
	w.Close()
	if body := <-got; body != "abcdef" {
		t.Errorf("got %q", body)
	}
	eventually(t, "it is closed", func() bool {
		tr.CloseIdleConnections()
		return tr.Stats().Active == 0
	})
}

// A response that can have no body is over, whether or not somebody closes that.
func TestClient_C13_notModified(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusNotModified)
	}))
	tr := transport(t, ts.l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	for range 600 {
		if _, err := tr.RoundTrip(post(nil)); err != nil {
			t.Fatal(err)
		}
	}
	if got := tr.Stats().PriorKnowledge; got != 1 {
		t.Errorf("%d connections", got)
	}
	tr.CloseIdleConnections()
	eventually(t, "it is closed", func() bool { return tr.Stats().Active == 0 })
}

// Others need not wait while the body of a request is read that is to carry the offer.
func TestClient_C13_slowBodyOfOffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }))
		tr := transport(t, ts.l, &h2c.Transport{MaxUpgradeBodyBytes: 10})
		r, w := io.Pipe()
		req := post(r)
		req.ContentLength = 10
		done := make(chan string, 1)
		go func() {
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Error(err)
				close(done)
				return
			}
			defer resp.Body.Close()
			b, _ := io.ReadAll(resp.Body)
			done <- string(b)
		}()
		synctest.Wait()
		start := time.Now()
		fetch(t, tr, "GET", "/", "")
		if took := time.Since(start); took > 0 {
			t.Errorf("it took %v", took)
		}
		io.WriteString(w, "0123456789")
		w.Close()
		if got := <-done; got != "0123456789" {
			t.Errorf("got %q", got)
		}
		if got := tr.Stats().Upgraded; got != 1 {
			t.Errorf("%d connections", got)
		}
	})
}

// A stream 1 that is refused in the same segment as everything before it has not been processed.
func TestClient_C11_refusedAtOnce(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			l := peers(t, func(p *peer) {
				if !p.offer() {
					return
				}
				p.frames(func(fr *http2.Framer) {
					fr.WriteSettings()
					if p.n == 1 {
						fr.WriteRSTStream(1, http2.ErrCodeRefusedStream)
						for range 200 {
							fr.WritePing(false, [8]byte{})
						}
					} else {
						answer(fr, 1, "ok")
					}
				})
				if p.preface() == nil {
					p.serveStreams()
				}
			})
			tr := transport(t, l, new(h2c.Transport))
			if got := fetch(t, tr, "DELETE", "/", ""); !strings.Contains(got, "ok") {
				t.Errorf("got %q", got)
			}
			if got := tr.Stats().Declined; len(got) > 0 {
				t.Errorf("declined: %v", got)
			}
		})
	}
}

// A connection of Base need not have an address.
func TestClient_noAddresses(t *testing.T) {
	ts := serve(t, configured, text("ok"))
	tr := transport(t, ts.l, new(h2c.Transport))
	tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		nc, err := ts.l.Dial()
		return noAddr{nc}, err
	}
	fetch(t, tr, "GET", "/", "")
	tr.CloseIdleConnections()
	eventually(t, "it is closed", func() bool { return tr.Stats().Active == 0 })
}

type noAddr struct{ net.Conn }

func (noAddr) RemoteAddr() net.Addr { return nil }
