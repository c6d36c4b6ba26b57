//go:build linux

package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

var require = flag.Bool("require", os.Getenv("CI") == "true" || os.Getenv("H2C_REQUIRE_PEERS") == "1",
	"an absent server is a failure; the default is true if CI=true or H2C_REQUIRE_PEERS=1")

// TestMain makes the test a server where it starts itself as one.
func TestMain(m *testing.M) {
	if isServer(os.Args) {
		os.Exit(serve(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestSmoke measures a little of each group.
func TestSmoke(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	os.Chmod(filepath.Dir(os.Getenv("TMPDIR")), 0o755) // Apache is another user
	os.Chmod(os.Getenv("TMPDIR"), 0o755)
	t.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // of the servers: it is a second
	all, err := choose(groups(), `^(http/10x10|download/16KiB.*|upload/1MiB 1x1|upgrade/.*|idle/.*|grpc/.* 1x1)$`, "")
	if err != nil {
		t.Fatal(err)
	}
	o := options{rounds: 2, duration: 10 * time.Millisecond, idle: 50}
	began := time.Now()
	results, err := measure(t.Context(), all, o, func(r *result) { r.write(t.Output()) })
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		for _, s := range r.series {
			t.Run(r.fullName()+"/"+s.subject.name, func(t *testing.T) {
				if s.absent != nil && !*require {
					t.Skip("skipped: ", s.absent)
				}
				if err := errors.Join(s.absent, s.err); err != nil {
					t.Fatal(err)
				}
				if len(s.samples) != o.rounds {
					t.Fatalf("%d samples, want %d", len(s.samples), o.rounds)
				}
				for _, v := range s.samples {
					if v[0] <= 0 || v[1] <= 0 {
						t.Errorf("sample %v", v)
					}
				}
			})
		}
	}
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}

	text := string(report(results, o, began))
	for _, want := range []string{"## Small responses", "| ping-pong 1 × 1 |", "## Idle connections", "## In short"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the report:\n%s", want, text)
		}
	}
	for _, r := range results {
		if r.fullName() == charted {
			wantXML(t, chart(r), library, netHTTP2)
		}
	}
}

// wantXML wants a well-formed document with these texts.
func wantXML(t *testing.T, b []byte, texts ...string) {
	t.Helper()
	for d := xml.NewDecoder(bytes.NewReader(b)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in:\n%s", err, b)
		}
	}
	for _, want := range texts {
		if !strings.Contains(string(b), ">"+want+"<") {
			t.Errorf("no %q in:\n%s", want, b)
		}
	}
}

// fake returns a result of three rounds.
func fake() *result {
	base, other := goSubject("base"), goSubject("a & b")
	g := &group{name: "http", subjects: []*subject{base, other}, baseline: base, figures: perRequest("request")}
	return &result{group: g, name: "10x10", series: []*series{
		{subject: base, samples: []sample{{100, 20e-6}, {200, 10e-6}, {100, 10e-6}}},
		{subject: other, samples: []sample{{150, 10e-6}, {500, 10e-6}, {200, 5e-6}}},
		{subject: goSubject("gone"), absent: os.ErrNotExist},
		{subject: goSubject("broken"), err: io.ErrUnexpectedEOF},
	}}
}

// TestCPU wants of a group of processes what the kernel says when they have ended.
func TestCPU(t *testing.T) {
	cmd := exec.Command("sh", "-c", `work() { i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; }
		{ work; echo done; read -r _; } <&3 & work; echo done; read -r _; wait`)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	hold, release, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Close()
	defer release.Close()
	cmd.Stdin, cmd.ExtraFiles = hold, []*os.File{hold}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("done\ndone\n"))); err != nil {
		t.Fatal(err)
	}
	srv := &server{pid: cmd.Process.Pid}
	got, err := srv.quiet()
	release.Close()
	cmd.Wait()
	if err != nil {
		t.Fatal(err)
	}
	want := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if (want - got).Abs() > want/10+5*time.Millisecond {
		t.Errorf("%v of the processor, want %v", got, want)
	}
	if _, err := srv.cpu(); err == nil {
		t.Error("no error when the server has ended")
	}
}

func TestTable(t *testing.T) {
	r := fake()
	var b strings.Builder
	r.write(&b)
	for _, want := range []string{
		`(?m)^ +base +100 +10\.0 µs +$`,
		`(?m)^ +a & b +200 +2\.00 +1\.50–2\.50 +10\.0 µs +0\.500 +0\.500–1\.00$`,
		`(?m)^ +gone +– +– +$`,
		`(?m)^gone is absent: file does not exist$`,
		`(?m)^broken failed: unexpected EOF$`,
	} {
		if !regexp.MustCompile(want).MatchString(b.String()) {
			t.Errorf("nothing matches %s in:\n%s", want, b.String())
		}
	}
	if got, want := r.cell(r.series[1], cost, "<br>"), "10.0 µs<br>0.500 (0.500–1.00)"; got != want {
		t.Errorf("cell %q, want %q", got, want)
	}
	wantXML(t, chart(r), "a &amp; b", "200")
}

func TestFormat(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{formatCount(1234567.8), "1,234,568"},
		{formatCount(123.4), "123"},
		{formatCount(12.34), "12.3"},
		{formatCount(-1234.4), "-1,234"},
		{formatSeconds(0.0000047), "4.70 µs"},
		{formatSeconds(0.0123), "12.3 ms"},
		{formatSeconds(1.5), "1.50 s"},
		{formatRatio(0.0456), "0.046"},
		{formatRatio(9.999), "10.0"},
		{formatRatio(123.4), "123"},
		{spreadOf([]float64{3, 1, 2, 10}).String(), "1.00–10.0"},
		{pretty("download/1MiB 10x100"), "download 1MiB 10 × 100"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
	if got := spreadOf([]float64{3, 1, 2, 10}); got != (spread{1, 2.5, 10}) {
		t.Errorf("spread %v", got)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{
		{"x"}, {"-run", "("}, {"-subject", "("}, {"-run", "nothing"}, {"-rounds", "-1"}, {"-time", "1h"}, {"-markdown", "-quick"},
	} {
		if status := run(t.Context(), args, io.Discard, io.Discard); status != 2 {
			t.Errorf("status %d for %q, want 2", status, args)
		}
	}
	var b strings.Builder
	if status := run(t.Context(), []string{"-list", "-run", "http/10x1"}, &b, io.Discard); status != 0 || b.String() != "http/10x1\nhttp/10x10\nhttp/10x100\n" {
		t.Errorf("status %d, list:\n%s", status, b.String())
	}
}
