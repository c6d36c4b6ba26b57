package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// serveNghttpd runs a server that speaks nothing but HTTP/2, for the files in dir.
func serveNghttpd(t *testing.T, dir string) (url string) {
	t.Helper()
	path, err := exec.LookPath("nghttpd")
	switch {
	case err != nil && peersRequired():
		t.Fatal("nghttpd is not installed, and CI=true")
	case err != nil:
		t.Skip("nghttpd is not installed")
	}
	// It does not say which port it takes, so it gets one that was free just now.
	for range 10 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		l.Close()
		_, port, _ := net.SplitHostPort(addr)
		var out bytes.Buffer
		cmd := exec.Command(path, "--no-tls", "-a", "127.0.0.1", "-d", dir, port)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			cmd.Wait()
		}()
		if answers(addr, exited) {
			t.Cleanup(func() {
				cmd.Process.Kill()
				<-exited
			})
			return "http://" + addr
		}
		cmd.Process.Kill()
		<-exited
		t.Logf("nghttpd at %s: %s", addr, &out)
	}
	t.Fatal("nghttpd does not start")
	return ""
}

// answers waits until there is a server, or its process has exited.
func answers(addr string, exited <-chan struct{}) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return true
		}
		select {
		case <-exited:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	return false
}

// A server that speaks nothing but HTTP/2 is found out, and asked by prior knowledge.
func TestGetNghttpd(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), pattern[:5000], 0o666); err != nil {
		t.Fatal(err)
	}
	url := serveNghttpd(t, dir) + "/a"

	g := runGet(t, "-v", url, url).want(t, exitOK)
	g.wantStdout(t, strings.Repeat(string(pattern[:5000]), 2))
	g.wantStderr(t, "#1 connected to ", "#1 recv SETTINGS frame <", "#2 connected to ", "#2 send client preface\n",
		"#2 send HEADERS frame <", "stream_id=1>\n", "#2 recv HEADERS frame <", ":status: 200\n", "server: nghttpd ")
	g.wantStderr(t, "#2 send HEADERS frame <", "stream_id=3>\n")

	for _, mode := range []string{"auto", "prior-knowledge"} {
		records := runGet(t, "-json", "-mode", mode, url, url).want(t, exitOK).records(t)
		if len(records) != 2 || records[0].Stream+records[1].Stream != 1+3 {
			t.Errorf("-mode %s: %+v", mode, records)
		}
		for _, r := range records {
			if r.Via != h2c.ViaPriorKnowledge || r.SHA256 != sumOf(pattern[:5000]) || r.Status != 200 {
				t.Errorf("-mode %s: %+v", mode, r)
			}
		}
	}
	for _, mode := range []string{"upgrade", "http1"} {
		runGet(t, "-mode", mode, url).want(t, exitError).wantStderr(t, "http2_only")
	}
	e := runGet(t, "-f", url+"/missing").want(t, exitHTTP)
	e.wantStderr(t, "404")
}
