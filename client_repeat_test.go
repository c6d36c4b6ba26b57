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

// sent returns how often a request with a body is sent whose stream, or connection, ends in a way.
func sent(t *testing.T, req *http.Request, end func(p *peer, id uint32)) int64 {
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
			switch f := f.(type) {
			case *http2.HeadersFrame:
				n.Add(1)
			case *http2.DataFrame:
				switch {
				case !f.StreamEnded():
				case n.Load() == 1:
					end(p, f.StreamID)
				default:
					p.frames(func(fr *http2.Framer) { answer(fr, f.StreamID, "ok") })
				}
			}
		}
	})
	tr := transport(t, l, new(h2c.Transport))
	fetch(t, tr, "GET", "/", "")
	resp, err := tr.RoundTrip(req)
	if err == nil {
		resp.Body.Close()
	}
	return n.Load()
}

// A POST is sent again if the server says that it has not processed it, and not otherwise.
func TestClient_C11_postRepeated(t *testing.T) {
	post := func() *http.Request {
		req, _ := http.NewRequest("POST", "http://example.com/", strings.NewReader("body"))
		return req
	}
	for code, want := range map[http2.ErrCode]int64{http2.ErrCodeRefusedStream: 2, http2.ErrCodeInternal: 1, http2.ErrCodeCancel: 1} {
		if n := sent(t, post(), func(p *peer, id uint32) { p.fr.WriteRSTStream(id, code) }); n != want {
			t.Errorf("%v: sent %d times, want %d", code, n, want)
		}
	}
	if n := sent(t, post(), func(p *peer, id uint32) { p.fr.WriteGoAway(id-2, http2.ErrCodeNo, nil) }); n != 2 {
		t.Errorf("GOAWAY: sent %d times, want 2", n)
	}
	if n := sent(t, post(), func(p *peer, id uint32) { p.fr.WriteGoAway(id, http2.ErrCodeNo, nil); p.nc.Close() }); n != 1 {
		t.Errorf("GOAWAY that names it: sent %d times, want 1", n)
	}
}

// A body that was read, and cannot be replayed, is not sent twice.
func TestClient_C10_notReplayed(t *testing.T) {
	req, _ := http.NewRequest("PUT", "http://example.com/", io.NopCloser(strings.NewReader("body")))
	req.Header.Set("Idempotency-Key", "1")
	req.ContentLength = 4
	if n := sent(t, req, func(p *peer, id uint32) { p.nc.Close() }); n != 1 {
		t.Errorf("sent %d times", n)
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
