package clients

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Git is git over http. The first request of a command upgrades, and the others follow on
// the same connection, at first a POST on stream 3.
var Git = &peer.Peer{Name: "git", Files: []string{"git"}, Probe: []string{"--version"}}

// GitEnv keeps git from reading and asking for anything that is not of the case.
var GitEnv = []string{
	"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0",
	"GIT_AUTHOR_NAME=interop", "GIT_AUTHOR_EMAIL=interop@example.com",
	"GIT_COMMITTER_NAME=interop", "GIT_COMMITTER_EMAIL=interop@example.com",
}

// gitTimeout is many times what a command takes.
const gitTimeout = 20 * time.Second

// RunGit runs git in the directory, which offers h2c over http, and returns what it prints.
func RunGit(ctx context.Context, dir string, args ...string) (string, error) {
	path, err := Git.Find()
	if err != nil {
		return "", err
	}
	out, err := peer.Run(ctx, gitTimeout, peer.Command{
		Path: path, Dir: dir, Env: GitEnv,
		Args: append([]string{"-c", "http.version=HTTP/2", "-c", "gc.auto=0"}, args...),
	})
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out.Stderr)
	}
	return strings.TrimSpace(string(out.Stdout)), nil
}

// GitBackend returns the path of the CGI program that serves repositories.
func GitBackend(ctx context.Context) (string, error) {
	dir, err := RunGit(ctx, "", "--exec-path")
	return filepath.Join(dir, "git-http-backend"), err
}
