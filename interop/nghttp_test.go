package interop

import (
	"fmt"
	"testing"
)

// nghttped runs nghttp, which must succeed.
func nghttped(t *testing.T, path string, args ...string) nghttpRun {
	t.Helper()
	r, err := runNghttp(t.Context(), path, args...)
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.stdout, r.stderr)
	}
	return r
}

// wantStreams checks that all of n streams were answered 200, stream 1 among them.
func (r *nghttpRun) wantStreams(t *testing.T, n int) {
	t.Helper()
	good := len(r.status) == n && r.status[1] != ""
	for _, status := range r.status {
		good = good && status == "200"
	}
	if !good {
		t.Errorf("status by stream is %v, want 200 on %d streams, stream 1 among them\n%s", r.status, n, r.stdout)
	}
}

func TestNghttpUpgrades(t *testing.T) {
	path := need(t, nghttp)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("U-12 U-25 two URIs", func(t *testing.T) {
			s := start(t, w)
			r := nghttped(t, path, "-u", s.url+"/echo?1", s.url+"/echo?2")
			if !r.upgraded {
				t.Errorf("no upgrade:\n%s", r.stdout)
			}
			r.wantStreams(t, 2)
			s.wantSeen(t, "GET /echo?1 HTTP/2.0 by upgrade", "GET /echo?2 HTTP/2.0 by upgrade")
			s.wantConnections(t, 1)
			s.wantNegotiated(t, 1, 0)
		})
		t.Run("U-25 U-29 three URIs", func(t *testing.T) {
			for n := range repeats() {
				s := start(t, w)
				r := nghttped(t, path, "-u", s.url+"/echo?1", s.url+"/echo?2", s.url+"/echo?3")
				r.wantStreams(t, 3)
				s.wantSeen(t, "GET /echo?1 HTTP/2.0 by upgrade", "GET /echo?2 HTTP/2.0 by upgrade", "GET /echo?3 HTTP/2.0 by upgrade")
				s.wantConnections(t, 1)
				s.wantNegotiated(t, 1, 0)
				if t.Failed() {
					t.Fatalf("run %d of %d", n+1, repeats())
				}
			}
		})
		t.Run("U-13 16 MiB on stream 1", func(t *testing.T) {
			s := start(t, w)
			r := nghttped(t, path, "-u", fmt.Sprintf("%s/bytes/%d", s.url, 16<<20))
			r.wantStreams(t, 1)
			s.wantNegotiated(t, 1, 0)
		})
	})
}

// nghttp upgrades by OPTIONS * when it has a body to send. Under NewHandler net/http
// answers that before any handler, so there it stays HTTP/1.1.
func TestNghttpUpgradesByOptions(t *testing.T) {
	path := need(t, nghttp)
	t.Run("U-23 POST after OPTIONS asterisk", func(t *testing.T) {
		s := start(t, byConfigureServer)
		r := nghttped(t, path, "-u", "-d", payloadFile(t, 100_000), s.url+"/echo")
		if !r.upgraded {
			t.Errorf("no upgrade:\n%s", r.stdout)
		}
		r.wantStreams(t, 2)
		s.wantSeen(t, "POST /echo HTTP/2.0 by upgrade, 100000 octets")
		s.wantNegotiated(t, 1, 0)
	})
}

func TestNghttpPriorKnowledge(t *testing.T) {
	path := need(t, nghttp)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("P-01 two URIs", func(t *testing.T) {
			s := start(t, w)
			r := nghttped(t, path, s.url+"/echo?1", s.url+"/echo?2")
			if r.upgraded || len(r.status) != 2 {
				t.Errorf("status by stream is %v\n%s", r.status, r.stdout)
			}
			s.wantSeen(t, "GET /echo?1 HTTP/2.0 by prior-knowledge", "GET /echo?2 HTTP/2.0 by prior-knowledge")
			s.wantConnections(t, 1)
			s.wantNegotiated(t, 0, 1)
		})
		t.Run("P-01 POST", func(t *testing.T) {
			s := start(t, w)
			nghttped(t, path, "-d", payloadFile(t, 1<<20), s.url+"/echo")
			s.wantSeen(t, "POST /echo HTTP/2.0 by prior-knowledge, 1048576 octets")
			s.wantNegotiated(t, 0, 1)
		})
	})
}
