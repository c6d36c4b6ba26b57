package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

var (
	reportKeys = []string{"body_bytes", "headers", "host", "method", "proto", "remote", "target", "via"}
	echoKeys   = []string{"body_bytes", "body_sha256", "headers", "host", "method", "proto", "remote", "target", "via"}
)

// decodeReport decodes a report that must have exactly the keys, sorted.
func decodeReport(t *testing.T, r response, keys []string) (rep report, sum string) {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	var all map[string]any
	if err := json.Unmarshal(r.body, &all); err != nil {
		t.Fatalf("%v in %q", err, r.body)
	}
	if got := slices.Sorted(maps.Keys(all)); !slices.Equal(got, keys) {
		t.Errorf("keys %q, want %q", got, keys)
	}
	if err := json.Unmarshal(r.body, &rep); err != nil {
		t.Fatal(err)
	}
	sum, _ = all["body_sha256"].(string)
	return rep, sum
}

func TestIndexJSON(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		for _, accept := range []string{"application/json", "*/*"} {
			r := c.do(t, call{url: s.url + "/?a=b", header: map[string]string{"Accept": accept, "X-Test": "yes"}})
			c.wantStatus(t, r, http.StatusOK)
			rep, _ := decodeReport(t, r, reportKeys)
			if rep.Method != "GET" || rep.Target != "/?a=b" || rep.Via != c.via || rep.BodyBytes != 0 ||
				"http://"+rep.Host != s.url || rep.Proto != r.proto || rep.Remote == "" {
				t.Errorf("report %+v", rep)
			}
			if got := rep.Headers.Values("X-Test"); !slices.Equal(got, []string{"yes"}) {
				t.Errorf("X-Test %q", got)
			}
			for _, name := range []string{"Upgrade", "Connection", "Http2-Settings"} {
				if rep.Headers[name] != nil {
					t.Errorf("%s: %q was left in the headers", name, rep.Headers[name])
				}
			}
		}
	})
}

func TestIndexHTML(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		r := c.do(t, call{url: s.url + "/", header: map[string]string{
			"Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
			"X-Test": "<script>",
		}})
		c.wantStatus(t, r, http.StatusOK)
		if got := r.header.Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("Content-Type %q", got)
		}
		page := string(r.body)
		for _, want := range []string{"<td>" + string(c.via) + "</td>", "&lt;script&gt;", "</html>"} {
			if !strings.Contains(page, want) {
				t.Errorf("no %q in %s", want, page)
			}
		}
		if strings.Contains(page, "<script>") {
			t.Error("a header was not escaped")
		}
	})
}

func TestIndexHead(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		r := c.do(t, call{method: "HEAD", url: s.url + "/"})
		c.wantStatus(t, r, http.StatusOK)
		if len(r.body) != 0 {
			t.Errorf("body %q", r.body)
		}
	})
}

func TestEcho(t *testing.T) {
	s := start(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 2560) // 40 KiB, which can be upgraded
	sum := sha256.Sum256(body)
	eachClient(t, func(t *testing.T, c client) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "QUERY"} {
			r := c.do(t, call{method: method, url: s.url + "/echo", body: body})
			c.wantStatus(t, r, http.StatusOK)
			rep, got := decodeReport(t, r, echoKeys)
			if rep.Method != method || rep.Via != c.via || rep.BodyBytes != int64(len(body)) || got != hex.EncodeToString(sum[:]) {
				t.Errorf("%s: report %+v, sum %s", method, rep, got)
			}
		}
		r := c.do(t, call{url: s.url + "/echo"})
		c.wantStatus(t, r, http.StatusOK)
		empty := sha256.Sum256(nil)
		if rep, got := decodeReport(t, r, echoKeys); rep.BodyBytes != 0 || got != hex.EncodeToString(empty[:]) {
			t.Errorf("report %+v, sum %s", rep, got)
		}
	})
}

// A body above the limit is not upgraded, and comes through whole.
func TestEchoLargeBody(t *testing.T) {
	s := start(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	sum := sha256.Sum256(body)
	eachClient(t, func(t *testing.T, c client) {
		r := c.do(t, call{method: "POST", url: s.url + "/echo", body: body})
		if c.via == h2c.ViaUpgrade {
			c.via = h2c.ViaHTTP1
		}
		c.wantStatus(t, r, http.StatusOK)
		rep, got := decodeReport(t, r, echoKeys)
		if rep.Via != c.via || rep.BodyBytes != int64(len(body)) || got != hex.EncodeToString(sum[:]) {
			t.Errorf("report %+v, sum %s", rep, got)
		}
	})
}

func TestStats(t *testing.T) {
	s := start(t, "-upgrade=false")
	h1 := newHTTPClient(t, h2c.ViaHTTP1)
	get := func() (all map[string]any, stats h2c.Stats) {
		r := doHTTP(t, h1, call{url: s.url + "/stats"})
		if err := json.Unmarshal(r.body, &all); err != nil {
			t.Fatalf("%v in %q", err, r.body)
		}
		if err := json.Unmarshal(r.body, &stats); err != nil {
			t.Fatal(err)
		}
		return all, stats
	}
	all, _ := get()
	for _, key := range []string{"declined", "failed"} {
		if m, ok := all[key].(map[string]any); !ok || len(m) != 0 {
			t.Errorf("%s is %v, want an empty object", key, all[key])
		}
	}

	doHTTP(t, newHTTPClient(t, h2c.ViaPriorKnowledge), call{url: s.url + "/"})
	doHTTP(t, h1, call{url: s.url + "/", header: map[string]string{
		"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "",
	}})
	_, stats := get()
	if stats.PriorKnowledge != 1 || stats.Active != 1 || stats.Upgraded != 0 || stats.Declined[h2c.ReasonDisabled] != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestNotFound(t *testing.T) {
	s := start(t)
	eachClient(t, func(t *testing.T, c client) {
		for _, path := range []string{"/nothing", "/echo/more", "/bytes", "/status/"} {
			c.wantStatus(t, c.do(t, call{url: s.url + path}), http.StatusNotFound)
		}
	})
}
