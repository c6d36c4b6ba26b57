package main

import (
	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// toolCells are those of programs that are no clients of the usual kind: they choose their
// requests themselves, or send what no client should.
func toolCells() []matrix.Cell {
	cells := []matrix.Cell{
		eachWay("clone", unstalled(gitClone), "U-12", "U-29"),
		eachWay("push", unstalled(gitPush), "U-12", "U-29"),
	}
	for i := range cells {
		cells[i].Peer, cells[i].Entry, cells[i].Needs = "git", "upgrade", []*peer.Peer{clients.Git}
	}
	cells = append(cells,
		matrix.Cell{
			Peer: "h2spec", Entry: "prior knowledge", Case: "145 cases", IDs: []string{"P-01", "P-05"},
			Needs: []*peer.Peer{clients.H2spec}, Test: h2specCases,
		},
	)
	load := []matrix.Cell{
		eachWay("2,000 requests", h2loadRequests, "P-01"),
		eachWay("2,000 over HTTP/1.1", h2loadHTTP1),
	}
	for _, c := range load {
		c.Peer, c.Entry, c.Needs = "h2load", "prior knowledge", []*peer.Peer{clients.H2load}
		cells = append(cells, c)
	}
	for _, c := range rawCells() {
		c.Peer = "raw octets"
		cells = append(cells, c)
	}
	for i := range cells {
		cells[i].Group = "tools"
	}
	return cells
}

// None of these programs is known to deviate, but for git: see unstalled.
var toolDeviations []matrix.Deviation

// eachWay returns a cell whose test runs for each way to use the library.
func eachWay(name string, test func(*matrix.T, origin.Way), ids ...string) matrix.Cell {
	return matrix.Cell{Case: name, IDs: ids, Test: func(t *matrix.T) {
		for _, w := range origin.Ways {
			t.Run(string(w), func(t *matrix.T) { test(t, w) })
		}
	}}
}
