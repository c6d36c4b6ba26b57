package interop

import (
	"maps"
	"slices"
	"sync"
	"testing"
)

func TestH2spec(t *testing.T) {
	path := need(t, h2spec)
	t.Run("P-05 what net_http passes", func(t *testing.T) {
		// Side by side, since h2spec spends its time waiting.
		ways := []way{byNetHTTP, byConfigureServer, byNewHandler}
		servers := make(map[way]*server)
		results := make(map[way]map[string]specResult)
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, w := range ways {
			s, dir := startWith(t, w, nil), t.TempDir()
			servers[w] = s
			wg.Go(func() {
				r, err := runH2spec(t.Context(), path, s.addr, dir, "")
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				results[w] = r
			})
		}
		wg.Wait()
		for _, w := range ways {
			t.Logf("%s: %d of %d cases pass, not %v", w, len(results[w])-len(failures(results[w])), len(results[w]), failures(results[w]))
			if len(results[w]) != h2specCases {
				t.Errorf("%s: h2spec ran %d cases, want %d", w, len(results[w]), h2specCases)
			}
		}
		if t.Failed() {
			return
		}
		if n := len(failures(results[byNetHTTP])); n > 15 {
			t.Errorf("net/http fails %d cases: this says nothing of P-05", n)
		}

		again := func(w way, id string) specResult {
			r, err := runH2spec(t.Context(), path, servers[w].addr, t.TempDir(), id)
			if err != nil || len(r) != 1 {
				t.Errorf("%s alone gave %d results: %v", id, len(r), err)
			}
			return r[id]
		}
		for _, w := range ways[1:] {
			for _, id := range failures(results[w]) {
				if results[byNetHTTP][id].failure != "" {
					continue
				}
				// Once more, for it may have been a matter of time.
				ours, theirs := again(w, id), again(byNetHTTP, id)
				if ours.failure == "" {
					t.Logf("%s: %s (%s) failed, and passed when run again", w, id, ours.title)
					continue
				}
				t.Errorf("%s: %s (%s) failed twice: %s\nnet/http passed, then when run again: %q", w, id, ours.title, ours.failure, theirs.failure)
			}
		}
	})
}

// failures returns the cases that did not pass.
func failures(results map[string]specResult) []string {
	var failed []string
	for _, id := range slices.Sorted(maps.Keys(results)) {
		if results[id].failure != "" {
			failed = append(failed, id)
		}
	}
	return failed
}
