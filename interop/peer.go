package interop

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// A peer is a program that speaks h2c.
type peer struct {
	name  string
	files func() []string // names or paths to look for, the first found is taken
	probe []string        // arguments with which it exits 0 if it is usable

	once sync.Once
	path string
	err  error
}

// find returns the path of the program.
func (p *peer) find(ctx context.Context) (string, error) {
	p.once.Do(func() { p.path, p.err = p.look(ctx) })
	return p.path, p.err
}

func (p *peer) look(ctx context.Context) (string, error) {
	var errs []error
	for _, file := range p.files() {
		path, err := exec.LookPath(file)
		if err == nil {
			_, err = run(ctx, 30*time.Second, path, p.probe...)
		}
		if err == nil {
			return path, nil
		}
		errs = append(errs, err)
	}
	return "", errors.Join(errs...)
}

// named is for a program that PATH leads to.
func named(name string) func() []string {
	return func() []string { return []string{name} }
}

// output is what a process has printed.
type output struct {
	stdout, stderr []byte // no more than maxKept each

	size   int64 // of all of stdout
	sha256 string
}

const maxKept = 4 << 20

// capture keeps the beginning of what is written to it, and the digest of all.
type capture struct {
	kept []byte
	size int64
	hash hash.Hash
}

func (c *capture) Write(p []byte) (int, error) {
	c.kept = append(c.kept, p[:min(len(p), maxKept-len(c.kept))]...)
	c.size += int64(len(p))
	return c.hash.Write(p)
}

// run runs a program until it exits. After the timeout, or at the end of ctx, it is killed.
// No process is left when run returns.
func run(ctx context.Context, timeout time.Duration, path string, args ...string) (output, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = withoutProxies(os.Environ())
	cmd.WaitDelay = 5 * time.Second
	stdout, stderr := &capture{hash: sha256.New()}, &capture{hash: sha256.New()}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	out := output{stdout.kept, stderr.kept, stdout.size, hex.EncodeToString(stdout.hash.Sum(nil))}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		err = fmt.Errorf("%s: %w", cmd, err)
	}
	return out, err
}

// withoutProxies returns env without the settings that would lead a client through a proxy.
func withoutProxies(env []string) []string {
	var kept []string
	for _, e := range env {
		name, _, _ := strings.Cut(strings.ToLower(e), "=")
		if !strings.HasSuffix(name, "_proxy") {
			kept = append(kept, e)
		}
	}
	return kept
}

// required reports whether an absent peer is a failure.
func required() bool {
	return os.Getenv("CI") == "true" || os.Getenv("H2C_REQUIRE_PEERS") == "1"
}
