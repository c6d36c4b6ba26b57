package interop

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// curled runs curl, which must succeed.
func curled(t *testing.T, path string, args ...string) curlRun {
	t.Helper()
	r, err := runCurl(t.Context(), path, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	return r
}

const (
	line100 = "HTTP/1.1 100 Continue"
	line101 = "HTTP/1.1 101 Switching Protocols"
)

// wantLines checks the status lines of all responses.
func (r *curlRun) wantLines(t *testing.T, want ...string) {
	t.Helper()
	if got := r.lines(); !slices.Equal(got, want) {
		t.Errorf("status lines are %q, want %q\n%s", got, want, r.stderr)
	}
}

// wantEcho checks that the body is the report that the handler kept of its n-th request.
func wantEcho(t *testing.T, s *server, n int, body []byte) report {
	t.Helper()
	var got report
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatalf("body is %q: %v", body, err)
	}
	want, _ := json.Marshal(s.seen()[n])
	if again, _ := json.Marshal(got); string(again) != string(want) {
		t.Errorf("the client read\n%s\nbut the handler wrote\n%s", again, want)
	}
	return got
}

func TestCurlUpgrades(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("U-12 U-17 GET", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2", "-H", "X-Two: 1", "-H", "X-Two: 2", s.url+"/echo?q=%20")
			r.wantLines(t, line101, "HTTP/2 200")
			s.wantSeen(t, "GET /echo?q=%20 HTTP/2.0 by upgrade")
			s.wantNegotiated(t, 1, 0)
			rep := wantEcho(t, s, 0, r.stdout)
			if rep.Host != s.addr || !slices.Equal(rep.Header["X-Two"], []string{"1", "2"}) {
				t.Errorf("handler saw Host %q and X-Two %q", rep.Host, rep.Header["X-Two"])
			}
			for _, name := range []string{"Connection", "Upgrade", "Http2-Settings"} {
				if v, ok := rep.Header[name]; ok {
					t.Errorf("handler saw %s: %q", name, v)
				}
			}
			wantSwitchingProtocols(t, r.heads[0].header)
		})
		t.Run("U-23 HEAD", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2", "--head", s.url+"/bytes/1000")
			r.wantLines(t, line101, "HTTP/2 200")
			s.wantSeen(t, "HEAD /bytes/1000 HTTP/2.0 by upgrade")
			s.wantNegotiated(t, 1, 0)
			if got := r.heads[1].header.Get("Content-Length"); got != "1000" || r.transfers[0].size != 0 {
				t.Errorf("Content-Length is %q, and a body of %d octets came", got, r.transfers[0].size)
			}
		})
		t.Run("U-23 no content and not modified", func(t *testing.T) {
			for status, line := range map[string]string{"204": "HTTP/2 204", "304": "HTTP/2 304"} {
				s := start(t, w)
				r := curled(t, path, "--http2", s.url+"/status/"+status)
				r.wantLines(t, line101, line)
				s.wantNegotiated(t, 1, 0)
				if len(r.stdout) > 0 {
					t.Errorf("body after %s: %q", status, r.stdout)
				}
			}
		})
		t.Run("U-23 trailers", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2", s.url+"/trailers")
			r.wantLines(t, line101, "HTTP/2 200")
			s.wantNegotiated(t, 1, 0)
			if got := r.heads[1].trailer.Get("X-Check"); got != "done" || string(r.stdout) != "hello\n" {
				t.Errorf("body is %q, trailer X-Check is %q", r.stdout, got)
			}
		})
		t.Run("U-23 early hints", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2", s.url+"/early")
			r.wantLines(t, line101, "HTTP/2 103", "HTTP/2 200")
			s.wantNegotiated(t, 1, 0)
			if got := r.heads[1].header.Get("Link"); got == "" || string(r.stdout) != "hello\n" {
				t.Errorf("body is %q, Link of the 103 is %q", r.stdout, got)
			}
		})
	})
}

// Under NewHandler net/http answers OPTIONS * before any handler.
func TestCurlUpgradesByOptions(t *testing.T) {
	path := need(t, curl)
	t.Run("U-23 OPTIONS asterisk", func(t *testing.T) {
		s := start(t, byConfigureServer)
		r := curled(t, path, "--http2", "-X", "OPTIONS", "--request-target", "*", s.url)
		r.wantLines(t, line101, "HTTP/2 200")
		s.wantNegotiated(t, 1, 0)
	})
}

func wantSwitchingProtocols(t *testing.T, got http.Header) {
	t.Helper()
	if len(got) != 2 || got.Get("Upgrade") != "h2c" || !strings.EqualFold(got.Get("Connection"), "upgrade") {
		t.Errorf("fields of the 101 are %v, want Connection: Upgrade and Upgrade: h2c", got)
	}
}

func TestCurlUpgradesKeptAliveConnection(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("U-21 U-09 after a declined request", func(t *testing.T) {
			s := start(t, w)
			first := []string{"--http2", "-H", "Transfer-Encoding: chunked", "-H", "Expect:", "--data-binary", "@" + payloadFile(t, 1000), s.url + "/echo?1"}
			r := curled(t, path, append(first, curlNext("--http2", s.url+"/echo?2")...)...)
			r.wantLines(t, "HTTP/1.1 200 OK", line101, "HTTP/2 200")
			s.wantSeen(t, "POST /echo?1 HTTP/1.1 by http/1.1, 1000 octets", "GET /echo?2 HTTP/2.0 by upgrade")
			s.wantConnections(t, 1)
			s.wantNegotiated(t, 1, 0, "body_unsized")
		})
		t.Run("U-21 after a plain request", func(t *testing.T) {
			s := start(t, w)
			first := []string{"--http1.1", s.url + "/echo?1"}
			r := curled(t, path, append(first, curlNext("--http2", s.url+"/echo?2")...)...)
			r.wantLines(t, "HTTP/1.1 200 OK", line101, "HTTP/2 200")
			s.wantSeen(t, "GET /echo?1 HTTP/1.1 by http/1.1", "GET /echo?2 HTTP/2.0 by upgrade")
			s.wantConnections(t, 1)
			s.wantNegotiated(t, 1, 0)
		})
	})
}

func TestCurlPriorKnowledge(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("P-01 GET", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2-prior-knowledge", s.url+"/echo")
			r.wantLines(t, "HTTP/2 200")
			s.wantSeen(t, "GET /echo HTTP/2.0 by prior-knowledge")
			s.wantNegotiated(t, 0, 1)
			wantEcho(t, s, 0, r.stdout)
		})
		t.Run("P-01 POST of 1 MiB", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2-prior-knowledge", "-H", "Expect:", "--data-binary", "@"+payloadFile(t, 1<<20), s.url+"/echo")
			r.wantLines(t, "HTTP/2 200")
			s.wantSeen(t, "POST /echo HTTP/2.0 by prior-knowledge, 1048576 octets")
			s.wantNegotiated(t, 0, 1)
			wantEcho(t, s, 0, r.stdout)
		})
		// One run each: curl 7.88 cannot send a second request on a connection that it began
		// by prior knowledge, whatever the server.
		t.Run("P-01 trailers", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2-prior-knowledge", s.url+"/trailers")
			r.wantLines(t, "HTTP/2 200")
			if got := r.heads[0].trailer.Get("X-Check"); got != "done" {
				t.Errorf("trailer X-Check is %q", got)
			}
		})
		t.Run("P-01 early hints", func(t *testing.T) {
			s := start(t, w)
			r := curled(t, path, "--http2-prior-knowledge", s.url+"/early")
			r.wantLines(t, "HTTP/2 103", "HTTP/2 200")
		})
	})
}
