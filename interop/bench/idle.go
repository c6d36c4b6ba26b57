//go:build linux

package main

import (
	"context"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	wantIdle   = 10_000
	otherFiles = 500 // that a process may have open
	warmUp     = 100 // connections that come and go first

	restTimes = 16 // how long they are quiet then, in times of a measurement: 8 s by default
)

// upgraded is behind the names of servers whose idle connections were upgraded.
const upgraded = ", upgraded"

// idleConnections returns how many connections can be held open. Go has raised the limit as
// far as this user may.
func idleConnections() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= wantIdle+otherFiles {
		return wantIdle
	}
	return max(int(limit.Cur)-otherFiles, warmUp)
}

func idleGroup() *group {
	switched := func(s subject) *subject {
		s.as, s.entry = s.name, byUpgrade
		s.name += upgraded
		return &s
	}
	direct := func(s subject) *subject {
		s.as, s.entry = s.name, byPriorKnowledge
		return &s
	}
	base := direct(subject{name: netHTTP2})
	g := &group{
		name: "idle", title: "Idle connections",
		about: "Connections of raw sockets, by prior knowledge or upgraded, that have had one response each and been quiet for eight seconds. What the server has in memory " +
			"with them, less what it had without, by connection: resident memory of the process, and the heap and stacks of Go, after all garbage was " +
			"freed. Every round has a new server.",
		subjects: []*subject{
			direct(subject{name: library}), switched(subject{name: library}),
			base, switched(subject{name: xNet, of: "golang.org/x/net"}),
		},
		baseline: base,
		figures: [2]figure{
			{name: "octets resident", format: formatCount, lower: true},
			{name: "octets of heap and stacks", format: formatCount, lower: true},
		},
		fresh: true,
	}
	g.cases = []benchCase{{name: "connections", begin: beginIdle}}
	return g
}

func beginIdle(_ context.Context, srv *server, o options) (func(context.Context) (sample, error), error) {
	conns := new(idleSet)
	srv.onStop(conns.close)
	if err := conns.open(srv, min(warmUp, o.idle)); err != nil {
		return nil, err
	}
	conns.close()
	return func(context.Context) (v sample, err error) {
		resident, heap, err := srv.memory()
		if err != nil {
			return v, err
		}
		if err := conns.open(srv, o.idle); err != nil {
			return v, err
		}
		time.Sleep(restTimes * o.duration)
		residentThen, heapThen, err := srv.memory()
		n := float64(o.idle)
		return sample{float64(residentThen-resident) / n, float64(heapThen-heap) / n}, err
	}, nil
}

// memory returns what a server of this program has in memory when it is quiet.
func (s *server) memory() (resident, heap int64, err error) {
	if _, err = s.quiet(); err != nil {
		return 0, 0, err
	}
	if heap, err = s.rest(); err != nil {
		return 0, 0, err
	}
	resident, err = s.resident()
	return resident, heap, err
}

// An idleSet is a set of connections that have had a response.
type idleSet struct {
	mu    sync.Mutex
	conns []net.Conn
}

// dialers open connections at once.
const dialers = 16

func (c *idleSet) open(srv *server, n int) error {
	_, err := together(dialers, func(i int) (int, error) {
		for k := i; k < n; k += dialers {
			nc, err := exchange(srv.addr, srv.subject.entry)
			if err != nil {
				return 0, err
			}
			c.mu.Lock()
			c.conns = append(c.conns, nc)
			c.mu.Unlock()
			if err := settle(nc); err != nil {
				return 0, err
			}
		}
		return 0, nil
	})
	return err
}

func (c *idleSet) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, nc := range c.conns {
		nc.Close()
	}
	c.conns = nil
}
