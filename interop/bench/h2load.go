//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A load is what h2load sends.
type load struct {
	conns, streams int
	path           string
	upload         int // octets; 0: GET
	weight         int // as many requests as there are in a measurement, about, to begin with
}

// maxHTTP1 bounds connections of HTTP/1.1, where one has to stand for each stream. With more,
// to open them would be much of the work.
const maxHTTP1 = 100

const (
	h2loadTimeout = time.Minute
	maxRequests   = 10_000_000
)

// begin finds out how many requests take as long as a measurement should.
func (l load) begin(ctx context.Context, srv *server, o options) (func(context.Context) (sample, error), error) {
	if srv.subject.http1 {
		l.conns, l.streams = min(l.conns*l.streams, maxHTTP1), 1
	}
	n := max(l.weight, 2*l.conns)
	for range 4 {
		rate, err := l.run(ctx, srv, n)
		if err != nil {
			return nil, err
		}
		enough := float64(n) >= rate*o.duration.Seconds()/3
		n = min(max(int(rate*o.duration.Seconds()), l.conns), maxRequests)
		if enough {
			break
		}
	}
	return func(ctx context.Context) (sample, error) {
		var rate float64
		v, err := timed(srv, func() (_ int, err error) {
			rate, err = l.run(ctx, srv, n)
			return n, err
		})
		v[0] = rate
		return v, err
	}, nil
}

var (
	h2loadRate  = regexp.MustCompile(`(?m)^finished in \S+, ([\d.]+) req/s,`)
	h2loadCount = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx,`)
)

// run sends n requests, all of which must succeed, and returns how many there were in a second.
func (l load) run(ctx context.Context, srv *server, n int) (float64, error) {
	path, err := clients.H2load.Find()
	if err != nil {
		return 0, err
	}
	args := []string{
		"--requests=" + strconv.Itoa(n), "--clients=" + strconv.Itoa(l.conns),
		"--max-concurrent-streams=" + strconv.Itoa(l.streams),
	}
	if srv.subject.http1 {
		args = append(args, "--h1")
	}
	if l.upload > 0 {
		args = append(args, "--data="+filepath.Join(srv.dir.files(), sizePath(l.upload)))
	}
	out, err := peer.Run(ctx, h2loadTimeout, peer.Command{Path: path, Args: append(args, "http://"+srv.addr+l.path)})
	if err != nil {
		return 0, fmt.Errorf("%w\n%s%s", err, out.Stdout, out.Stderr)
	}
	rate, count := h2loadRate.FindSubmatch(out.Stdout), h2loadCount.FindSubmatch(out.Stdout)
	if rate == nil || count == nil || string(count[1]) != strconv.Itoa(n) {
		return 0, fmt.Errorf("not all of %d requests succeeded:\n%s%s", n, out.Stdout, out.Stderr)
	}
	return strconv.ParseFloat(string(rate[1]), 64)
}
