package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
)

// h2specMalformed is the case of a preface that is a malformed request of HTTP/1.1. Where that is
// spoken, net/http answers it 400.
const h2specMalformed = "http2/3.5/2"

// h2specCases checks that each case passes: with the engine of net/http those that pass without
// this library, and where HTTP/1.1 is spoken all but h2specMalformed.
func h2specCases(t *matrix.T) {
	// Side by side, since h2spec spends its time waiting.
	ours := append([]origin.Way{origin.ByHTTP2Only}, origin.Ways...)
	ways := append([]origin.Way{origin.ByNetHTTP}, ours...)
	servers := make(map[origin.Way]*origin.Server)
	results := make(map[origin.Way]map[string]clients.H2specResult)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, w := range ways {
		s, dir := startForH2spec(t, w), t.TempDir()
		servers[w] = s
		wg.Go(func() {
			r, err := clients.RunH2spec(t.Context(), s.Addr, dir, "")
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
		failed := h2specFailures(results[w])
		t.Logf("%s: %d of %d cases pass, not %v", w, len(results[w])-len(failed), len(results[w]), failed)
		if len(results[w]) != clients.H2specCases {
			t.Errorf("%s: h2spec ran %d cases, want %d", w, len(results[w]), clients.H2specCases)
		}
	}
	if t.Failed() {
		return
	}
	if n := len(h2specFailures(results[origin.ByNetHTTP])); n > 15 {
		t.Errorf("net/http fails %d cases: this says nothing of the others", n)
	}

	again := func(w origin.Way, id string) clients.H2specResult {
		r, err := clients.RunH2spec(t.Context(), servers[w].Addr, t.TempDir(), id)
		if err != nil || len(r) != 1 {
			t.Errorf("%s alone gave %d results: %v", id, len(r), err)
		}
		return r[id]
	}
	mayFail := func(w origin.Way, id string) bool {
		if w.IsOurs() {
			return id == h2specMalformed && w != origin.ByHTTP2Only
		}
		return results[origin.ByNetHTTP][id].Failure != ""
	}
	for _, w := range ours {
		for _, id := range h2specFailures(results[w]) {
			if mayFail(w, id) {
				continue
			}
			// Once more, for it may have been a matter of time: a response may be whole before
			// the frame comes that is wrong for its stream.
			r := again(w, id)
			if r.Failure == "" {
				t.Logf("%s: %s (%s) failed, and passed when run again", w, id, r.Title)
				continue
			}
			t.Errorf("%s: %s (%s) failed twice: %s", w, id, r.Title, r.Failure)
		}
	}
}

// startForH2spec starts a server on which handshakes break, as they are meant to.
func startForH2spec(t *matrix.T, w origin.Way) *origin.Server {
	s, err := origin.Start(w, origin.Config{Listen: t.Listener})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.H2C != nil {
			t.Eventually("the server counts no HTTP/2 connection", func() bool { return s.H2C.Stats().Active == 0 })
		}
		if err := s.Close(); err != nil {
			t.Errorf("closing the server: %v", err)
		}
	})
	return s
}

// h2specFailures returns the cases that did not pass.
func h2specFailures(results map[string]clients.H2specResult) []string {
	var failed []string
	for _, id := range slices.Sorted(maps.Keys(results)) {
		if results[id].Failure != "" {
			failed = append(failed, id)
		}
	}
	return failed
}
