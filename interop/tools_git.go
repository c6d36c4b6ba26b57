package main

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/cgi"
	"os"
	"path/filepath"
	"sync"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A gitServer serves the repository project.git in dir, and keeps what was asked for.
type gitServer struct {
	*origin.Server
	t   *matrix.T
	dir string

	mu     sync.Mutex
	visits []gitVisit
	open   int // requests whose handler has not returned
}

type gitVisit struct {
	method, target, proto string
	via                   h2c.Via
	remote                string
}

// startGit makes a repository with a commit of some files and serves it.
func startGit(t *matrix.T, w origin.Way) *gitServer {
	s := &gitServer{t: t, dir: t.TempDir()}
	backend, err := clients.GitBackend(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.git("", "init", "--quiet", "--bare", "--initial-branch=main", "project.git")
	s.git("project.git", "config", "http.receivepack", "true")
	s.git("", "init", "--quiet", "--initial-branch=main", "origin")
	s.commit("origin", "small", peer.Tiny)
	s.commit("origin", "large", peer.MiB)
	s.git("origin", "push", "--quiet", "../project.git", "main")

	var log peer.Log
	program := &cgi.Handler{
		Path: backend, Dir: s.dir, Stderr: &log,
		Env: append([]string{"GIT_PROJECT_ROOT=" + s.dir, "GIT_HTTP_EXPORT_ALL=1"}, clients.GitEnv...),
	}
	s.Server = origin.StartFor(t, w, origin.Config{Serve: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.visits = append(s.visits, gitVisit{r.Method, r.RequestURI, r.Proto, h2c.RequestVia(r), r.RemoteAddr})
		s.open++
		s.mu.Unlock()
		program.ServeHTTP(w, r)
		s.mu.Lock()
		s.open--
		s.mu.Unlock()
	})})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("git-http-backend logged: %s", &log)
		}
	})
	return s
}

// git runs git in a directory in s.dir.
func (s *gitServer) git(dir string, args ...string) string {
	out, err := clients.RunGit(s.t.Context(), filepath.Join(s.dir, dir), args...)
	if errors.Is(err, context.DeadlineExceeded) && s.answered() {
		panic(errStalled)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return out
}

// errStalled says that git waits, though all of its requests have been answered.
var errStalled = errors.New("git waits for more of a response that is whole")

// answered reports whether there were requests, and all have been answered.
func (s *gitServer) answered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.visits) > 0 && s.open == 0
}

// unstalled returns a test that begins anew when git stalls, at most twice: of libcurl 7.88.1, one
// command in some hundreds does. It has read all octets of the response then, and polls its socket
// for more.
func unstalled(test func(*matrix.T, origin.Way)) func(*matrix.T, origin.Way) {
	return func(t *matrix.T, w origin.Way) {
		for range 2 {
			if !stalls(func() { test(t, w) }) {
				return
			}
			t.Logf("%v: once again", errStalled)
		}
		test(t, w)
	}
}

func stalls(f func()) (stalled bool) {
	defer func() {
		if v := recover(); v == errStalled {
			stalled = true
		} else if v != nil {
			panic(v)
		}
	}()
	f()
	return false
}

// commit adds a file to the repository in a directory.
func (s *gitServer) commit(dir, name string, size int) {
	if err := os.WriteFile(filepath.Join(s.dir, dir, name), peer.Payload(size), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.git(dir, "add", name)
	s.git(dir, "commit", "--quiet", "--message", name)
}

// wantCommit checks that two repositories have the same last commit.
func (s *gitServer) wantCommit(one, other string) {
	if a, b := s.git(one, "rev-parse", "main"), s.git(other, "rev-parse", "main"); a != b {
		s.t.Errorf("%s is at %s, %s at %s", one, a, other, b)
	}
}

// wantVisits checks the requests of one command, which came after n others. All of them came
// on one connection, which the first of them upgraded: the others had streams 3, 5 and so on.
func (s *gitServer) wantVisits(n int, service string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	visits := s.visits[n:]
	if len(visits) < 2 {
		s.t.Fatalf("handler saw only %v", visits)
	}
	for i, v := range visits {
		want := gitVisit{"POST", "/project.git/" + service, "HTTP/2.0", h2c.ViaUpgrade, visits[0].remote}
		if i == 0 {
			want.method, want.target = "GET", "/project.git/info/refs?service="+service
		}
		if v != want {
			s.t.Errorf("request %d of the command is %v, want %v", i, v, want)
		}
	}
	return len(s.visits)
}

func gitClone(t *matrix.T, w origin.Way) {
	s := startGit(t, w)
	s.clone()
	s.WantNegotiated(t, 1, 0)
}

// clone clones the repository to the directory copy, and returns how many requests came.
func (s *gitServer) clone() int {
	s.git("", "clone", "--quiet", s.URL+"/project.git", "copy")
	n := s.wantVisits(0, "git-upload-pack")
	s.wantCommit("copy", "project.git")
	for name, size := range map[string]int{"small": peer.Tiny, "large": peer.MiB} {
		got, err := os.ReadFile(filepath.Join(s.dir, "copy", name))
		if err != nil {
			s.t.Error(err)
		} else if !bytes.Equal(got, peer.Payload(size)) {
			s.t.Errorf("%s differs: it has %d octets", name, len(got))
		}
	}
	return n
}

func gitPush(t *matrix.T, w origin.Way) {
	s := startGit(t, w)
	n := s.clone()
	// What is larger than http.postBuffer, 1 MiB, is sent as it is made, of no known length.
	for _, size := range []int{peer.KiB, peer.Larger} {
		s.commit("copy", "more", size)
		s.git("copy", "push", "--quiet", "origin", "main")
		n = s.wantVisits(n, "git-receive-pack")
		s.wantCommit("project.git", "copy")
	}
	s.git("project.git", "fsck", "--strict")
	s.WantNegotiated(t, 3, 0)
}
