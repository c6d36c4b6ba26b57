package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"testing"
)

func TestBytes(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		for _, n := range []int{0, 1, 251, 100_000, len(pattern) + 1, 3 << 20} {
			url := s.url + "/bytes/" + strconv.Itoa(n)
			r := c.do(t, call{url: url})
			c.wantStatus(t, r, http.StatusOK)
			if got := r.header.Get("Content-Length"); got != strconv.Itoa(n) {
				t.Errorf("Content-Length %q, want %d", got, n)
			}
			if len(r.body) != n {
				t.Fatalf("%d octets, want %d", len(r.body), n)
			}
			for i, b := range r.body {
				if b != byte(i%251) {
					t.Fatalf("octet %d of %d is %d, want %d", i, n, b, i%251)
				}
			}
		}
		r := c.do(t, call{method: "HEAD", url: s.url + "/bytes/1099511627776"})
		c.wantStatus(t, r, http.StatusOK)
		if got := r.header.Get("Content-Length"); got != "1099511627776" || len(r.body) != 0 {
			t.Errorf("Content-Length %q, body %q", got, r.body)
		}
		for _, n := range []string{"-1", "x", "1e3", "1099511627777", "99999999999999999999"} {
			c.wantStatus(t, c.do(t, call{url: s.url + "/bytes/" + n}), http.StatusBadRequest)
		}
	})
}

func TestDrip(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		r := c.do(t, call{url: s.url + "/drip?n=3&every=1ms"})
		c.wantStatus(t, r, http.StatusOK)
		if got, want := string(r.body), "1 of 3\n2 of 3\n3 of 3\n"; got != want {
			t.Errorf("body %q, want %q", got, want)
		}
		r = c.do(t, call{url: s.url + "/drip?every=0s"})
		c.wantStatus(t, r, http.StatusOK)
		if got := bytes.Count(r.body, []byte("\n")); got != 5 {
			t.Errorf("%d lines, want 5", got)
		}
		for _, query := range []string{"n=0", "n=-1", "n=10001", "n=x", "n=", "every=-1s", "every=61s", "every=5", "n=5;every=1s"} {
			c.wantStatus(t, c.do(t, call{url: s.url + "/drip?" + query}), http.StatusBadRequest)
		}
	})
}

// Each line is flushed, and none is waited for once the client has gone: or else the
// server would not drain in time.
func TestStreamsFlowAndStop(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		drip, cancel := stream(t, c.via, s.url+"/drip?n=10&every=1m")
		scan(t, drip, "1 of 10")
		cancel()

		events, cancel := stream(t, c.via, s.url+"/events")
		for _, want := range []string{"id: 1", "data: ", "", "id: 2", "data: "} {
			scan(t, events, want)
		}
		cancel()
	})
}

func TestEventsHead(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		for path, want := range map[string]string{"/events": "text/event-stream", "/drip?every=1m": "text/plain; charset=utf-8"} {
			r := c.do(t, call{method: "HEAD", url: s.url + path})
			c.wantStatus(t, r, http.StatusOK)
			if got := r.header.Get("Content-Type"); got != want {
				t.Errorf("Content-Type %q, want %q", got, want)
			}
		}
	})
}

func TestStatus(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		for _, code := range []int{200, 201, 299, 301, 400, 401, 404, 418, 500, 503, 599} {
			r := c.do(t, call{url: fmt.Sprint(s.url, "/status/", code)})
			c.wantStatus(t, r, code)
			if got, want := string(r.body), fmt.Sprintln(code, http.StatusText(code)); got != want {
				t.Errorf("body %q, want %q", got, want)
			}
		}
		for _, code := range []int{204, 205, 304} {
			r := c.do(t, call{url: fmt.Sprint(s.url, "/status/", code)})
			c.wantStatus(t, r, code)
			if len(r.body) != 0 {
				t.Errorf("%d has body %q", code, r.body)
			}
		}
		for _, code := range []string{"100", "101", "199", "600", "1000", "+20", "0200", "ok"} {
			c.wantStatus(t, c.do(t, call{url: s.url + "/status/" + code}), http.StatusBadRequest)
		}
	})
}

func TestTrailers(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		wantTrailer(t, c, s.url)
	})
}

func wantTrailer(t *testing.T, c client, url string) {
	t.Helper()
	r := c.do(t, call{url: url + "/trailers"})
	c.wantStatus(t, r, http.StatusOK)
	sum := sha256.Sum256(r.body)
	if got, want := r.trailer.Get("X-Checksum"), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("trailer %q, want %q", got, want)
	}
}

func TestEarly(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		wantEarly(t, c, s.url)
	})
}

func wantEarly(t *testing.T, c client, url string) {
	t.Helper()
	r := c.do(t, call{url: url + "/early"})
	c.wantStatus(t, r, http.StatusOK)
	if len(r.early) != 1 || r.early[0].Get("Link") == "" {
		t.Errorf("early hints %v", r.early)
	}
}

// A 103 would be taken for the response by an HTTP/1.0 client.
func TestEarlyHTTP10(t *testing.T) {
	s := start(t)
	conn := dial(t, s.url)
	fmt.Fprint(conn, "GET /early HTTP/1.0\r\n\r\n")
	if resp, _ := readResponse(t, conn); resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// A report on half a body would be wrong.
func TestEchoBrokenBody(t *testing.T) {
	s := start(t)
	conn := dial(t, s.url)
	fmt.Fprint(conn, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nnot a chunk\r\n")
	if resp, body := readResponse(t, conn); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
}
