package h2c_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// A slowWriter is a connection of which each Write takes a millisecond.
type slowWriter struct{ net.Conn }

func (c slowWriter) Write(p []byte) (int, error) {
	time.Sleep(time.Millisecond)
	return c.Conn.Write(p)
}

// slowly makes tr dial l, 10 ms away, by connections that write slowly.
func slowly(tr *h2c.Transport, l *memnet.Listener) {
	tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		time.Sleep(10 * time.Millisecond)
		nc, err := l.Dial()
		return slowWriter{nc}, err
	}
}

// limitedStreams serves a connection on which limit tells how many streams may be open, as far
// as the server has said when it has seen a number of them. It counts those that are refused.
func limitedStreams(p *peer, upgrade bool, refused *atomic.Int64, limit func(seen int) uint32) {
	if upgrade && !p.offer() || p.preface() != nil {
		return
	}
	time.Sleep(20 * time.Millisecond) // others have reserved what they may by now
	var mu sync.Mutex
	seen, open, now := 0, 0, limit(0)
	settings := func() {
		p.fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: now})
	}
	settings()
	if upgrade {
		p.frames(func(fr *http2.Framer) { answer(fr, 1, "ok") })
	}
	for {
		f, err := p.fr.ReadFrame()
		if err != nil {
			return
		}
		mu.Lock()
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				p.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			p.fr.WritePing(true, f.Data)
		case *http2.HeadersFrame:
			if seen++; limit(seen) != now {
				now = limit(seen)
				settings()
			}
			if open++; open > int(limit(0)) {
				open--
				refused.Add(1)
				p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
				break
			}
			time.AfterFunc(50*time.Millisecond, func() {
				mu.Lock()
				defer mu.Unlock()
				open--
				p.frames(func(fr *http2.Framer) { answer(fr, f.StreamID, "ok") })
			})
		}
		mu.Unlock()
	}
}

// Requests that have a connection and no stream yet must not wait for each other when the
// server says how many streams it allows, at first or later on. (In real time: those who wait for
// a Write wait for a mutex.)
func TestClient_pool_limit(t *testing.T) {
	for name, limit := range map[string]func(seen int) uint32{
		"at first": func(int) uint32 { return 10 },
		"lowered": func(seen int) uint32 {
			if seen > 3 {
				return 5
			}
			return 200
		},
	} {
		for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
			t.Run(fmt.Sprint(name, " mode ", mode), func(t *testing.T) {
				var refused atomic.Int64
				l := peers(t, func(p *peer) { limitedStreams(p, mode == h2c.ModeAuto, &refused, limit) })
				tr := transport(t, l, &h2c.Transport{Mode: mode})
				slowly(tr, l)
				var wg sync.WaitGroup
				for range 150 {
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
						defer cancel()
						req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
						resp, err := tr.RoundTrip(req)
						if err != nil {
							t.Error(err)
							return
						}
						io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					})
				}
				wg.Wait()
				if refused.Load() > 0 {
					t.Errorf("%d streams above the limit", refused.Load())
				}
			})
		}
	}
}

// A server that allows no streams is not waited for.
func TestClient_pool_noStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			p.frames(func(fr *http2.Framer) {
				fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
			})
			if p.preface() == nil {
				for {
					f, err := p.fr.ReadFrame()
					if err != nil {
						return
					}
					if h, ok := f.(*http2.HeadersFrame); ok {
						p.fr.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
					}
				}
			}
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			if _, err := tr.RoundTrip(req); err == nil || ctx.Err() != nil {
				t.Errorf("%v, want an error of the connection", err)
			}
			cancel()
		}
		tr.Close()
	})
}

// refuseSome answers streams, but refuses every other one.
func refuseSome(p *peer) {
	p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
	if p.preface() != nil {
		return
	}
	for n := 1; ; {
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
			if n++; n%2 == 1 {
				p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
			} else {
				p.frames(func(fr *http2.Framer) { answer(fr, f.StreamID, "ok") })
			}
		}
	}
}

// A stream that is refused says nothing against its connection.
func TestClient_pool_refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := transport(t, peers(t, refuseSome), &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		for range 10 {
			fetch(t, tr, "GET", "/", "")
		}
		if s := tr.Stats(); s.PriorKnowledge != 1 {
			t.Errorf("%d connections", s.PriorKnowledge)
		}
		tr.CloseIdleConnections()
		synctest.Wait()
		if s := tr.Stats(); s.Active != 0 {
			t.Errorf("%d connections are open after CloseIdleConnections", s.Active)
		}
	})
}

// An error that is the request's own is not the server's silence, and leaves nothing open.
func TestClient_pool_invalidRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			time.Sleep(time.Second)
			p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			io.Copy(io.Discard, p.br)
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		req.Header.Set("X", "a\nb")
		_, err := tr.RoundTrip(req)
		var failed *h2c.HandshakeError
		if err == nil || errors.As(err, &failed) {
			t.Errorf("%v, want an error about the field", err)
		}
		time.Sleep(time.Minute)
		if s := tr.Stats(); s.Active != 0 || len(s.Failed) > 0 {
			t.Errorf("%+v", s)
		}
	})
}

// CloseIdleConnections must not break a request that has just got its connection.
func TestClient_pool_closeIdle(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	over := time.Now().Add(3 * time.Second)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for time.Now().Before(over) {
				fetch(t, tr, "POST", "/", "x")
			}
		})
		wg.Go(func() {
			for time.Now().Before(over) {
				tr.CloseIdleConnections()
			}
		})
	}
	wg.Wait()
}

// A request that was given up does not keep its connection from being idle.
func TestClient_pool_silent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) {
			p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			io.Copy(io.Discard, p.br)
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
		if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		tr.CloseIdleConnections()
		synctest.Wait()
		if s := tr.Stats(); s.Active != 0 {
			t.Errorf("%d connections are open", s.Active)
		}
	})
}

// A server that takes no requests for a while loses none.
func TestClient_pool_refusedForAWhile(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			l := peers(t, func(p *peer) {
				if mode == h2c.ModeAuto && !p.offer() {
					return
				}
				p.frames(func(fr *http2.Framer) {
					fr.WriteSettings()
					if mode == h2c.ModeAuto {
						answer(fr, 1, "ok")
					}
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
						if time.Since(begin) < 700*time.Millisecond {
							p.fr.WriteRSTStream(h.StreamID, http2.ErrCodeRefusedStream)
						} else {
							p.frames(func(fr *http2.Framer) { answer(fr, h.StreamID, "ok") })
						}
					}
				}
			})
			tr := transport(t, l, &h2c.Transport{Mode: mode})
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if got := fetch(t, tr, "GET", "/", ""); got != "HTTP/2.0 200 ok" {
						t.Errorf("mode %d: %q", mode, got)
					}
				})
			}
			wg.Wait()
			if s := tr.Stats(); s.Upgraded+s.PriorKnowledge != 1 {
				t.Errorf("mode %d: %+v, want one connection", mode, s)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			begin = time.Now()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			if _, err := tr.RoundTrip(req); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("mode %d: %v", mode, err)
			}
			tr.Close()
		})
	}
}

// What counts is that the field is there, as in net/http.
func TestClient_C11_emptyIdempotencyKey(t *testing.T) {
	for _, name := range []string{"Idempotency-Key", "X-Idempotency-Key"} {
		l := peers(t, func(p *peer) {
			p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			if p.preface() != nil {
				return
			}
			if p.n > 1 {
				p.serveStreams()
				return
			}
			for {
				if f, err := p.fr.ReadFrame(); err != nil || f.Header().Type == http2.FrameHeaders {
					return
				}
			}
		})
		tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
		req, _ := http.NewRequest("POST", "http://example.com/", nil)
		req.Header[name] = nil
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		resp.Body.Close()
	}
}

// A onceBody cannot be replayed, and counts how often it is closed.
type onceBody struct {
	io.Reader
	closed atomic.Int64
}

func (b *onceBody) Close() error { b.closed.Add(1); return nil }

// A body that was not read is sent again, and closed once.
func TestClient_C11_bodyNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bodies := make(chan string, 1)
		l := peers(t, func(p *peer) {
			p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
			if p.preface() != nil {
				return
			}
			for streams := 0; ; {
				f, err := p.fr.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.HeadersFrame:
					if streams++; p.n == 1 && streams == 1 {
						p.fr.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
					} else if p.n == 1 {
						p.fr.WriteGoAway(1, http2.ErrCodeNo, nil)
					}
				case *http2.DataFrame:
					bodies <- string(f.Data())
					p.frames(func(fr *http2.Framer) { answer(fr, f.StreamID, "ok") })
				}
			}
		})
		tr := transport(t, l, &h2c.Transport{
			Mode: h2c.ModePriorKnowledge,
			Base: &http.Transport{ExpectContinueTimeout: time.Second},
		})
		body := &onceBody{Reader: io.MultiReader(strings.NewReader("abc"))}
		req, _ := http.NewRequest("POST", "http://example.com/", body)
		req.Header.Set("Expect", "100-continue")
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := <-bodies; got != "abc" {
			t.Errorf("body is %q", got)
		}
		if n := body.closed.Load(); n != 1 {
			t.Errorf("closed %d times", n)
		}

		body = &onceBody{Reader: strings.NewReader("abc")}
		req, _ = http.NewRequest("POST", "http://example.com/", body)
		req.Header.Set("X", "a\nb")
		if _, err := tr.RoundTrip(req); err == nil || body.closed.Load() != 1 {
			t.Errorf("%v, and closed %d times", err, body.closed.Load())
		}
	})
}

// An origin is not forgotten between two attempts of a request.
func TestClient_pool_sweep(t *testing.T) {
	l := peers(t, func(p *peer) {
		p.frames(func(fr *http2.Framer) { fr.WriteSettings() })
		if p.preface() != nil {
			return
		}
		if p.n > 1 {
			p.serveStreams()
			return
		}
		for {
			f, err := p.fr.ReadFrame()
			if err != nil {
				return
			}
			if f.Header().Type == http2.FrameData {
				p.fr.WriteGoAway(0, http2.ErrCodeNo, nil)
			}
		}
	})
	tr := transport(t, l, &h2c.Transport{Mode: h2c.ModePriorKnowledge})
	dial := tr.Base.DialContext
	tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr != "example.com:80" {
			return nil, errors.New("unreachable")
		}
		return dial(ctx, network, addr)
	}
	req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader("x"))
	get := req.GetBody
	req.GetBody = func() (io.ReadCloser, error) {
		for i := range 3000 {
			other, _ := http.NewRequest("GET", fmt.Sprintf("http://%d.example.com/", i), nil)
			tr.RoundTrip(other)
		}
		return get()
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	fetch(t, tr, "GET", "/", "")
	if s := tr.Stats(); s.PriorKnowledge != 2 {
		t.Errorf("%d connections, want that of the second attempt to be used again", s.PriorKnowledge)
	}
}
