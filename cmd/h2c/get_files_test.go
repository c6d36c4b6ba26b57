package main

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestGetFile(t *testing.T) {
	s := start(t)
	for _, mode := range []string{"upgrade", "prior-knowledge", "http1"} {
		name := filepath.Join(t.TempDir(), "out")
		g := runGet(t, "-mode", mode, "-o", name, "-json", s.url+"/bytes/300000").want(t, exitOK)
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		r := g.records(t)
		if len(r) != 1 || sumOf(b) != r[0].SHA256 || len(b) != 300_000 || r[0].Bytes != 300_000 || r[0].File != name {
			t.Errorf("-mode %s: %d octets, %+v", mode, len(b), r)
		}
		runGet(t, "-mode", mode, "-o", name, "-i", s.url+"/status/200").want(t, exitOK).wantStdout(t, "")
		if b, _ := os.ReadFile(name); len(b) < 20 || string(b[:5]) != "HTTP/" {
			t.Errorf("-mode %s: -i wrote %q", mode, b)
		}
		// What fails leaves a file as it was.
		for _, args := range [][]string{{"-f", s.url + "/status/500"}, {"http://127.0.0.1:1"}} {
			if g := runGet(t, append(args, "-mode", mode, "-o", name)...); g.status == exitOK {
				t.Errorf("%q: exit status 0", args)
			}
			if now, _ := os.ReadFile(name); len(now) < 20 {
				t.Errorf("%q: left %q", args, now)
			}
		}
	}
	runGet(t, "-o", filepath.Join(t.TempDir(), "missing", "out"), s.url).want(t, exitError)
	runGet(t, "-o", "-", s.url+"/bytes/1").want(t, exitOK).wantStdout(t, "\x00")
}

func TestGetFiles(t *testing.T) {
	s := start(t)
	dir := filepath.Join(t.TempDir(), "new")
	runGet(t, "-o", dir, s.url+"/bytes/10", s.url+"/bytes/20", s.url+"/bytes/10?again", s.url).want(t, exitOK).wantStdout(t, "")
	for name, size := range map[string]int64{"10": 10, "20": 20, "10.2": 10} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "index")); err != nil || info.Size() == 0 {
		t.Errorf("index: %v, %v", info, err)
	}
}

func TestGetFileNames(t *testing.T) {
	dir := t.TempDir()
	for _, test := range []struct{ url, want string }{
		{"x/a", "a"},
		{"x/a/b.tar.gz?c#d", "b.tar.gz"},
		{"x/a/", "index"},
		{"x/..", "index"},
		{"x/a/%2e%2e", "index"},
		{"x/a%2fb", "b"},
		{"x/a%5c..%5cb", "index"},
		{"x/c:d", "index"},
		{"x/%00", "index"},
		{"x", "index"},
		{"x/a b", "a b"},
	} {
		var o getOptions
		if err := o.parse(o.flags(), []string{"-o", dir, test.url}); err != nil {
			t.Fatal(err)
		}
		if err := o.names(); err != nil {
			t.Fatal(err)
		}
		if want := []string{filepath.Join(dir, test.want)}; !slices.Equal(o.files, want) {
			t.Errorf("%s: %q, want %q", test.url, o.files, want)
		}
	}
}

// A redirect is shown, not followed.
func TestGetRedirect(t *testing.T) {
	url := serveHTTP(t, true, http.RedirectHandler("/elsewhere", http.StatusFound))
	r := runGet(t, "-json", url).want(t, exitOK).records(t)
	if len(r) != 1 || r[0].Status != http.StatusFound {
		t.Errorf("%+v", r)
	}
}
