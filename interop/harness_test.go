package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// repeats is how often a case runs that must succeed each time.
func repeats() int {
	if testing.Short() {
		return 5
	}
	return 50
}

// need returns the path of a peer, or ends the test.
func need(t *testing.T, p *peer) string {
	t.Helper()
	path, err := p.find(t.Context())
	if err == nil {
		return path
	}
	if required() {
		t.Fatalf("%s is not usable here, and required: %v", p.name, err)
	}
	msg := fmt.Sprintf("skipped: %s is not usable here (%v); interop/install-peers.sh installs it", p.name, err)
	fmt.Fprintf(os.Stderr, "%s: %s\n", t.Name(), msg)
	t.Skip(msg)
	return ""
}

// eachWay runs a test for both ways to use this library.
func eachWay(t *testing.T, test func(t *testing.T, w way)) {
	for _, w := range []way{byConfigureServer, byNewHandler} {
		t.Run(string(w), func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

// start starts a server with the default configuration for one test. In the end no
// HTTP/2 connection may be left, and no handshake may have broken, but for reasons that
// are a known deviation of the client.
func start(t *testing.T, w way, known ...h2c.Reason) *server {
	t.Helper()
	s := startWith(t, w, nil)
	t.Cleanup(func() {
		failed := s.h2c.Stats().Failed
		for _, reason := range known {
			if n := failed[reason]; n > 0 {
				t.Logf("known deviation of the client: %d times %s", n, reason)
			}
			delete(failed, reason)
		}
		if len(failed) > 0 {
			t.Errorf("handshakes broke: %v", failed)
		}
	})
	return s
}

func startWith(t *testing.T, w way, conf *h2c.Server) *server {
	t.Helper()
	s, err := startServer(w, conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.wantNoConnections(t)
		if err := s.close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if t.Failed() {
			for _, r := range s.seen() {
				t.Logf("handler saw: %v %v from %s", r, r.Header, r.Remote)
			}
			t.Logf("server logged: %s", &s.log)
		}
	})
	return s
}

// wantNoConnections waits until the server counts no HTTP/2 connection.
func (s *server) wantNoConnections(t *testing.T) {
	t.Helper()
	if s.h2c == nil {
		return
	}
	eventually(t, "the server counts no HTTP/2 connection", func() bool { return s.h2c.Stats().Active == 0 })
}

// wantSeen checks what the handler saw, in any order.
func (s *server) wantSeen(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, r := range s.seen() {
		got = append(got, r.String())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("handler saw:\n%q\nwant:\n%q", got, want)
	}
}

func (s *server) wantConnections(t *testing.T, want int) {
	t.Helper()
	if got := s.connections(); got != want {
		t.Errorf("requests came on %d connections, want %d", got, want)
	}
}

// wantNegotiated checks how many connections were upgraded, and begun by prior knowledge,
// and which offers were declined.
func (s *server) wantNegotiated(t *testing.T, upgraded, prior int64, declined ...h2c.Reason) {
	t.Helper()
	stats := s.h2c.Stats()
	if stats.Upgraded != upgraded || stats.PriorKnowledge != prior {
		t.Errorf("%d connections upgraded and %d begun by prior knowledge, want %d and %d",
			stats.Upgraded, stats.PriorKnowledge, upgraded, prior)
	}
	want := make(map[h2c.Reason]int64)
	for _, r := range declined {
		want[r]++
	}
	if len(stats.Declined) != len(want) {
		t.Errorf("declined: %v, want %v", stats.Declined, want)
		return
	}
	for r, n := range want {
		if stats.Declined[r] != n {
			t.Errorf("declined: %v, want %v", stats.Declined, want)
		}
	}
}

// eventually waits for what other goroutines or processes are about to do.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("after 10 seconds it is still not true that %s", what)
			return
		}
	}
}

// payloadFile returns a file that holds n octets of payload.
func payloadFile(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(name, payload(n), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
