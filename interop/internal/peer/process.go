//go:build unix

package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A Program is a server that a process of its own runs, and how to start it. In all strings,
// {dir} is a directory for it alone, {www} the files to serve, {port} the port to listen on
// at 127.0.0.1, and {backend} the port of the server behind it.
type Program struct {
	Peer  *Peer
	Conf  string // of the file {dir}/conf
	Args  []string
	Env   []string
	Files map[string]string // more files, by their name in {dir}
}

// A Process is a program that runs.
type Process struct {
	URL    string
	Port   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	exited chan struct{}
	Log    Log
}

const (
	lifetime = 15 * time.Minute // of a process, whatever happens
	patience = 10 * time.Second
)

// Start runs the program in a directory of its own and returns when it accepts connections.
// The caller stops it. backend is the port of the server behind it, if it needs one.
func (p *Program) Start(dir, backend string) (*Process, error) {
	path, err := p.Peer.Find()
	if err != nil {
		return nil, err
	}
	var errs []error
	for range 5 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		r := strings.NewReplacer("{dir}", dir, "{www}", filepath.Join(dir, "www"), "{port}", port, "{backend}", backend)
		if err := p.files(dir, r); err != nil {
			return nil, err
		}
		proc, err := p.run(path, port, r)
		if err == nil {
			return proc, nil
		}
		errs = append(errs, err) // somebody else may have taken the port
	}
	return nil, errors.Join(errs...)
}

// files writes what the program reads. It may run as another user.
func (p *Program) files(dir string, r *strings.Replacer) error {
	files := map[string][]byte{"conf": []byte(r.Replace(p.Conf))}
	for name, content := range p.Files {
		files[name] = []byte(r.Replace(content))
	}
	if p.serves() {
		for _, n := range Served {
			files[fmt.Sprintf("www/bytes/%d", n)] = Payload(n)
		}
	}
	for name, content := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// serves reports whether the program is told of {www}.
func (p *Program) serves() bool {
	told := slices.Concat([]string{p.Conf}, p.Args, p.Env, slices.Collect(maps.Values(p.Files)))
	return slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, "{www}") })
}

func (p *Program) run(path, port string, r *strings.Replacer) (*Process, error) {
	var args []string
	for _, a := range p.Args {
		args = append(args, r.Replace(a))
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	proc := &Process{URL: "http://127.0.0.1:" + port, Port: port, cancel: cancel, exited: make(chan struct{})}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = withoutProxies(os.Environ())
	for _, e := range p.Env {
		cmd.Env = append(cmd.Env, r.Replace(e))
	}
	cmd.Stdout, cmd.Stderr = &proc.Log, &proc.Log
	// Apache signals its whole group when it stops, and that must not be ours.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = proc.kill
	cmd.WaitDelay = time.Second
	proc.cmd = cmd
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		defer close(proc.exited)
		cmd.Wait()
	}()
	if err := proc.ready(); err != nil {
		proc.Stop()
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, &proc.Log)
	}
	return proc, nil
}

// ready waits until the process accepts connections.
func (p *Process) ready() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.DialTimeout("tcp", "127.0.0.1:"+p.Port, patience)
		if err == nil {
			nc.Close()
		}
		select {
		case <-p.exited:
			return errors.New("it has exited")
		default:
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// Stop ends the process and all that it has started.
func (p *Process) Stop() {
	defer p.cancel()
	p.Terminate()
	select {
	case <-p.exited:
	case <-time.After(patience / 2):
	}
	p.kill() // children that outlive it, if any
	<-p.exited
}

// PID returns the process, which is also the group of all that it has started.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Terminate asks the process to end, and does not wait for that. It is to be stopped as well.
func (p *Process) Terminate() { p.cmd.Process.Signal(syscall.SIGTERM) }

func (p *Process) kill() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// ports counts those that programs got which cannot choose one themselves. They are below those
// that Linux gives to clients and to listeners on port 0, so that nobody takes one before the
// program has it, and each is given once: a program that finds its port taken may take its time to
// end, and the one that has it would be taken for it.
var ports atomic.Uint32

const (
	firstPort = 20000
	portCount = 12000
)

func init() { ports.Store(rand.Uint32N(portCount)) }

// freePort returns a port of 127.0.0.1 that was free just now.
func freePort() (string, error) {
	var err error
	for range 100 {
		port := strconv.Itoa(firstPort + int(ports.Add(1)%portCount))
		var l net.Listener
		if l, err = net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", err
}

// InSbin returns where a server is that not everybody has on the PATH.
func InSbin(name string) []string { return []string{name, "/usr/sbin/" + name} }

// Log keeps what a server logs.
type Log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
