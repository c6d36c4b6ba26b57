//go:build linux

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/servers"
)

// Names of the subjects.
const (
	library  = "this library"
	netHTTP2 = "net/http HTTP/2"
	netHTTP1 = "net/http HTTP/1.1"
	xNet     = "x/net h2c"

	grpcAlone      = "grpc-go alone"
	grpcSplit      = "Server.Split"
	grpcConfigured = "ServeHTTP, ConfigureServer"
	grpcXNet       = "ServeHTTP, x/net h2c"
)

// A subject is a server to be measured.
type subject struct {
	name  string
	http1 bool       // it is spoken to in HTTP/1.1
	entry entry      // how connections begin that stay idle
	as    string     // the server of this program that it is; "": its name
	of    string     // the module whose version it has; "": Go
	peer  *peer.Peer // nil for a server of this program
	args  []string   // of the peer, as in [peer.Program]
	conf  func(d dir) string
}

func goSubject(name string) *subject { return &subject{name: name} }

// Servers of one process each, with as many threads at work as it takes to keep one processor
// busy: h2load has the other.
var (
	nghttpd = &subject{
		name: "nghttpd", peer: servers.Named("nghttpd").Peer,
		args: []string{"--no-tls", "--address=127.0.0.1", "--htdocs={files}", "{port}"},
	}
	h2o = &subject{
		name: "h2o", peer: servers.Named("h2o").Peer,
		args: []string{"-c", "{dir}/conf"},
		conf: func(d dir) string {
			user := ""
			if os.Geteuid() == 0 {
				user = "user: root" // or it asks for another one
			}
			return user + `
num-threads: 1
listen:
  host: 127.0.0.1
  port: {port}
hosts:
  default:
    paths:
      ` + uploadPath + `:
        mruby.handler: |
          Proc.new { |env| [200, {}, ["` + hello + `"]] }
      /:
        file.dir: ` + d.files() + "\n"
		},
	}
	// Children that come or go would take their processor time with them.
	apache = &subject{
		name: "Apache", peer: servers.Named("Apache mpm_worker").Peer,
		args: []string{"-d", "{dir}", "-f", "{dir}/conf", "-DFOREGROUND"},
		conf: func(d dir) string {
			return `
LoadModule mpm_worker_module /usr/lib/apache2/modules/mod_mpm_worker.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so
ServerName localhost
Listen 127.0.0.1:{port}
User www-data
Group www-data
DefaultRuntimeDir {dir}
PidFile {dir}/pid
ErrorLog /dev/stderr
DocumentRoot ` + d.files() + `
Protocols h2c http/1.1
H2Direct on
StartServers 2
ServerLimit 2
ThreadsPerChild 64
MinSpareThreads 1
MaxSpareThreads 128
MaxRequestWorkers 128
`
		},
	}
)

// A dir has the files that servers serve, and a directory for each server.
type dir struct{ root string }

// newDir makes a dir, which every user may read.
func newDir() (dir, error) {
	root, err := os.MkdirTemp("", "h2c-bench-")
	if err != nil {
		return dir{}, err
	}
	d := dir{root}
	err = errors.Join(os.Chmod(root, 0o755), os.Mkdir(d.files(), 0o755))
	for _, n := range sizes {
		err = errors.Join(err, d.file(sizePath(n), n))
	}
	if err = errors.Join(err, d.file(uploadPath, len(hello))); err != nil {
		return dir{}, errors.Join(err, os.RemoveAll(root))
	}
	return d, nil
}

func (d dir) files() string { return filepath.Join(d.root, "files") }

func (d dir) file(name string, n int) error {
	return os.WriteFile(filepath.Join(d.files(), name), peer.Payload(n), 0o644)
}

// A server is a subject that runs.
type server struct {
	subject *subject
	dir     dir
	addr    string
	pid     int // of its group, too
	log     fmt.Stringer
	end     func()
	atStop  []func()

	commands io.Writer     // to a server of this program
	answers  *bufio.Reader // from it
}

// onStop makes f run when the server is to be stopped.
func (s *server) onStop(f func()) { s.atStop = append(s.atStop, f) }

func (s *server) stop() {
	for _, f := range s.atStop {
		f()
	}
	s.end()
}

// absent says why the subject cannot run on this machine, if it cannot.
func (s *subject) absent() error {
	if s.peer == nil {
		return nil
	}
	_, err := s.peer.Find()
	return err
}

// version returns the version of what the subject is, if there is one.
func (s *subject) version() string {
	switch {
	case s.peer != nil:
		return s.peer.Version()
	case s.of != "":
		return moduleVersion(s.of)
	}
	return strings.TrimPrefix(runtime.Version(), "go")
}

func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "unknown"
}

// start starts a server. The caller stops it.
func (s *subject) start(ctx context.Context, d dir) (*server, error) {
	if s.peer == nil {
		return s.startSelf(ctx, d)
	}
	own, err := os.MkdirTemp(d.root, "server-")
	if err == nil {
		err = os.Chmod(own, 0o755)
	}
	if err != nil {
		return nil, err
	}
	p := &peer.Program{Peer: s.peer}
	for _, a := range s.args {
		p.Args = append(p.Args, strings.ReplaceAll(a, "{files}", d.files()))
	}
	if s.conf != nil {
		p.Conf = s.conf(d)
	}
	proc, err := p.Start(own, "")
	if err != nil {
		return nil, err
	}
	return &server{
		subject: s, dir: d,
		addr: "127.0.0.1:" + proc.Port, pid: proc.PID(), log: &proc.Log, end: proc.Stop,
	}, nil
}

// patience bounds what takes no time unless something is wrong.
const patience = 20 * time.Second

// startSelf starts this program again, as a server.
func (s *subject) startSelf(ctx context.Context, d dir) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, serveFlag, cmp.Or(s.as, s.name))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as the others are
	cmd.WaitDelay = time.Second
	log := new(peer.Log)
	cmd.Stderr = log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	srv := &server{
		subject: s, dir: d, pid: cmd.Process.Pid, log: log, commands: in, answers: bufio.NewReader(out),
		end: func() {
			in.Close()
			kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
			defer kill.Stop()
			cmd.Wait()
		},
	}
	if srv.addr, err = srv.answer(); err != nil {
		srv.stop()
		return nil, fmt.Errorf("%s: %w: %s", s.name, err, log)
	}
	return srv, nil
}

// answer reads a line of a server of this program.
func (s *server) answer() (string, error) {
	late := time.AfterFunc(patience, func() { syscall.Kill(s.pid, syscall.SIGKILL) })
	defer late.Stop()
	line, err := s.answers.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("no answer from the server: %w", err)
	}
	return strings.TrimSuffix(line, "\n"), nil
}

// rest makes a server of this program free what it can, and returns the octets of its heap and
// its stacks.
func (s *server) rest() (int64, error) {
	if _, err := fmt.Fprintln(s.commands, restCommand); err != nil {
		return 0, err
	}
	line, err := s.answer()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(line, 10, 64)
}
