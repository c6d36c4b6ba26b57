package h2c_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// exchange is a whole connection: an upgrade with a body, its response, another stream.
// Each step may fail.
func exchange(c *client) {
	defer c.nc.Close()
	io.WriteString(c.nc, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\n"+offerFields+"\n")+"body")
	if _, err := io.CopyN(io.Discard, c.br, int64(len(crlf(wantSwitching)))); err != nil {
		return
	}
	io.WriteString(c.nc, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	c.prefaced = true
	for sent, streams := false, 0; streams < 2; {
		f, err := c.frame()
		if err != nil {
			return
		}
		if !sent {
			sent = true
			c.fr.WriteRawFrame(1, 0x5, 3, headerBlock(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h"))
		}
		if f.Header().Flags.Has(0x1) && f.Header().StreamID != 0 {
			streams++
		}
	}
}

// S-04: the connection fails at the Nth Read or Write of the server, for every N.
func TestFault_S04_everyReadAndWrite(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, strings.Repeat("x", 20_000))
	})
	eachRole(t, func(t *testing.T, role role) {
		run := func(o memnet.Options) h2c.Stats {
			var stats h2c.Stats
			synctest.Test(t, func(t *testing.T) {
				ts := serve(t, role, handler, withNetwork(o))
				exchange(ts.dial())
				time.Sleep(time.Minute) // longer than every timeout
				synctest.Wait()
				stats = ts.s.Stats()
			})
			if stats.Active != 0 {
				t.Fatalf("%+v: %d connections active", o, stats.Active)
			}
			return stats
		}
		if stats := run(memnet.Options{}); stats.Upgraded != 1 || len(stats.Failed) > 0 {
			t.Fatalf("without a fault: %+v", stats)
		}
		upgraded, not := 0, 0
		for n := 1; n <= 40; n++ {
			for _, o := range []memnet.Options{{FailRead: n}, {FailWrite: n}, {FailRead: n, MaxRead: 7}} {
				if run(o).Upgraded == 1 {
					upgraded++
				} else {
					not++
				}
			}
		}
		if upgraded == 0 || not == 0 {
			t.Errorf("%d exchanges upgraded, %d did not: no fault hit the handshake", upgraded, not)
		}
	})
}

// S-04: the client goes after every octet of what it sends.
func TestFault_S04_clientGoes(t *testing.T) {
	script := crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\n"+offerFields+"\n") + "body" +
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	eachRole(t, func(t *testing.T, role role) {
		for n := range len(script) + 1 {
			synctest.Test(t, func(t *testing.T) {
				ts := serve(t, role, text("x"))
				c := ts.dial()
				io.WriteString(c.nc, script[:n])
				synctest.Wait()
				c.nc.Close()
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := ts.s.Stats(); got.Active != 0 {
					t.Errorf("after %d octets: %+v", n, got)
				}
			})
		}
	})
}

// S-01: a client that sends an octet a second is served, and bounded where it is to be.
func TestSlow_S01(t *testing.T) {
	drip := func(c *client, s string) error {
		for i := range len(s) {
			if _, err := io.WriteString(c.nc, s[i:i+1]); err != nil {
				return err
			}
			time.Sleep(time.Second)
		}
		return nil
	}
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, wrapped, text("x"))
		c := ts.dial()
		c.nc.SetDeadline(time.Time{})
		// The head and the body are HTTP/1.1, which has the bounds of http.Server.
		if err := drip(c, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 4\n"+offerFields+"\n")+"body"); err != nil {
			t.Fatal(err)
		}
		c.wantSwitch()
		start := time.Now()
		drip(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("connection open for %v of a slow preface", took)
		}
		synctest.Wait()
		ts.wantFailed(h2c.ReasonPrefaceTimeout, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, wrapped, text("x"), withHTTP(func(hs *http.Server) { hs.ReadTimeout = 5 * time.Second }))
		c := ts.dial()
		io.WriteString(c.nc, crlf("POST / HTTP/1.1\nHost: h\nContent-Length: 10\n"+offerFields+"\n"))
		start := time.Now()
		drip(c, "0123456789")
		if took := time.Since(start); took > 7*time.Second {
			t.Errorf("connection open for %v of a slow body", took)
		}
		ts.wantDeclined(h2c.ReasonBodyIncomplete, 1)
	})
}

// S-02: no second handler run from octets of the first request.
func TestSmuggling_S02(t *testing.T) {
	hidden := "GET /hidden HTTP/1.1\r\nHost: h\r\n\r\n"
	for name, test := range map[string]struct {
		request string
		served  int
	}{
		"in the body":       {fmt.Sprintf("POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n", len(hidden)) + crlf(offerFields) + "\r\n" + hidden, 1},
		"after the request": {"GET /first HTTP/1.1\r\nHost: h\r\n" + crlf(offerFields) + "\r\n" + hidden, 1},
		"both lengths":      {"POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n" + crlf(offerFields) + "\r\n0\r\n\r\n", 1},
		"two lengths":       {"POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nContent-Length: 5\r\n" + crlf(offerFields) + "\r\nbody" + hidden, 0},
		"a preface":         {"GET /first HTTP/1.1\r\nHost: h\r\nContent-Length: 24\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := make(map[string]int)
				ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					runs[r.URL.Path]++
				}))
				c := ts.dial()
				io.WriteString(c.nc, test.request)
				time.Sleep(time.Minute)
				c.nc.Close()
				synctest.Wait()
				if runs["/hidden"] > 0 || runs["/first"] != test.served {
					t.Errorf("handler runs: %v", runs)
				}
			})
		})
	}
}

// S-03: floods, before and after the client's SETTINGS. Who floods is throttled or cut off;
// others are served meanwhile.
func TestFlood_S03(t *testing.T) {
	const frames = 20_000
	block := headerBlock(":method", "GET", ":scheme", "http", ":path", "/", ":authority", "h")
	floods := map[string]func(fr *http2.Framer, i int) error{
		"rapid reset": func(fr *http2.Framer, i int) error {
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 3), BlockFragment: block, EndHeaders: true, EndStream: true})
			return fr.WriteRSTStream(uint32(2*i+3), http2.ErrCodeCancel)
		},
		"SETTINGS": func(fr *http2.Framer, i int) error { return fr.WriteSettings() },
		"PING":     func(fr *http2.Framer, i int) error { return fr.WritePing(false, [8]byte{}) },
		"empty DATA": func(fr *http2.Framer, i int) error {
			if i == 0 {
				return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndHeaders: true})
			}
			return fr.WriteData(3, false, nil)
		},
		"CONTINUATION": func(fr *http2.Framer, i int) error {
			if i == 0 {
				return fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block})
			}
			return fr.WriteContinuation(3, false, headerBlock("x", strings.Repeat("y", 1000)))
		},
		"WINDOW_UPDATE": func(fr *http2.Framer, i int) error { return fr.WriteWindowUpdate(0, 1) },
	}
	for name, flood := range floods {
		for _, preface := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, preface %v", name, preface), func(t *testing.T) {
				ts := serve(t, configured, text("ok"))
				c := ts.dial()
				c.upgradeTo("/")
				if preface {
					c.preface()
				}
				go io.Copy(io.Discard, c.br)
				done := make(chan struct{})
				go func() {
					defer close(done)
					for i := range frames {
						if flood(c.fr, i) != nil {
							return // cut off
						}
					}
				}()
				for range 20 {
					if got := ts.get(true); got != "ok" {
						t.Errorf("another connection got %q", got)
					}
				}
				<-done
				c.nc.Close()
				eventually(t, "connection gone", func() bool { return ts.s.Stats().Active <= 20 })
			})
		}
	}
}
