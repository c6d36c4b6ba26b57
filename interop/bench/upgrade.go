//go:build linux

package main

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// upgraders are the connections that upgrade at once.
const upgraders = 4

const maxExchanges = 1_000_000

func upgradeGroup() *group {
	xnet := &subject{name: xNet, of: "golang.org/x/net"}
	g := &group{
		name: "upgrade", title: "Upgrades",
		about: "A client of raw sockets, four at once: it connects, sends an offer to upgrade with its preface behind it, reads the 101 and the " +
			"response of 13 octets on stream 1, and closes.",
		subjects: []*subject{goSubject(library), xnet},
		baseline: xnet,
		figures:  perRequest("exchange"),
	}
	g.cases = []benchCase{{name: "exchanges", begin: beginUpgrades}}
	return g
}

func beginUpgrades(ctx context.Context, srv *server, o options) (func(context.Context) (sample, error), error) {
	work := func(ctx context.Context, d time.Duration) (int, error) {
		var up atomic.Bool
		defer time.AfterFunc(d, func() { up.Store(true) }).Stop()
		return together(upgraders, func(int) (n int, err error) {
			for ; n == 0 || n < maxExchanges && !up.Load() && ctx.Err() == nil; n++ {
				nc, err := exchange(srv.addr, byUpgrade)
				if err != nil {
					return n, err
				}
				if err := nc.Close(); err != nil {
					return n, err
				}
			}
			return n, ctx.Err()
		})
	}
	if n, err := work(ctx, o.duration/4); n == 0 || err != nil {
		return nil, errors.Join(errors.New("no exchange succeeded"), err)
	}
	return func(ctx context.Context) (sample, error) {
		return timed(srv, func() (int, error) { return work(ctx, o.duration) })
	}, nil
}
