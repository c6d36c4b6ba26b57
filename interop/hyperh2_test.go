package interop

import (
	"slices"
	"testing"
)

func TestHyperH2(t *testing.T) {
	path := need(t, hyperH2)
	eachWay(t, func(t *testing.T, w way) {
		for _, tc := range []struct {
			name, mode string
			streams    []int
			via        string
			upgraded   int64
			prior      int64
		}{
			{"U-12 U-25 GET by upgrade", "UPGRADE", []int{1, 3, 5}, "upgrade", 1, 0},
			{"P-01 GET by prior knowledge", "PRIOR", []int{1, 3, 5}, "prior-knowledge", 0, 1},
		} {
			t.Run(tc.name, func(t *testing.T) {
				s := start(t, w)
				responses, out, err := runHyperH2(t.Context(), path, tc.mode, s.addr, "/echo?0", "/echo?1", "/trailers")
				if err != nil {
					t.Fatalf("%v\n%s%s", err, out.stdout, out.stderr)
				}
				var streams []int
				for _, r := range responses {
					streams = append(streams, r.Stream)
					if r.Status != "200" {
						t.Errorf("response: %+v", r)
					}
				}
				if !slices.Equal(streams, tc.streams) {
					t.Errorf("responses on streams %v, want %v", streams, tc.streams)
				}
				s.wantSeen(t, "GET /echo?0 HTTP/2.0 by "+tc.via, "GET /echo?1 HTTP/2.0 by "+tc.via, "GET /trailers HTTP/2.0 by "+tc.via)
				s.wantConnections(t, 1)
				s.wantNegotiated(t, tc.upgraded, tc.prior)
			})
		}
	})
}
