//go:build linux

package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// All rounds of a case take less time than [peer.Process] lets a server live.
const (
	maxRounds   = 50
	maxDuration = 2 * time.Second
)

// options say how much to measure.
type options struct {
	rounds   int
	duration time.Duration // of one measurement
	idle     int           // connections
}

// A group has cases that are measured in the same way on the same subjects.
type group struct {
	name, title string
	about       string // in Markdown
	subjects    []*subject
	baseline    *subject // the others are compared with it
	figures     [2]figure
	fresh       bool // every round has servers of its own
	cases       []benchCase
}

// A figure is one of the two that each measurement yields.
type figure struct {
	name   string
	format func(float64) string
	// lower: less of it is better.
	lower bool
}

// A sample is what one measurement yields: the two figures of the group.
type sample [2]float64

// perRequest are the figures of most groups: a rate, and seconds of the server's processors.
func perRequest(what string) [2]figure {
	return [2]figure{
		{name: what + "s/s", format: formatCount},
		{name: "CPU per " + what, format: formatSeconds, lower: true},
	}
}

// A benchCase is measured once in a round on each subject.
type benchCase struct {
	name string
	// begin warms up, and returns what takes a sample.
	begin func(context.Context, *server, options) (func(context.Context) (sample, error), error)
}

// A result is what there is of a case.
type result struct {
	group  *group
	name   string
	series []*series // in the order of the subjects
}

// A series has the samples of a subject, one for each round.
type series struct {
	subject *subject
	samples []sample
	absent  error // why it cannot run here
	err     error // what went wrong; samples are void

	server *server
	take   func(context.Context) (sample, error)
}

// ok reports whether there are samples.
func (s *series) ok() bool { return s.err == nil && s.absent == nil }

// measure measures all cases of the groups, and tells of each when it is done.
func measure(ctx context.Context, all []*group, o options, tell func(*result)) (results []*result, err error) {
	dir, err := newDir()
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := os.RemoveAll(dir.root); err == nil {
			err = e
		}
	}()
	for _, g := range all {
		for _, c := range g.cases {
			r := &result{group: g, name: c.name}
			for _, s := range g.subjects {
				r.series = append(r.series, &series{subject: s, absent: s.absent()})
			}
			r.measure(ctx, c, o, dir)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			results = append(results, r)
			tell(r)
		}
	}
	return results, nil
}

// measure lets the subjects take turns. Each round begins with another of them.
func (r *result) measure(ctx context.Context, c benchCase, o options, dir dir) {
	defer func() {
		for _, s := range r.series {
			s.stop()
		}
	}()
	each := func(turn []*series, do func(*series) error) {
		for _, s := range turn {
			if s.ok() && ctx.Err() == nil {
				if err := do(s); err != nil {
					s.fail(err)
				}
			}
		}
	}
	begin := func(s *series) error { return s.begin(ctx, c, o, dir) }
	take := func(s *series) error {
		v, err := s.take(ctx)
		s.samples = append(s.samples, v)
		return err
	}
	turn := slices.Clone(r.series)
	if !r.group.fresh {
		each(turn, begin)
	}
	for range o.rounds {
		if r.group.fresh {
			each(turn, func(s *series) error {
				err := begin(s)
				if err == nil {
					err = take(s)
				}
				if err == nil {
					s.stop()
				}
				return err
			})
		} else {
			each(turn, take)
		}
		turn = append(turn[1:], turn[0])
	}
}

// begin starts the server and warms it up.
func (s *series) begin(ctx context.Context, c benchCase, o options, dir dir) (err error) {
	if s.server, err = s.subject.start(ctx, dir); err != nil {
		return err
	}
	s.take, err = c.begin(ctx, s.server, o)
	return err
}

// fail ends the server, which has said all it has to say then.
func (s *series) fail(err error) {
	s.err = err
	if srv := s.server; srv != nil {
		s.stop()
		s.err = fmt.Errorf("%w\n%s", err, srv.log)
	}
}

func (s *series) stop() {
	if s.server != nil {
		s.server.stop()
		s.server, s.take = nil, nil
	}
}

// timed runs f, which returns how often it did something, and returns the rate and the
// processor time of the server for each.
func timed(srv *server, f func() (int, error)) (sample, error) {
	before, err := srv.cpu()
	if err != nil {
		return sample{}, err
	}
	start := time.Now()
	n, err := f()
	took := time.Since(start)
	if err != nil {
		return sample{}, err
	}
	if n == 0 {
		return sample{}, fmt.Errorf("nothing was done in %v", took)
	}
	after, err := srv.quiet()
	if err != nil {
		return sample{}, err
	}
	return sample{float64(n) / took.Seconds(), (after - before).Seconds() / float64(n)}, nil
}

// ratios returns, for each round, the figure of s divided by the one of base.
func ratios(s, base *series, figure int) []float64 {
	var all []float64
	for i := range min(len(s.samples), len(base.samples)) {
		if b := base.samples[i][figure]; b > 0 {
			all = append(all, s.samples[i][figure]/b)
		}
	}
	return all
}

// values returns a figure in all rounds.
func (s *series) values(figure int) []float64 {
	var all []float64
	for _, v := range s.samples {
		all = append(all, v[figure])
	}
	return all
}

// A spread is the least, the middle and the greatest of some values.
type spread struct{ min, median, max float64 }

// spreadOf returns the spread of at least one value.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{sorted[0], (sorted[(n-1)/2] + sorted[n/2]) / 2, sorted[n-1]}
}
