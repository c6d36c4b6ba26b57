package h2c_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

// posts returns how often a POST is sent whose stream, or connection, ends in a way.
func posts(t *testing.T, end func(p *peer, id uint32)) int64 {
	var n atomic.Int64
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
		p.fr.WriteSettingsAck()
		for {
			f, err := p.fr.ReadFrame()
			if err != nil {
				return
			}
			if d, ok := f.(*http2.DataFrame); ok && d.StreamEnded() {
				if n.Add(1) == 1 {
					end(p, d.StreamID)
					continue
				}
				p.frames(func(fr *http2.Framer) { answer(fr, d.StreamID, "ok") })
			}
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader("body"))
	resp, err := tr.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return n.Load()
}

// A POST is sent again if the server says that it has not processed it, and not otherwise.
func TestClient_C11_postRepeated(t *testing.T) {
	for code, want := range map[http2.ErrCode]int64{http2.ErrCodeRefusedStream: 2, http2.ErrCodeInternal: 1, http2.ErrCodeCancel: 1} {
		if n := posts(t, func(p *peer, id uint32) { p.fr.WriteRSTStream(id, code) }); n != want {
			t.Errorf("%v: sent %d times, want %d", code, n, want)
		}
	}
	if n := posts(t, func(p *peer, id uint32) { p.fr.WriteGoAway(id-2, http2.ErrCodeNo, nil) }); n != 2 {
		t.Errorf("GOAWAY: sent %d times, want 2", n)
	}
	if n := posts(t, func(p *peer, id uint32) { p.fr.WriteGoAway(id, http2.ErrCodeNo, nil); p.nc.Close() }); n != 1 {
		t.Errorf("GOAWAY that names it: sent %d times, want 1", n)
	}
}

// A body that was read, and cannot be replayed, is not sent twice.
func TestClient_C10_notReplayed(t *testing.T) {
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
					p.fr.ReadFrame() // the body
				}
				return
			}
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	req, _ := http.NewRequest("PUT", "http://example.com/", io.NopCloser(strings.NewReader("body")))
	req.Header.Set("Idempotency-Key", "1")
	req.ContentLength = 4
	resp, err := tr.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	if n := posts.Load(); n != 1 {
		t.Errorf("sent %d times: %v", n, err)
	}
}

// A connection in the pool is not for https.
func TestClient_C12_pooled(t *testing.T) {
	for _, u := range []string{"https://example.com/", "https://example.com:80/"} {
		ts := serve(t, configured, via)
		tr := transport(t, ts.l, new(h2c.Transport))
		fetch(t, tr, "GET", "/", "")
		req, _ := http.NewRequest("GET", u, nil)
		resp, err := tr.RoundTrip(req)
		if err == nil {
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			t.Errorf("%s served in cleartext: %s %s", u, resp.Proto, b)
		}
	}
}

// What the user asks for by a field of their own is not unpacked.
func TestClient_C03_notUnpacked(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "packed")
	}))
	for _, name := range []string{"Accept-Encoding", "Range"} {
		tr := transport(t, ts.l, new(h2c.Transport))
		req, _ := http.NewRequest("GET", "http://example.com/", nil)
		req.Header.Set(name, map[string]string{"Accept-Encoding": "gzip", "Range": "bytes=0-"}[name])
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if string(b) != "packed" || resp.Uncompressed {
			t.Errorf("%s: %q %v", name, b, err)
		}
		resp.Body.Close()
	}
}

// Who waits for the offer of another request gives up with its own context.
func TestClient_C13_waiterCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) })
		tr := transport(t, l, &h2c.Transport{HandshakeTimeout: -1})
		bg, stop := context.WithCancel(context.Background())
		go func() {
			req, _ := http.NewRequestWithContext(bg, "GET", "http://example.com/", nil)
			tr.RoundTrip(req)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() {
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			_, err := tr.RoundTrip(req)
			done <- err
		}()
		time.Sleep(2 * time.Second)
		select {
		case err := <-done:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		default:
			t.Error("still waiting")
		}
		stop()
		tr.Close()
		time.Sleep(time.Hour)
	})
}

// Close breaks requests over HTTP/1.1, and during the handshake.
func TestClient_C13_closeBreaks(t *testing.T) {
	for _, mode := range []h2c.Mode{h2c.ModeHTTP1, h2c.ModeAuto, h2c.ModePriorKnowledge} {
		synctest.Test(t, func(t *testing.T) {
			l := peers(t, func(p *peer) { io.Copy(io.Discard, p.br) })
			tr := transport(t, l, &h2c.Transport{Mode: mode, HandshakeTimeout: -1})
			done := make(chan error, 1)
			ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
			defer cancel()
			go func() {
				req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
				_, err := tr.RoundTrip(req)
				done <- err
			}()
			synctest.Wait()
			tr.Close()
			start := time.Now()
			<-done
			if time.Since(start) > time.Second {
				t.Errorf("mode %d: Close did not break the request", mode)
			}
		})
	}
}
