package origin

import (
	"slices"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

// StartFor starts a server for a case. In the end no HTTP/2 connection may be left, and no
// handshake may have broken.
func StartFor(t *matrix.T, w Way, c Config) *Server {
	if c.Listen == nil {
		c.Listen = t.Listener
	}
	s, err := Start(w, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.H2C != nil {
			t.Eventually("the server counts no HTTP/2 connection", func() bool { return s.H2C.Stats().Active == 0 })
			for reason, n := range s.H2C.Stats().Failed {
				if reason != c.Breaks {
					t.Errorf("handshakes broke: %d times %s", n, reason)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
		if t.Failed() {
			for _, r := range s.Seen() {
				t.Logf("handler saw: %v %v from %s", r, r.Header, r.Remote)
			}
			if log := s.Log.String(); log != "" {
				t.Logf("server logged: %s", log)
			}
		}
	})
	return s
}

// WantSeen checks what the handler saw, in any order.
func (s *Server) WantSeen(t *matrix.T, want ...string) {
	var got []string
	for _, r := range s.Seen() {
		got = append(got, r.String())
	}
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		t.Errorf("handler saw:\n%q\nwant:\n%q", got, want)
	}
}

// WantConnections checks how many connections the requests came on.
func (s *Server) WantConnections(t *matrix.T, want int) {
	if got := s.Connections(); got != want {
		t.Errorf("requests came on %d connections, want %d", got, want)
	}
}

// WantNegotiated checks how many connections were upgraded, and begun by prior knowledge,
// and which offers were declined.
func (s *Server) WantNegotiated(t *matrix.T, upgraded, prior int64, declined ...h2c.Reason) {
	stats := s.H2C.Stats()
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
