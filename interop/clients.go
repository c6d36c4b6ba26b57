package main

import (
	"slices"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A clientRow is a client, with what it does differently from others though it may.
type clientRow struct {
	*clients.Client

	Tells      []fact // what it tells; the cases insist on it
	ZeroLength bool   // Content-Length: 0 with a GET or HEAD that upgrades
	BodyLater  bool   // with a body to send it upgrades by OPTIONS *, and sends the body after that
	Eager      bool   // of requests at once the others do not wait until the first one has ended

	Repeated []func(*clientRun) // what must succeed each time after an upgrade
}

// A fact is something that not every client tells of a response.
type fact string

const (
	theInterims fact = "the interim responses"
	theSwitch   fact = "the fields of the 101"
	theTrailers fact = "trailers"
	theHints    fact = "the fields of a 103"
)

var clientRows = []clientRow{
	{
		Client:   clients.Curl,
		Tells:    []fact{theInterims, theSwitch, theTrailers, theHints},
		Eager:    true,
		Repeated: []func(*clientRun){(*clientRun).threeAtOnce, (*clientRun).download},
	},
	{
		Client:    clients.Nghttp,
		Tells:     []fact{theInterims, theSwitch, theTrailers, theHints},
		BodyLater: true,
		Eager:     true,
		Repeated:  []func(*clientRun){(*clientRun).threeAtOnce},
	},
	{Client: clients.NetHTTP, Tells: []fact{theInterims, theTrailers, theHints}},
	{Client: clients.XNet, Tells: []fact{theInterims, theTrailers, theHints}},
}

func (r clientRow) tells(f fact) bool { return slices.Contains(r.Tells, f) }

// cannot says why the client cannot do a case.
func (r clientRow) cannot(e clients.Entry, name string) string {
	if why, ok := r.Cannot[string(e)+": "+name]; ok {
		return why
	}
	return r.Cannot[name]
}

// A clientCase is a column of the table.
type clientCase struct {
	name    string
	upgrade []string // IDs of what it proves of an upgrade; nil: no case for that
	prior   []string // the same of prior knowledge
	test    func(*clientRun)
}

var clientCases = []clientCase{
	{"GET", proves("U-12", "U-17"), proves("P-01"), (*clientRun).get},
	{"HEAD", proves("U-23"), proves("P-01"), (*clientRun).head},
	{"POST", proves("U-09", "U-12", "U-17"), proves("P-01"), (*clientRun).post},
	{"POST 64 KiB", proves("U-09", "U-24", "U-28"), proves("P-01"), (*clientRun).postLimit},
	{"POST 1 MiB", proves("U-09", "U-28"), proves("P-01"), (*clientRun).postLarge},
	{"chunked", proves("U-09", "U-28"), proves("P-01"), (*clientRun).postChunked},
	{"Expect", proves("U-09", "U-18", "U-28"), proves("P-01"), (*clientRun).postExpecting},
	{"three in a row", proves("U-29"), proves("P-01"), (*clientRun).threeInARow},
	{"100 at once", proves("U-25", "U-29"), proves("P-01"), (*clientRun).hundredAtOnce},
	{"16 MiB", proves("U-13", "U-15"), proves("P-01"), (*clientRun).download},
	{"after HTTP/1.1", proves("U-21"), nil, (*clientRun).afterHTTP1},
	{"after declined", proves("U-09", "U-21", "U-28"), nil, (*clientRun).afterDeclined},
	{"no content", proves("U-23"), proves("P-01"), (*clientRun).noContent},
	{"trailers", proves("U-23"), proves("P-01"), (*clientRun).trailers},
	{"early hints", proves("U-23"), proves("P-01"), (*clientRun).earlyHints},
	{"events", proves("U-13"), proves("P-01"), (*clientRun).events},
	{"cancel", proves("S-04"), proves("S-04"), (*clientRun).cancel},
	{"shutdown", proves("U-16"), proves("P-01"), (*clientRun).shutdown},
	{"OPTIONS *", proves("U-23"), proves("P-01"), (*clientRun).optionsStar},
	{"repeated", proves("U-13", "U-25", "U-29"), nil, (*clientRun).repeated},
}

func proves(ids ...string) []string { return ids }

func clientCells() []matrix.Cell {
	var cells []matrix.Cell
	for _, row := range clientRows {
		for _, entry := range row.Entries {
			for _, c := range clientCases {
				ids := c.upgrade
				if entry == clients.Prior {
					ids = c.prior
				}
				if row.ZeroLength && (c.name == "GET" || c.name == "HEAD") {
					ids = append(slices.Clone(ids), "U-30")
				}
				if ids == nil || c.name == "repeated" && row.Repeated == nil {
					continue
				}
				cells = append(cells, matrix.Cell{
					Group:  "clients",
					Peer:   row.Peer.Name,
					Entry:  string(entry),
					Case:   c.name,
					IDs:    ids,
					Needs:  []*peer.Peer{row.Peer},
					Cannot: row.cannot(entry, c.name),
					Test: func(t *matrix.T) {
						for _, w := range origin.Ways {
							t.Run(string(w), func(t *matrix.T) { c.test(newClientRun(t, row, entry, w)) })
						}
					},
				})
			}
		}
	}
	return cells
}

var clientDeviations []matrix.Deviation
