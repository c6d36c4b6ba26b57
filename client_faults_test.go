package h2c_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// S-04: the server goes after every octet of what it sends.
func TestClient_S04_serverGoes(t *testing.T) {
	var script bytes.Buffer
	script.WriteString(crlf(wantSwitching))
	fr := http2.NewFramer(&script, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	answer(fr, 1, "body")
	for n := range script.Len() + 1 {
		synctest.Test(t, func(t *testing.T) {
			l := peers(t, func(p *peer) {
				if _, _, err := p.request(); err != nil {
					return
				}
				p.nc.Write(script.Bytes()[:n])
				synctest.Wait()
			})
			tr := transport(t, l, new(h2c.Transport))
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "GET", "http://example.com/", nil)
			start := time.Now()
			resp, err := tr.RoundTrip(req)
			if err == nil {
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if whole := n == script.Len(); whole != (err == nil && string(body) == "body") {
					t.Errorf("after %d of %d octets: %q, %v", n, script.Len(), body, err)
				}
			} else if n == script.Len() {
				t.Errorf("all sent: %v", err)
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("after %d octets: took %v", n, took)
			}
			tr.Close()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := tr.Stats(); got.Active != 0 {
				t.Errorf("after %d octets: %+v", n, got)
			}
		})
	}
}

// accepting is a listener of connections that a test makes.
type accepting chan net.Conn

func (l accepting) Accept() (net.Conn, error) {
	if nc, ok := <-l; ok {
		return nc, nil
	}
	return nil, net.ErrClosed
}
func (l accepting) Close() error   { return nil }
func (l accepting) Addr() net.Addr { return &net.TCPAddr{} }

// S-04: the connection fails at the Nth Read or Write of the client, for every N.
func TestClient_S04_everyReadAndWrite(t *testing.T) {
	run := func(t *testing.T, o memnet.Options) (ok int) {
		synctest.Test(t, func(t *testing.T) {
			hs := &http.Server{Handler: via}
			if err := h2c.ConfigureServer(hs, nil); err != nil {
				t.Fatal(err)
			}
			l := make(accepting)
			go hs.Serve(l)
			tr := &h2c.Transport{Base: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) {
					other, mine := memnet.Pipe(o, 1) // faults are those of mine
					l <- other
					return mine, nil
				},
			}}
			for _, body := range []string{"", "body", ""} {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				req, _ := http.NewRequestWithContext(ctx, "PUT", "http://example.com/", bytes.NewReader([]byte(body)))
				if body == "" {
					req.Method, req.Body = "GET", nil
				}
				if resp, err := tr.RoundTrip(req); err == nil {
					if _, err := io.ReadAll(resp.Body); err == nil {
						ok++
					}
					resp.Body.Close()
				} else if ctx.Err() != nil {
					t.Errorf("%+v: still waiting after a minute", o)
				}
				cancel()
			}
			tr.Close()
			close(l)
			hs.Close()
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := tr.Stats(); got.Active != 0 {
				t.Errorf("%+v: %+v", o, got)
			}
		})
		return ok
	}
	if n := run(t, memnet.Options{}); n != 3 {
		t.Fatalf("without a fault, %d requests succeed", n)
	}
	succeeded := make(map[int]bool)
	for n := 1; n <= 30; n++ {
		for _, o := range []memnet.Options{{FailRead: n}, {FailWrite: n}, {FailRead: n, MaxRead: 9}} {
			succeeded[run(t, o)] = true
		}
	}
	if !succeeded[0] || !succeeded[3] || len(succeeded) < 3 {
		t.Errorf("no fault hit the handshake, or what came after: %v", succeeded)
	}
}
