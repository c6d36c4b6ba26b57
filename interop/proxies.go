package main

import (
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/proxies"
)

// A behind is a server of this library and the proxy in front of it.
type behind struct {
	*origin.Server
	url   string // of the proxy
	proxy *proxies.Proxy
}

// startBehind starts a server and then the program in front of it.
func startBehind(t *matrix.T, p *proxies.Proxy, program *peer.Program, w origin.Way, c origin.Config) *behind {
	s := origin.StartFor(t, w, c)
	proc, err := program.Start(t.TempDir(), s.Port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proc.Stop()
		if log := proc.Log.String(); t.Failed() && log != "" {
			t.Logf("%s logged: %s", program.Peer.Name, log)
		}
	})
	return &behind{Server: s, url: proc.URL, proxy: p}
}

// proxyCases are the columns for requests that offer nothing. They share a proxy.
var proxyCases = []struct {
	name string
	test func(*matrix.T, *behind)
}{
	{"GET", behindGET},
	{"POST 1 MiB", behindPOST},
	{"POST chunked", behindChunked},
	{"16 MiB", behindHuge},
	{"100 at once", behindAtOnce},
	{"trailers", behindTrailers},
	{"events", behindEvents},
}

func proxyCells() []matrix.Cell {
	var all []matrix.Cell
	for _, p := range proxies.All {
		shared := make(map[origin.Way]*matrix.Shared[*behind])
		for _, w := range origin.Ways {
			shared[w] = &matrix.Shared[*behind]{Start: func(t *matrix.T) *behind {
				return startBehind(t, p, p.Program, w, origin.Config{})
			}}
		}
		cell := func(name string, ids []string, test func(*matrix.T, origin.Way)) {
			all = append(all, matrix.Cell{
				Group: "proxies", Peer: p.Program.Peer.Name, Entry: p.Entry, Case: name,
				IDs: ids, Needs: []*peer.Peer{p.Program.Peer}, Cannot: p.Cannot[name],
				Test: func(t *matrix.T) {
					for _, w := range origin.Ways {
						t.Run(string(w), func(t *matrix.T) { test(t, w) })
					}
				},
			})
		}
		var ids []string
		if p.Proto == "HTTP/2.0" {
			ids = []string{"P-01"}
		}
		for _, c := range proxyCases {
			cell(c.name, ids, func(t *matrix.T, w origin.Way) {
				b := shared[w].Get(t)
				c.test(t, b)
				b.wantNoOffer(t)
			})
		}
		for _, c := range offerCases {
			cell(c.name, c.ids(p), func(t *matrix.T, w origin.Way) { c.test(t, p, w) })
			if c.told && p.Told == nil {
				all[len(all)-1].Cannot = "it does not pass on all of an offer"
			}
		}
	}
	return all
}

// via is how the connections begin that the proxy makes.
func (b *behind) via() h2c.Via {
	if b.proxy.Proto == "HTTP/2.0" {
		return h2c.ViaPriorKnowledge
	}
	return h2c.ViaHTTP1
}

// proxyPatience is how long a proxy may take for anything.
const proxyPatience = 10 * time.Second

// wantNoOffer checks that the server has had no offer.
func (b *behind) wantNoOffer(t *matrix.T) {
	stats := b.H2C.Stats()
	if stats.Upgraded != 0 || len(stats.Declined) > 0 {
		t.Errorf("%d connections upgraded, declined: %v, without an offer", stats.Upgraded, stats.Declined)
	}
	b.wantPrior(t)
}

// wantPrior checks that there are connections by prior knowledge if the proxy makes such ones.
func (b *behind) wantPrior(t *matrix.T) {
	stats := b.H2C.Stats()
	if prior := stats.PriorKnowledge > 0; prior != (b.via() == h2c.ViaPriorKnowledge) {
		t.Errorf("%d connections begun by prior knowledge, but requests come by %s", stats.PriorKnowledge, b.proxy.Proto)
	}
}

// wantOnce checks that the handler saw a request for the target once, by the protocol of the
// proxy, and returns what it saw.
func (b *behind) wantOnce(t *matrix.T, method, target string) origin.Report {
	seen := slices.DeleteFunc(b.Seen(), func(r origin.Report) bool { return r.Target != target })
	if len(seen) != 1 {
		t.Fatalf("handler saw %d requests for %s, want 1: %v", len(seen), target, seen)
	}
	r := seen[0]
	if r.Method != method || r.Proto != b.proxy.Proto || r.Via != b.via() {
		t.Errorf("handler saw %s, want %s by %s, %s", r, method, b.proxy.Proto, b.via())
	}
	if r.BodyError != "" {
		t.Errorf("handler could not read the body: %s", r.BodyError)
	}
	return r
}

// A visitor is a client of the proxy, with connections of its own.
type visitor struct{ http.Client }

func newVisitor(t *matrix.T) *visitor {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1, DialContext: (&net.Dialer{Timeout: proxyPatience}).DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &visitor{http.Client{Transport: tr, Timeout: 2 * proxyPatience}}
}
