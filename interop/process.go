//go:build unix

package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A program is a server that a process of its own runs, and how to start it. In conf, args
// and env, {dir} is a directory for it alone, {www} the files to serve, {port} the port to
// listen on at 127.0.0.1, and {backend} the port of the server behind it.
type program struct {
	peer *peer
	conf string // of the file {dir}/conf
	args []string
	env  []string
}

// served are the files in {www}: the paths are as in the handler, and so are the octets.
var served = []int{small, large}

const (
	small = 6
	large = 3_000_000
)

// A process is a program that runs.
type process struct {
	port   string
	cmd    *exec.Cmd
	cancel context.CancelFunc
	exited chan struct{}
	log    logBuffer
}

const (
	lifetime = 3 * time.Minute // of a process, whatever happens
	patience = 10 * time.Second
)

// start runs the program at path and returns when it accepts connections. The caller stops
// it.
func (p *program) start(path, dir, backend string) (*process, error) {
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
func (p *program) files(dir string, r *strings.Replacer) error {
	files := map[string][]byte{"conf": []byte(r.Replace(p.conf))}
	for _, n := range served {
		files[fmt.Sprintf("www/bytes/%d", n)] = payload(n)
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

func (p *program) run(path, port string, r *strings.Replacer) (*process, error) {
	var args []string
	for _, a := range p.args {
		args = append(args, r.Replace(a))
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	proc := &process{port: port, cancel: cancel, exited: make(chan struct{})}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = withoutProxies(os.Environ())
	for _, e := range p.env {
		cmd.Env = append(cmd.Env, r.Replace(e))
	}
	cmd.Stdout, cmd.Stderr = &proc.log, &proc.log
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
		proc.stop()
		return nil, fmt.Errorf("%s: %w: %s", cmd, err, &proc.log)
	}
	return proc, nil
}

// ready waits until the process accepts connections.
func (p *process) ready() error {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		nc, err := net.DialTimeout("tcp", "127.0.0.1:"+p.port, patience)
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

// stop ends the process and all that it has started.
func (p *process) stop() {
	defer p.cancel()
	p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(patience / 2):
	}
	p.kill() // children that outlive it, if any
	<-p.exited
}

func (p *process) kill() error { return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) }

// freePort returns a port of 127.0.0.1 that was free just now.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// installed is for a server that is not on the PATH of everybody.
func installed(name string) func() []string {
	return func() []string { return []string{name, "/usr/sbin/" + name} }
}
