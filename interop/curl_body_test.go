package interop

import (
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

func TestCurlUpgradesWithBody(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		for _, tc := range []struct {
			name  string
			size  int
			args  []string
			lines []string
			seen  string
		}{
			{"U-12 POST", 1000, nil,
				[]string{line101, "HTTP/2 200"},
				"POST /echo HTTP/2.0 by upgrade, 1000 octets"},
			{"U-18 POST with Expect", 1000, []string{"-H", "Expect: 100-continue"},
				[]string{line100, line101, "HTTP/2 200"},
				"POST /echo HTTP/2.0 by upgrade, 1000 octets"},
			{"U-09 U-24 POST of the limit", 64 << 10, nil,
				[]string{line101, "HTTP/2 200"},
				"POST /echo HTTP/2.0 by upgrade, 65536 octets"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				s := start(t, w)
				args := append([]string{"--http2", "--data-binary", "@" + payloadFile(t, tc.size)}, tc.args...)
				r := curled(t, path, append(args, s.url+"/echo")...)
				r.wantLines(t, tc.lines...)
				s.wantSeen(t, tc.seen)
				s.wantNegotiated(t, 1, 0)
				rep := wantEcho(t, s, 0, r.stdout)
				if v, ok := rep.Header["Expect"]; ok {
					t.Errorf("handler saw Expect: %q", v)
				}
				if rep.ContentLength != int64(tc.size) {
					t.Errorf("handler saw a length of %d, want %d", rep.ContentLength, tc.size)
				}
			})
		}
	})
}

func TestCurlStaysOnHTTP1WithLargeBody(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		for _, tc := range []struct {
			name   string
			size   int
			args   []string
			lines  []string
			seen   string
			reason h2c.Reason
		}{
			{"U-09 one octet above the limit", 64<<10 + 1, nil,
				[]string{"HTTP/1.1 200 OK"},
				"POST /echo HTTP/1.1 by http/1.1, 65537 octets", "body_too_large"},
			{"U-09 1 MiB", 1 << 20, []string{"-H", "Expect:"},
				[]string{"HTTP/1.1 200 OK"},
				"POST /echo HTTP/1.1 by http/1.1, 1048576 octets", "body_too_large"},
			// curl asks to continue of its own accord above 1 MiB.
			{"U-09 1 MiB with Expect", 1<<20 + 1, nil,
				[]string{line100, "HTTP/1.1 200 OK"},
				"POST /echo HTTP/1.1 by http/1.1, 1048577 octets", "body_too_large"},
			{"U-09 chunked", 1 << 20, []string{"-H", "Transfer-Encoding: chunked", "-H", "Expect:"},
				[]string{"HTTP/1.1 200 OK"},
				"POST /echo HTTP/1.1 by http/1.1, 1048576 octets", "body_unsized"},
		} {
			t.Run(tc.name, func(t *testing.T) {
				s := start(t, w)
				args := append([]string{"--http2", "--data-binary", "@" + payloadFile(t, tc.size)}, tc.args...)
				r := curled(t, path, append(args, s.url+"/echo")...)
				r.wantLines(t, tc.lines...)
				s.wantSeen(t, tc.seen)
				wantEcho(t, s, 0, r.stdout)
				s.wantNegotiated(t, 0, 0, tc.reason)
			})
		}
	})
}
