// Package matrix runs cases with peers, and shows what came of it.
package matrix

import (
	"context"
	"fmt"
	"regexp"
	"runtime"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A Cell is one case with one peer.
type Cell struct {
	Group string   // a table of the matrix: clients, servers, proxies, grpc
	Peer  string   // with Entry a row of the table
	Entry string   // how HTTP/2 begins: upgrade, prior knowledge
	Case  string   // a column of the table
	IDs   []string // of the requirements that it proves
	Needs []*peer.Peer

	// Cannot says why the peer cannot do this. The case is not run then.
	Cannot string
	// Known are the deviations of the peer that show in this case.
	Known []Deviation
	// Test is the case.
	Test func(*T)
}

// A Deviation is what a peer does and an RFC does not allow. A failure that it explains does
// not count, for that peer in that case alone.
type Deviation struct {
	Peer, Entry, Case string // "": any entry, any case

	Shows     *regexp.Regexp // the failure; all of its failures must be of that kind
	Sometimes bool           // it does not show each time; otherwise, that it does not is a failure
	Evidence  string         // what the peer does
	RFC       string         // URL of the section
}

func (d Deviation) explains(failure string) bool { return d.Shows.MatchString(failure) }

// concerns reports whether the deviation is one of the cell's.
func (d Deviation) concerns(c Cell) bool {
	return d.Peer == c.Peer && (d.Entry == "" || d.Entry == c.Entry) && (d.Case == "" || d.Case == c.Case)
}

// Know adds the deviations that concern it to each cell.
func Know(cells []Cell, deviations []Deviation) []Cell {
	for i, c := range cells {
		for _, d := range deviations {
			if d.concerns(c) {
				cells[i].Known = append(cells[i].Known, d)
			}
		}
	}
	return cells
}

// Row names the row of the cell.
func (c Cell) Row() string {
	if c.Entry == "" {
		return c.Peer
	}
	return c.Peer + ", " + c.Entry
}

// Name is the cell in one line.
func (c Cell) Name() string { return fmt.Sprintf("%s/%s/%s", c.Group, c.Row(), c.Case) }

// A Status is what came of a cell.
type Status string

const (
	Passed   Status = "passed"
	Failed   Status = "failed"
	Deviates Status = "deviates" // as it is known to
	Unable   Status = "unable"   // the peer cannot do it
	Absent   Status = "absent"   // the peer is not on this machine
)

// A Result is what came of a cell, and why.
type Result struct {
	Cell       Cell
	Status     Status
	Reason     string   // if it was not run
	Failures   []string // those that a deviation explains included
	Log        []string
	Transcript string // of the connections, if asked for
	Recorded   []Recording
	Took       time.Duration
}

// timeout is for each cell. The slowest, h2spec, waits for most of it.
const timeout = 2 * time.Minute

// Options are for running cells.
type Options struct {
	Require bool // an absent peer is a failure
	Tap     bool // Result.Transcript is wanted
	Record  bool // Result.Recorded is wanted
}

// Run runs the cell.
func (c Cell) Run(ctx context.Context, o Options) Result {
	r := Result{Cell: c}
	for _, p := range c.Needs {
		if _, err := p.Find(); err != nil {
			r.Status = Absent
			if o.Require {
				r.Status = Failed
			}
			r.Reason = fmt.Sprintf("%s is not usable here, interop/install-peers.sh installs it: %v", p.Name, err)
			r.Failures = []string{r.Reason}
			return r
		}
	}
	if c.Cannot != "" {
		r.Status, r.Reason = Unable, c.Cannot
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	t := &T{ctx: ctx}
	if o.Tap || o.Record {
		t.tap = newTap(o.Record)
	}
	began := time.Now()
	t.run(c.Test)
	r.Took = time.Since(began)
	r.Failures, r.Log = t.failures, t.log
	r.Transcript, r.Recorded = t.tap.transcript(), t.tap.recordings()

	switch {
	case len(unexpected(r.Failures, c.Known)) > 0:
		r.Status = Failed
	case len(r.Failures) > 0:
		r.Status = Deviates
	default:
		r.Status = Passed
		for _, d := range c.Known {
			if !d.Sometimes {
				r.Status = Failed
				r.Failures = append(r.Failures, "this known deviation does not show any more: "+d.Evidence)
			}
		}
	}
	return r
}

// Shared is something that the cells of a row share, such as a server. The first that needs
// it starts it.
type Shared[V any] struct {
	Start func(*T) V

	once sync.Once
	t    *T
	v    V
}

// Get returns what Start returned. If that failed, the case fails.
func (s *Shared[V]) Get(t *T) V {
	s.once.Do(func() {
		s.t = &T{ctx: context.Background()}
		s.t.protect(func() { s.v = s.Start(s.t) })
		atExit(s.t)
	})
	if s.t.Failed() {
		for _, f := range s.t.failures {
			t.Errorf("%s", f)
		}
		runtime.Goexit()
	}
	return s.v
}

var exits struct {
	mu     sync.Mutex
	shared []*T
}

func atExit(t *T) {
	exits.mu.Lock()
	defer exits.mu.Unlock()
	exits.shared = append(exits.shared, t)
}

// Close ends all that cells share, and returns what went wrong with that. It is called when
// no cell runs any more.
func Close() (failures []string) {
	exits.mu.Lock()
	defer exits.mu.Unlock()
	for _, t := range exits.shared {
		began := len(t.failures)
		t.end()
		failures = append(failures, t.failures[began:]...)
	}
	exits.shared = nil
	return failures
}
