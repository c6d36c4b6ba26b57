package main

import (
	"regexp"
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

	Cold bool // requests at once without a connection have one each

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
		Cold:     true,
		Repeated: []func(*clientRun){(*clientRun).threeAtOnce, (*clientRun).download},
	},
	{
		Client:    clients.Nghttp,
		Tells:     []fact{theInterims, theSwitch, theTrailers, theHints},
		BodyLater: true,
		Eager:     true,
		Repeated:  []func(*clientRun){(*clientRun).threeAtOnce},
	},
	{Client: clients.Java, ZeroLength: true, Cold: true},
	{Client: clients.HyperH2, Tells: []fact{theInterims, theTrailers, theHints}},
	{Client: clients.Node, Tells: []fact{theInterims, theTrailers, theHints}},
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

type ids = []string

// A clientCase is a column of the table.
type clientCase struct {
	name    string
	upgrade []string // IDs of what it proves of an upgrade; nil: no case for that
	prior   []string // the same of prior knowledge
	test    func(*clientRun)
}

var clientCases = []clientCase{
	{"GET", ids{"U-12", "U-16", "U-17"}, ids{"P-01"}, (*clientRun).get},
	{"HEAD", ids{"U-23"}, ids{"P-01"}, (*clientRun).head},
	{"POST", ids{"U-09", "U-12", "U-17"}, ids{"P-01"}, (*clientRun).post},
	{"POST 64 KiB", ids{"U-09", "U-28"}, ids{"P-01"}, (*clientRun).postLimit},
	{"POST 1 MiB", ids{"U-09", "U-28"}, ids{"P-01"}, (*clientRun).postLarge},
	{"chunked", ids{"U-09", "U-28"}, ids{"P-01"}, (*clientRun).postChunked},
	{"Expect", ids{"U-09", "U-18", "U-28"}, ids{"P-01"}, (*clientRun).postExpecting},
	{"three in a row", ids{"U-29"}, ids{"P-01"}, (*clientRun).threeInARow},
	{"100 at once", ids{"U-25", "U-29"}, ids{"P-01"}, (*clientRun).hundredAtOnce},
	{"4 cold", ids{"U-12"}, ids{"P-01"}, (*clientRun).coldAtOnce},
	{"16 MiB", ids{"U-13"}, ids{"P-01"}, (*clientRun).download},
	{"after HTTP/1.1", ids{"U-21"}, nil, (*clientRun).afterHTTP1},
	{"after declined", ids{"U-09", "U-21", "U-28"}, nil, (*clientRun).afterDeclined},
	{"no content", ids{"U-23"}, ids{"P-01"}, (*clientRun).noContent},
	{"trailers", ids{"U-23"}, ids{"P-01"}, (*clientRun).trailers},
	{"early hints", ids{"U-23"}, ids{"P-01"}, (*clientRun).earlyHints},
	{"events", ids{"U-13"}, ids{"P-01"}, (*clientRun).events},
	{"cancel", ids{"S-04"}, ids{"S-04"}, (*clientRun).cancel},
	{"shutdown", ids{"U-16"}, ids{"P-01"}, (*clientRun).shutdown},
	{"OPTIONS *", ids{"U-23"}, ids{"P-01"}, (*clientRun).optionsStar},
	{"repeated", ids{"U-13", "U-25", "U-29"}, nil, (*clientRun).repeated},
}

func clientCells() []matrix.Cell {
	var cells []matrix.Cell
	for _, row := range clientRows {
		for _, entry := range row.Entries {
			for _, c := range clientCases {
				proves := c.upgrade
				if entry == clients.Prior {
					proves = c.prior
				}
				if row.ZeroLength && (c.name == "GET" || c.name == "HEAD") {
					proves = append(slices.Clone(proves), "U-30")
				}
				if proves == nil || c.name == "repeated" && row.Repeated == nil || c.name == "4 cold" && !row.Cold {
					continue
				}
				cells = append(cells, matrix.Cell{
					Group:  "clients",
					Peer:   row.Peer.Name,
					Entry:  string(entry),
					Case:   c.name,
					IDs:    proves,
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

var clientDeviations = []matrix.Deviation{
	{
		Peer: "Java HttpClient", Entry: "upgrade",
		Shows:     regexp.MustCompile(`: handshakes broke: \d+ times preface_missing$`),
		Sometimes: true,
		Evidence: "At its exit it resets its connections. If that is soon after a response that came with the 101, " +
			"its preface may be lost before the server has read it: once in some 400 runs, on a busy machine.",
		RFC: "https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2",
	},
	{
		Peer: "Java HttpClient", Case: "shutdown",
		Shows:     regexp.MustCompile(`: response is HTTP/2\.0 200 java\.io\.IOException: closed, want|: Shutdown returned before the response had ended$|: body is \d+ octets with SHA-256 ,`),
		Sometimes: true,
		Evidence: "17.0.15 closes the connection when it gets GOAWAY, in the middle of responses on streams up to the last one that this names. " +
			"17.0.21 does not.",
		RFC: "https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8",
	},
	{
		Peer: "Python hyper-h2", Case: "shutdown",
		Shows: regexp.MustCompile(`ConnectionInputs\.RECV_\w+ in state ConnectionState\.CLOSED|: Shutdown returned before the response had ended$|: body is \d+ octets with SHA-256 \w+, want`),
		Evidence: "After GOAWAY with NO_ERROR it takes nothing more of the streams that are still open: to DATA on one, or PING, it says " +
			"\"Invalid input ConnectionInputs.RECV_DATA in state ConnectionState.CLOSED\". How much of the body came before that varies.",
		RFC: "https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8",
	},
}
