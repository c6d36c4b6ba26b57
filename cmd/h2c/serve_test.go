package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// A server is h2c serve, run by a goroutine.
type server struct {
	url string

	signal context.CancelFunc // as SIGTERM does
	exited chan struct{}
	status int // once exited

	mu     sync.Mutex
	stderr bytes.Buffer
}

// log returns what it has written to stderr.
func (s *server) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.String()
}

func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stderr.Write(p)
}

// start starts h2c serve. At the end of the test it must drain and exit with status 0.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{signal: cancel, exited: make(chan struct{})}
	pr, pw := io.Pipe()
	go func() {
		defer close(s.exited)
		s.status = serve(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), pw, s)
		pw.Close()
	}()
	t.Cleanup(func() {
		cancel()
		<-s.exited
		if s.status != exitOK {
			t.Errorf("exit status %d\n%s", s.status, s.log())
		}
	})
	line, err := bufio.NewReader(pr).ReadString('\n')
	url, ok := strings.CutPrefix(line, "serving on ")
	if err != nil || !ok {
		t.Fatalf("first line %q, error %v", line, err)
	}
	s.url = strings.TrimSpace(url)
	return s
}

func TestServeDir(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "public")
	files := map[string]string{
		"secret.txt":           "outside",
		"public/hello.txt":     "hello, world",
		"public/sub/deep.html": "<p>deep</p>",
	}
	for name, content := range files {
		name = filepath.Join(base, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../secret.txt", filepath.Join(dir, "link")); err != nil {
		t.Logf("no symbolic links here: %v", err)
	}
	s := start(t, "-dir", dir)

	eachClient(t, func(t *testing.T, c client) {
		r := c.do(t, call{url: s.url + "/hello.txt"})
		c.wantStatus(t, r, http.StatusOK)
		if got := string(r.body); got != "hello, world" {
			t.Errorf("body %q", got)
		}
		r = c.do(t, call{url: s.url + "/hello.txt", header: map[string]string{"Range": "bytes=7-"}})
		c.wantStatus(t, r, http.StatusPartialContent)
		if got := string(r.body); got != "world" {
			t.Errorf("range %q", got)
		}
		r = c.do(t, call{url: s.url + "/"})
		c.wantStatus(t, r, http.StatusOK)
		if !strings.Contains(string(r.body), "hello.txt") {
			t.Errorf("listing %q", r.body)
		}
		r = c.do(t, call{url: s.url + "/sub/deep.html"})
		c.wantStatus(t, r, http.StatusOK)
		c.wantStatus(t, c.do(t, call{url: s.url + "/stats"}), http.StatusNotFound)

		r = c.do(t, call{url: s.url + "/link"})
		c.wantStatus(t, r, http.StatusNotFound) // it leads out
	})
}

// A signal lets a response in progress finish, and ends events.
func TestServeDrains(t *testing.T) {
	for _, via := range []h2c.Via{h2c.ViaHTTP1, h2c.ViaPriorKnowledge, h2c.ViaUpgrade} {
		t.Run(strings.ReplaceAll(string(via), "/", ""), func(t *testing.T) {
			if via == h2c.ViaUpgrade {
				needCurl(t)
			}
			s := start(t)
			events, _ := stream(t, via, s.url+"/events")
			scan(t, events, "id: 1")
			slow, _ := stream(t, via, s.url+"/drip?n=4&every=250ms")
			scan(t, slow, "1 of 4")

			s.signal()
			for _, want := range []string{"2 of 4", "3 of 4", "4 of 4"} {
				scan(t, slow, want)
			}
			if slow.Scan() {
				t.Errorf("got %q after the end", slow.Text())
			}
			for events.Scan() {
			}
			<-s.exited
			if s.status != exitOK {
				t.Errorf("exit status %d", s.status)
			}
		})
	}
}

// What does not finish in time is cut off, and counts as a failure.
func TestServeDrainTimeout(t *testing.T) {
	for _, via := range []h2c.Via{h2c.ViaHTTP1, h2c.ViaPriorKnowledge} {
		t.Run(strings.ReplaceAll(string(via), "/", ""), func(t *testing.T) {
			var o serveOptions
			if err := o.flags().Parse([]string{"-addr", "127.0.0.1:0"}); err != nil {
				t.Fatal(err)
			}
			o.drainTimeout = 10 * time.Millisecond
			ctx, signal := context.WithCancel(t.Context())
			pr, pw := io.Pipe()
			failed := make(chan error, 1)
			go func() { failed <- o.serve(ctx, pw, io.Discard) }()
			line, err := bufio.NewReader(pr).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			url := strings.TrimSpace(strings.TrimPrefix(line, "serving on "))
			slow, _ := stream(t, via, url+"/drip?n=2&every=1m")
			scan(t, slow, "1 of 2")
			signal()
			if err := <-failed; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v", err)
			}
			if slow.Scan() {
				t.Errorf("got %q after the end", slow.Text())
			}
		})
	}
}

func TestServeFailsWhenOutputIsClosed(t *testing.T) {
	_, pw := io.Pipe()
	pw.Close()
	var stderr bytes.Buffer
	status := serve(t.Context(), []string{"-addr", "127.0.0.1:0"}, pw, &stderr)
	if status != exitError || stderr.Len() == 0 {
		t.Errorf("exit status %d, stderr %q", status, &stderr)
	}
}
