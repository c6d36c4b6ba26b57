// Package peer finds the programs that the matrix runs, and runs them.
package peer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A Peer is a program on this machine, or a Go module in this one, that speaks h2c.
type Peer struct {
	Name  string        // as the matrix shows it
	Files []string      // names on the PATH, or paths: the first usable one is taken
	Probe []string      // arguments with which it exits 0 if it is usable, and tells its version
	After string        // what stands before the version in that output; "": it is the first
	Says  func() string // the version instead, if no program tells it

	once  sync.Once
	found findings
}

type findings struct {
	path, version string
	err           error
}

// Find returns the path of the program. For a Go module that is "".
func (p *Peer) Find() (string, error) {
	f := p.look()
	return f.path, f.err
}

// Version returns the version of the peer, or "" if it is absent or has none.
func (p *Peer) Version() string { return p.look().version }

func (p *Peer) look() findings {
	p.once.Do(func() { p.found = p.search() })
	return p.found
}

func (p *Peer) search() findings {
	if p.Files == nil {
		return findings{version: p.version(p.Says())}
	}
	var errs []error
	for _, file := range p.Files {
		path, err := exec.LookPath(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out, err := Run(context.Background(), 30*time.Second, Command{Path: path, Args: p.Probe})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		version := p.version(string(out.Stdout) + "\n" + string(out.Stderr))
		if p.Says != nil {
			version = p.version(p.Says())
		}
		return findings{path: path, version: version}
	}
	return findings{err: errors.Join(errs...)}
}

var versionNumber = regexp.MustCompile(`\d+(\.\d+)+`)

// version finds the version in what a program prints, or in what a Go module says.
func (p *Peer) version(text string) string {
	if _, after, ok := strings.Cut(text, p.After); ok {
		text = after
	}
	return versionNumber.FindString(text)
}

// A Command is a program to run until it exits.
type Command struct {
	Path   string
	Args   []string
	Env    []string // on top of the one of this process
	Dir    string
	Stdin  []byte
	Input  io.Reader // nil, or what it reads after Stdin
	Stdout io.Writer // nil, or gets what the program prints while it runs, too
}

// Output is what a process has printed.
type Output struct {
	Stdout, Stderr []byte // no more than maxKept each

	Size   int64  // of all of stdout, in octets
	SHA256 string // of all of stdout, in hexadecimal digits
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

// Run runs a program until it exits. After the timeout, or at the end of ctx, it is killed.
// No process is left when Run returns.
func Run(ctx context.Context, timeout time.Duration, c Command) (Output, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Env = append(withoutProxies(os.Environ()), c.Env...)
	cmd.Dir = c.Dir
	cmd.WaitDelay = 5 * time.Second
	// git has children of its own.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stdin = bytes.NewReader(c.Stdin)
	if c.Input != nil {
		cmd.Stdin = io.MultiReader(bytes.NewReader(c.Stdin), c.Input)
	}
	stdout, stderr := &capture{hash: sha256.New()}, &capture{hash: sha256.New()}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if c.Stdout != nil {
		cmd.Stdout = io.MultiWriter(stdout, c.Stdout)
	}
	err := cmd.Run()
	out := Output{stdout.kept, stderr.kept, stdout.size, hex.EncodeToString(stdout.hash.Sum(nil))}
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
