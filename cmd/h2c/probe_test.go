package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A probed is what a probe has found out.
type probed struct {
	URL     string
	Address string
	Rows    []struct{ ID, Name, Verdict, Evidence, RFC, Fix string }
	Count   map[string]int
}

// runProbe probes a server, which it must be able to do.
func runProbe(t *testing.T, args ...string) probed {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := run(t.Context(), append([]string{"probe", "-json"}, args...), &stdout, &stderr); status != exitOK {
		t.Fatalf("exit status %d\n%s", status, &stderr)
	}
	var p probed
	dec := json.NewDecoder(&stdout)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range p.Count {
		total += n
	}
	if total != len(p.Rows) || total == 0 {
		t.Errorf("%d rows, counted as %v", len(p.Rows), p.Count)
	}
	for _, r := range p.Rows {
		if (r.Fix != "") != (r.Verdict == "risk") {
			t.Errorf("%s: %s with fix %q", r.ID, r.Verdict, r.Fix)
		}
		if !strings.HasPrefix(r.RFC, "https://www.rfc-editor.org/rfc/rfc") {
			t.Errorf("%s: RFC %q", r.ID, r.RFC)
		}
	}
	return p
}

// wantVerdicts checks the verdict of every row, and its evidence by a pattern. The key is an
// ID or the beginning of IDs, the longest that there is; the value "verdict pattern".
func (p probed) wantVerdicts(t *testing.T, want map[string]string) {
	t.Helper()
	unused := maps.Clone(want)
	for _, r := range p.Rows {
		best := ""
		for key := range want {
			if strings.HasPrefix(r.ID, key) && len(key) > len(best) {
				best = key
			}
		}
		delete(unused, best)
		verdict, pattern, _ := strings.Cut(want[best], " ")
		if r.Verdict != verdict || !regexp.MustCompile("^(?:"+pattern+")").MatchString(r.Evidence) {
			t.Errorf("%s: %s %q, want %q", r.ID, r.Verdict, r.Evidence, want[best])
		}
	}
	for key := range unused {
		t.Errorf("no row %s", key)
	}
}

// allVerdicts is a wish for every row, with exceptions.
func allVerdicts(offers string, more map[string]string) map[string]string {
	want := map[string]string{}
	for _, m := range probeMalformed {
		want[m.id] = offers
	}
	want["forwarded-"] = offers
	maps.Copy(want, more)
	return want
}

const (
	probePatience = "-timeout=" + "1m" // for servers that answer

	upgradedOK = "ok 101, then 200 on stream 1$"
	declinedOK = "ok declined: HTTP/1.1 200$"
	declinedNo = "no declined: HTTP/1.1 200$"
	fromHTTP2  = "ok 200 on stream 1$"
	keptAlive  = "ok HTTP/1.1 200 for HEAD, 200 for GET$"
	noProxy    = "ok no proxy shows"
)

// The same server gives the same report, and without -no-post it is asked to take bodies.
func TestProbeStable(t *testing.T) {
	var mu sync.Mutex
	methods := make(map[string]int)
	hs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		mu.Lock()
		defer mu.Unlock()
		methods[r.Method]++
		if r.Method == "PRI" {
			return // prior knowledge
		}
		if r.RequestURI != "/a?b=c" || r.UserAgent() != "h2c-probe" {
			t.Errorf("%s %s by %q", r.Method, r.RequestURI, r.UserAgent())
		}
	}))
	t.Cleanup(hs.Close)
	var reports, tables []string
	for _, json := range []string{"-json", "-json", "-json=false", "-json=false"} {
		var stdout, stderr bytes.Buffer
		if status := run(t.Context(), []string{"probe", probePatience, "-no-post", json, hs.URL + "/a?b=c"}, &stdout, &stderr); status != exitOK {
			t.Fatalf("exit status %d\n%s", status, &stderr)
		}
		if strings.Contains(stderr.String(), "POST") {
			t.Errorf("with -no-post it says %q", &stderr)
		}
		if json == "-json" {
			reports = append(reports, stdout.String())
		} else {
			tables = append(tables, stdout.String())
		}
	}
	if reports[0] != reports[1] || tables[0] != tables[1] {
		t.Errorf("reports differ:\n%s\n%s", reports, tables)
	}
	if got := slices.Sorted(maps.Keys(methods)); !slices.Equal(got, []string{"GET", "HEAD", "PRI"}) {
		t.Errorf("methods %v", got) // OPTIONS * does not reach a handler
	}
	if n := methods["GET"] + methods["HEAD"]; n > 4*30 {
		t.Errorf("%d requests", n)
	}
	p := runProbe(t, probePatience, hs.URL+"/a?b=c")
	if p.URL != hs.URL+"/a?b=c" || p.Address != hs.Listener.Addr().String() || methods["POST"] != 3 {
		t.Errorf("%s at %s, %d times POST", p.URL, p.Address, methods["POST"])
	}
	ids := make(map[string]bool)
	for _, r := range p.Rows {
		if ids[r.ID] {
			t.Errorf("two rows %s", r.ID)
		}
		ids[r.ID] = true
	}
}

// A signal ends a probe that waits.
func TestProbeInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	url := probeListen(t, func(conn net.Conn) {
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			interrupt()
		}
		io.Copy(io.Discard, conn)
	})
	var stdout, stderr bytes.Buffer
	status := run(ctx, []string{"probe", "-timeout=1h", url}, &stdout, &stderr)
	if status != exitError || stdout.Len() != 0 || !strings.Contains(stderr.String(), context.Canceled.Error()) {
		t.Errorf("exit status %d, stdout %q, stderr %q", status, &stdout, &stderr)
	}
}

func TestProbeUsage(t *testing.T) {
	const server = "http://127.0.0.1:1"
	tests := []struct {
		args   []string
		status int
		want   string // what stderr has
	}{
		{nil, exitUsage, "h2c probe: no URL\n"},
		{[]string{server, "-json"}, exitError, "h2c probe: dial "},
		{[]string{server, server}, exitUsage, "unexpected argument "},
		{[]string{"-timeout=0s", server}, exitUsage, "-timeout is not positive"},
		{[]string{"-timeout=-1s", server}, exitUsage, "-timeout is not positive"},
		{[]string{"-x", server}, exitUsage, "-x"},
		{[]string{"127.0.0.1:1"}, exitError, "h2c probe: dial "},
		{[]string{"localhost:1"}, exitError, "h2c probe: dial "},
		{[]string{"https://127.0.0.1:1"}, exitUsage, "only http://"},
		{[]string{"http://"}, exitUsage, "no host"},
		{[]string{"http://:80"}, exitUsage, "no host"},
		{[]string{"http://user@127.0.0.1:1"}, exitUsage, "not of the form http://HOST"},
		{[]string{server + "/#fragment"}, exitUsage, "not of the form http://HOST"},
		{[]string{"http://\u00e4.invalid"}, exitUsage, "not of the form http://HOST"},
		{[]string{"http://127.0.0.1:99999"}, exitError, "h2c probe: dial "},
		{[]string{"-h"}, exitOK, ""},
	}
	for _, test := range tests {
		var stdout, stderr bytes.Buffer
		status := run(t.Context(), append([]string{"probe"}, test.args...), &stdout, &stderr)
		if status != test.status || !strings.Contains(stderr.String(), test.want) {
			t.Errorf("%q: exit status %d, stderr %q", test.args, status, &stderr)
		}
		if got := strings.Contains(stdout.String(), "Usage: h2c probe"); got != (status == exitOK) {
			t.Errorf("%q: stdout %q", test.args, &stdout)
		}
		if got := strings.Contains(stderr.String(), "For help: h2c probe -h"); got != (status == exitUsage) {
			t.Errorf("%q: stderr %q", test.args, &stderr)
		}
	}
}
