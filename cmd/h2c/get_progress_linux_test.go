package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// onTerminal calls f with a terminal, and returns what was written to it.
func onTerminal(t *testing.T, f func(*os.File)) string {
	t.Helper()
	pty, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	switch {
	case err != nil && peersRequired():
		t.Fatalf("no terminals here, and CI=true: %v", err)
	case err != nil:
		t.Skipf("no terminals here: %v", err)
	}
	defer pty.Close()
	n, err := unix.IoctlGetInt(int(pty.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(pty.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	written := make(chan string)
	go func() {
		var b bytes.Buffer
		io.Copy(&b, pty) // up to EIO, when nobody has the terminal open
		written <- b.String()
	}()
	f(tty)
	tty.Close()
	return <-written
}

func TestGetProgress(t *testing.T) {
	s := start(t)
	dir := t.TempDir()
	// Each test is what comes last on the terminal, before the end of the line.
	for _, test := range []struct {
		name   string
		args   []string
		status int
		want   string
	}{
		{"one", []string{"-o", filepath.Join(dir, "one"), s.url + "/bytes/3000000"}, exitOK, "100% |██████████████████████████████| (2.9/2.9 MiB"},
		{"several", []string{"-o", filepath.Join(dir, "several"), s.url + "/bytes/1000000", s.url + "/bytes/2000000"}, exitOK, "(2.9/2.9 MiB"},
		{"of unknown size", []string{"-o", filepath.Join(dir, "unknown"), s.url + "/trailers", s.url + "/bytes/1000000"}, exitOK, "\r1000044 octets"},
		{"empty", []string{"-o", filepath.Join(dir, "empty"), s.url + "/bytes/0"}, exitOK, "\r0 octets"},
		{"failed", []string{"-f", "-o", filepath.Join(dir, "none"), s.url + "/status/404"}, exitHTTP, "404 Not Found"},
		{"not reached", []string{"-o", filepath.Join(dir, "none"), "http://127.0.0.1:1"}, exitError, "connection refused"},
		{"no file", []string{s.url + "/bytes/3000000"}, exitOK, ""},
		{"-v", []string{"-v", "-mode", "http1", "-o", filepath.Join(dir, "one"), s.url + "/bytes/3000000"}, exitOK, "#1 closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			text := onTerminal(t, func(tty *os.File) {
				var o getOptions
				if err := o.parse(o.flags(), test.args); err != nil {
					t.Fatal(err)
				}
				if status := o.run(t.Context(), nil, io.Discard, tty); status != test.status {
					t.Errorf("exit status %d, want %d", status, test.status)
				}
			})
			last := strings.TrimSuffix(text, "\r\n")
			if i := max(strings.LastIndex(last, "  \r"), strings.LastIndex(last, "\n")); i >= 0 {
				last = last[i:]
			}
			if !strings.Contains(last, test.want) || test.want == "" && text != "" {
				t.Errorf("last on the terminal is %q, want %q; all of it is\n%q", last, test.want, text)
			}
			if test.name == "-v" && strings.Contains(text, "100%") {
				t.Errorf("a bar in %q", text)
			}
		})
	}
}
