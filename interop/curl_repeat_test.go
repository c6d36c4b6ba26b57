package interop

import (
	"fmt"
	"path/filepath"
	"testing"
)

func TestCurlParallel(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		t.Run("U-25 U-29 three URLs on one upgraded connection", func(t *testing.T) {
			dir := t.TempDir()
			for n := range repeats() {
				s := start(t, w)
				args := []string{"--http2", "-Z"}
				for i := range 3 {
					args = append(args, "-o", filepath.Join(dir, fmt.Sprint(i)), fmt.Sprintf("%s/echo?%d", s.url, i))
				}
				r := curled(t, path, args...)
				for _, tr := range r.transfers {
					if tr.status != 200 || tr.version != "2" {
						t.Errorf("transfer: %+v", tr)
					}
				}
				if len(r.transfers) != 3 {
					t.Errorf("%d transfers of 3", len(r.transfers))
				}
				s.wantSeen(t, "GET /echo?0 HTTP/2.0 by upgrade", "GET /echo?1 HTTP/2.0 by upgrade", "GET /echo?2 HTTP/2.0 by upgrade")
				s.wantConnections(t, 1)
				s.wantNegotiated(t, 1, 0)
				if t.Failed() {
					t.Fatalf("run %d of %d:\n%s", n+1, repeats(), r.stderr)
				}
			}
		})
	})
}

func TestCurlDownload(t *testing.T) {
	path := need(t, curl)
	eachWay(t, func(t *testing.T, w way) {
		// More than curl can hold back behind a 101 before it has sent its preface.
		t.Run("U-13 16 MiB on stream 1", func(t *testing.T) {
			const size = 16 << 20
			want := digest(payload(size))
			s := start(t, w)
			for n := range repeats() {
				r := curled(t, path, "--http2", fmt.Sprintf("%s/bytes/%d", s.url, size))
				r.wantLines(t, line101, "HTTP/2 200")
				if r.size != size || r.sha256 != want {
					t.Errorf("body of %d octets with SHA-256 %s, want %d octets with %s", r.size, r.sha256, size, want)
				}
				if t.Failed() {
					t.Fatalf("run %d of %d", n+1, repeats())
				}
			}
			s.wantNegotiated(t, int64(repeats()), 0)
		})
	})
}
