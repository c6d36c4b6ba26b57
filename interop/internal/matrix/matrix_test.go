package matrix

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

var absent = &peer.Peer{Name: "nobody", Files: []string{"/nonexistent/nobody"}}

func TestStatus(t *testing.T) {
	known := []Deviation{{Shows: regexp.MustCompile("stray ACK"), Evidence: "it sends one ACK too many"}}
	sometimes := []Deviation{{Shows: regexp.MustCompile("stray ACK"), Sometimes: true}}
	for name, tc := range map[string]struct {
		cell     Cell
		require  bool
		want     Status
		failures int
	}{
		"passed": {Cell{Test: func(*T) {}}, false, Passed, 0},
		"failed": {Cell{Test: func(t *T) { t.Errorf("stray ACK") }}, false, Failed, 1},
		"fatal ends the case, cleanups run": {Cell{Test: func(t *T) {
			t.Cleanup(func() { t.Errorf("in the cleanup") })
			t.Fatalf("fatal")
			t.Errorf("after it")
		}}, false, Failed, 2},
		"fatal ends the part": {Cell{Test: func(t *T) {
			t.Run("one", func(t *T) { t.Fatal(errors.New("fatal")) })
			t.Run("two", func(t *T) { t.Error(errors.New("too")) })
		}}, false, Failed, 2},
		"panic":                     {Cell{Test: func(*T) { panic("oh") }}, false, Failed, 1},
		"panic in a cleanup":        {Cell{Test: func(t *T) { t.Cleanup(func() { panic("oh") }) }}, false, Failed, 1},
		"absent":                    {Cell{Needs: []*peer.Peer{absent}}, false, Absent, 1},
		"absent, and required":      {Cell{Needs: []*peer.Peer{absent}}, true, Failed, 1},
		"unable":                    {Cell{Cannot: "it has no trailers"}, true, Unable, 0},
		"known":                     {Cell{Known: known, Test: func(t *T) { t.Errorf("one stray ACK") }}, false, Deviates, 1},
		"known, and something else": {Cell{Known: known, Test: func(t *T) { t.Errorf("stray ACK"); t.Errorf("no end") }}, false, Failed, 2},
		"known shows no more":       {Cell{Known: known, Test: func(*T) {}}, false, Failed, 1},
		"known shows sometimes":     {Cell{Known: sometimes, Test: func(*T) {}}, false, Passed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := tc.cell.Run(t.Context(), Options{Require: tc.require})
			if r.Status != tc.want || len(r.Failures) != tc.failures {
				t.Errorf("%s with %q, want %s with %d failures", r.Status, r.Failures, tc.want, tc.failures)
			}
		})
	}
}

func TestKnowConcernsOneCellAlone(t *testing.T) {
	all := Know([]Cell{
		{Peer: "a", Entry: "upgrade", Case: "GET"},
		{Peer: "a", Entry: "upgrade", Case: "POST"},
		{Peer: "a", Entry: "prior knowledge", Case: "GET"},
		{Peer: "b", Entry: "upgrade", Case: "GET"},
	}, []Deviation{{Peer: "a", Entry: "upgrade", Case: "GET"}})
	for i, c := range all {
		if got, want := len(c.Known), map[int]int{0: 1}[i]; got != want {
			t.Errorf("%s has %d deviations, want %d", c.Name(), got, want)
		}
	}
}

func TestShared(t *testing.T) {
	starts, ends := 0, 0
	s := &Shared[int]{Start: func(t *T) int {
		starts++
		t.Cleanup(func() { ends++; t.Errorf("does not end") })
		return 7
	}}
	broken := &Shared[int]{Start: func(t *T) int { t.Fatalf("does not start"); return 0 }}
	for range 2 {
		r := Cell{Test: func(t *T) {
			if v := s.Get(t); v != 7 {
				t.Errorf("got %d", v)
			}
		}}.Run(t.Context(), Options{})
		if r.Status != Passed {
			t.Errorf("%s: %q", r.Status, r.Failures)
		}
		r = Cell{Test: func(t *T) { broken.Get(t); t.Errorf("went on") }}.Run(t.Context(), Options{})
		if !slices.Equal(r.Failures, []string{"does not start"}) {
			t.Errorf("failures are %q", r.Failures)
		}
	}
	if left := Close(); starts != 1 || ends != 1 || !slices.Equal(left, []string{"does not end"}) {
		t.Errorf("%d starts, %d ends, left over %q", starts, ends, left)
	}
}

func TestRunStopsAtTheEndOfContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	cell := Cell{Test: func(*T) { ran++; cancel() }}
	results := Run(ctx, []Cell{cell, cell, cell}, Options{}, 1, func(Result) {})
	if got := []Status{results[0].Status, results[1].Status, results[2].Status}; ran != 1 || !slices.Equal(got, []Status{Passed, Failed, Failed}) {
		t.Errorf("%d ran: %v", ran, got)
	}
}

// some are results of every kind.
var some = []Result{
	{Cell: Cell{Group: "clients", Peer: "curl", Entry: "upgrade", Case: "GET", IDs: []string{"U-12"}}, Status: Passed},
	{Cell: Cell{Group: "clients", Peer: "curl", Entry: "upgrade", Case: "POST 1 MiB", IDs: []string{"U-09"}}, Status: Failed, Failures: []string{"a|b"}},
	{Cell: Cell{Group: "clients", Peer: "nghttp", Entry: "upgrade", Case: "GET"}, Status: Unable, Reason: "it has no GET"},
	{Cell: Cell{Group: "servers", Peer: "nobody", Case: "GET", Needs: []*peer.Peer{absent}}, Status: Absent},
	{Cell: Cell{Group: "servers", Peer: "varnish", Case: "GET", Known: []Deviation{{Evidence: "It ends.", RFC: "https://example.com/#1"}}}, Status: Deviates},
}

func TestWriteTables(t *testing.T) {
	var b strings.Builder
	WriteTables(&b, some)
	got := strings.ReplaceAll(b.String(), " \n", "\n")
	for strings.Contains(got, " \n") {
		got = strings.ReplaceAll(got, " \n", "\n")
	}
	want := `                      POST
                      1
CLIENTS          GET  MiB
curl, upgrade    ok   FAIL
nghttp, upgrade  -

SERVERS  GET
nobody   absent
varnish  known

`
	if !strings.HasPrefix(got, want) {
		t.Errorf("tables are\n%s\nwant\n%s", got, want)
	}
}

func TestWriteMarkdown(t *testing.T) {
	var b strings.Builder
	if err := WriteMarkdown(&b, some); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| nobody | absent |",
		"| curl, upgrade | ok | FAIL |",
		"| nghttp, upgrade | - [1] |  |",
		"1. nghttp: it has no GET",
		"| varnish | known [1] |",
		"1. varnish: It ends. https://example.com/#1",
		"GET U-12; POST 1 MiB U-09.",
		"5 cells: 1 passed, 1 as the peer is known to deviate, 1 that the peer cannot do, 1 skipped, since the peer is absent, 1 failed.",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestWriteJSON(t *testing.T) {
	var b strings.Builder
	if err := WriteJSON(&b, some); err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal([]byte(b.String()), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Results) != len(some) || doc.Results[1].Status != Failed || !slices.Equal(doc.Results[1].Failures, []string{"a|b"}) ||
		len(doc.Peers) != 1 || doc.Peers[0].Name != "nobody" || doc.Go == "" {
		t.Errorf("document is %+v", doc)
	}
}
