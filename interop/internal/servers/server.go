//go:build unix

// Package servers has the servers that the Transport of this library is run against, one file
// for each.
package servers

import (
	"fmt"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Speaks is how a server can be spoken to.
type Speaks int

const (
	All         Speaks = iota // HTTP/1.1, and HTTP/2 begun by Upgrade and by prior knowledge
	OnlyHTTP2                 // it answers HTTP/1.1 in HTTP/2
	SilentHTTP2               // it answers HTTP/1.1 by a close
	NoUpgrade                 // HTTP/1.1, and HTTP/2 by prior knowledge
	OnlyHTTP1
)

// A WithBody is what comes of an offer of h2c in a request with a body.
type WithBody int

const (
	Upgraded WithBody = iota
	Declined          // answered over HTTP/1.1
	Rejected          // answered by an error
)

// A Server is a server to be run.
type Server struct {
	Name   string
	Peer   *peer.Peer
	Speaks Speaks

	// WithBody is what it does with an offer whose body is small, 1 KiB, and WithMore with
	// one of 100 KiB.
	WithBody, WithMore WithBody

	// Files: it serves /bytes/N itself, so that nothing but the response tells of those
	// requests; for all others there is a handler behind it.
	Files bool
	// Only, if not 0, is the status of its answer to any request here: it is a server for
	// something else.
	Only int
	// Restless: it sends GOAWAY to idle connections when it likes to, as it may:
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
	Restless bool

	// Cannot says why it cannot do a case, by the name of the case, alone or with the entry
	// in front ("upgrade: POST").
	Cannot map[string]string

	start func(dir string) (*Instance, error)
}

// Servers are the rows of the matrix: those that upgrade, those that do not, and those that
// do not speak HTTP/1.1.
var Servers = []*Server{
	byConfigureServer, byNewHandler,
	apacheWorker, apacheEvent, tomcat, jetty, varnish, h2o, nghttpx, caddy, byXNet, hyperH2,
	byNetHTTP, byNetHTTP1,
	nghttpd, nginx, node, grpcGo, haproxy,
}

// Named returns the server of that name, or nil.
func Named(name string) *Server {
	for _, s := range Servers {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// An Instance is a server that runs.
type Instance struct {
	URL    string
	Origin *origin.Server // the one itself, or behind it; nil if there is none

	// Times returns how often a handler has had each request, by method and target; nil if
	// there is no handler.
	Times func() map[string]int
	// Open opens a gate of a response, and Cancelled reports whether the context of its request
	// ended before; nil if there are none.
	Open      func(gate string) error
	Cancelled func(gate string) bool

	terminate func() // begins the end
	stop      func() error
	log       fmt.Stringer
}

// Terminate asks the server to end, and does not wait for that. It is to be stopped as well.
func (i *Instance) Terminate() { i.terminate() }

// Stop ends the server.
func (i *Instance) Stop() error { return i.stop() }

// Start starts the server. The directory is for it alone, and every user may read it.
func (s *Server) Start(dir string) (*Instance, error) { return s.start(dir) }

// StartFor starts the server for a case, or for several.
func (s *Server) StartFor(t *matrix.T) *Instance {
	i, err := s.Start(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if o := i.Origin; o != nil && o.H2C != nil {
			t.Eventually("the server counts no HTTP/2 connection", func() bool { return o.H2C.Stats().Active == 0 })
			for reason, n := range o.H2C.Stats().Failed {
				t.Errorf("handshakes broke: %d times %s", n, reason)
			}
		}
		if err := i.Stop(); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
		if t.Failed() {
			t.Logf("%s said: %s", s.Name, i.log)
		}
	})
	return i
}

// ofFiles is for a program that serves files.
func ofFiles(p *peer.Program) func(string) (*Instance, error) {
	return func(dir string) (*Instance, error) {
		proc, err := p.Start(dir, "")
		if err != nil {
			return nil, err
		}
		return ofProcess(proc), nil
	}
}

func ofProcess(proc *peer.Process) *Instance {
	return &Instance{
		URL:       proc.URL,
		terminate: proc.Terminate,
		stop: func() error {
			proc.Stop()
			return nil
		},
		log: &proc.Log,
	}
}

// inFront is for a program that passes requests to a server behind it.
func inFront(p *peer.Program) func(string) (*Instance, error) {
	return func(dir string) (*Instance, error) {
		backend, err := origin.Start(origin.ByNetHTTP1, origin.Config{})
		if err != nil {
			return nil, err
		}
		proc, err := p.Start(dir, backend.Port)
		if err != nil {
			backend.Close()
			return nil, err
		}
		i := ofProcess(proc)
		i.handledBy(backend)
		i.stop = func() error {
			proc.Stop()
			return backend.Close()
		}
		return i, nil
	}
}

// handledBy says that requests come to a server of this process.
func (i *Instance) handledBy(o *origin.Server) {
	i.Origin = o
	i.Times = func() map[string]int {
		times := make(map[string]int)
		for _, r := range o.Seen() {
			times[r.Method+" "+r.Target]++
		}
		return times
	}
	i.Open = func(gate string) error {
		o.Gate(gate).Open()
		return nil
	}
	i.Cancelled = func(gate string) bool {
		select {
		case <-o.Gate(gate).Cancelled():
			return true
		default:
			return false
		}
	}
}

// dropsTrailers is what a server in front of another may do.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-6.5.1
const dropsTrailers = "it drops the trailers of the server behind it"

// waits is for a server in front of another.
const waits = "it does not give up its request to the server behind it while it waits for that"

// noHandler is for servers of files.
func noHandler(cannot map[string]string) map[string]string {
	for _, name := range []string{"early hints", "events", "cancel in handler"} {
		cannot[name] = "it serves files only"
	}
	return cannot
}

// WhyNot says why the server cannot do a case, if it cannot.
func (s *Server) WhyNot(entry, name string) string {
	if why, ok := s.Cannot[entry+": "+name]; ok {
		return why
	}
	return s.Cannot[name]
}
