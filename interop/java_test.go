package interop

import (
	"slices"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

func TestJavaHttpClient(t *testing.T) {
	path := need(t, java)
	small, large := payloadFile(t, 1<<10), payloadFile(t, 1<<20)
	const (
		http2 = "200 HTTP_2"
		http1 = "200 HTTP_1_1"
	)
	tests := []struct {
		title, name, target, file string

		want     []string // of each response: status and version
		seen     []string
		declined []h2c.Reason
		conns    int        // 0: the client may choose
		known    h2c.Reason // of a handshake that this client breaks
	}{
		{
			title: "U-12 U-30 GET twice", name: "get", target: "/echo",
			want:  []string{http2, http2},
			seen:  []string{"GET /echo HTTP/2.0 by upgrade", "GET /echo HTTP/2.0 by upgrade"},
			conns: 1,
		},
		{
			title: "U-23 U-30 HEAD", name: "head", target: "/bytes/1000",
			want:  []string{http2},
			seen:  []string{"HEAD /bytes/1000 HTTP/2.0 by upgrade"},
			conns: 1,
		},
		{
			title: "U-12 POST of 1 KiB twice", name: "post", target: "/echo", file: small,
			want:  []string{http2, http2},
			seen:  []string{"POST /echo HTTP/2.0 by upgrade, 1024 octets", "POST /echo HTTP/2.0 by upgrade, 1024 octets"},
			conns: 1,
		},
		{
			title: "U-18 POST of 1 KiB with Expect", name: "expect", target: "/echo", file: small,
			want:  []string{http2},
			seen:  []string{"POST /echo HTTP/2.0 by upgrade, 1024 octets"},
			conns: 1,
		},
		{
			title: "U-09 POST of 1 MiB twice", name: "post", target: "/echo", file: large,
			want:     []string{http1, http1},
			seen:     []string{"POST /echo HTTP/1.1 by http/1.1, 1048576 octets", "POST /echo HTTP/1.1 by http/1.1, 1048576 octets"},
			declined: []h2c.Reason{h2c.ReasonBodyTooLarge, h2c.ReasonBodyTooLarge},
			conns:    1,
		},
		{
			// Each request begins a connection; the client then keeps one and ends the others
			// with GOAWAY. It resets connections as the process exits, right after the last
			// response, and with them a preface that the server has not read yet. The preface
			// is due: https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
			title: "U-12 four cold requests at once", name: "async", target: "/echo",
			want:  []string{http2, http2, http2, http2},
			seen:  slices.Repeat([]string{"GET /echo HTTP/2.0 by upgrade"}, 4),
			known: h2c.ReasonPrefaceMissing,
		},
	}
	eachWay(t, func(t *testing.T, w way) {
		// A process starts slowly, so there is one for all cases, with a client and a server
		// for each.
		var cases []javaCase
		var servers []*server
		for _, tt := range tests {
			s := start(t, w, tt.known)
			servers = append(servers, s)
			cases = append(cases, javaCase{tt.name, s.url + tt.target, tt.file})
		}
		responses, out, err := runJava(t.Context(), path, cases...)
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out.stdout, out.stderr)
		}
		for i, tt := range tests {
			t.Run(tt.title, func(t *testing.T) {
				s := servers[i]
				var got []string
				for _, r := range responses[i] {
					got = append(got, r.status+" "+r.version)
				}
				if !slices.Equal(got, tt.want) {
					t.Errorf("responses are %q, want %q", got, tt.want)
				}
				s.wantSeen(t, tt.seen...)
				stats := s.h2c.Stats()
				if tt.conns > 0 {
					s.wantConnections(t, tt.conns)
					s.wantNegotiated(t, int64(tt.conns-min(len(tt.declined), 1)), 0, tt.declined...)
				} else if len(stats.Declined) > 0 {
					t.Errorf("declined: %v", stats.Declined)
				}
			})
		}
		if got := servers[0].seen()[0].Header["Content-Length"]; !slices.Equal(got, []string{"0"}) {
			t.Errorf("Content-Length of a GET is %q: this client proves nothing of U-30", got)
		}
	})
}
