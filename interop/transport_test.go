//go:build unix

package interop

import (
	"maps"
	"net"
	"os"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

// A target is a server for clients of this library.
type target struct {
	url  string
	echo bool
	seen func() []report // what the handler saw; nil: there is no handler

	smallFirst bool // a known deviation, which the program tells of
}

// An outcome is what a client finds with the first request and with those that follow.
type outcome struct {
	proto  string     // of the responses
	reason h2c.Reason // of the error that there is instead

	upgraded, prior  int64
	declined, failed h2c.Reason
}

var (
	isUpgraded  = outcome{proto: "HTTP/2.0", upgraded: 1}
	isKnown     = outcome{proto: "HTTP/2.0", prior: 1}
	isHTTP1     = outcome{proto: "HTTP/1.1"}
	isDeclined  = outcome{proto: "HTTP/1.1", declined: h2c.ReasonRefused}
	isHTTP2Only = outcome{reason: h2c.ReasonHTTP2Only, failed: h2c.ReasonHTTP2Only}
	isHTTP1Only = outcome{reason: h2c.ReasonHTTP1Only, failed: h2c.ReasonHTTP1Only}
	// It is asked again by prior knowledge.
	isFoundOut = outcome{proto: "HTTP/2.0", prior: 1, failed: h2c.ReasonHTTP2Only}
)

// outcomes is what comes of each server in each mode.
var outcomes = []struct {
	server                               string
	start                                func(*testing.T) target
	auto, upgrade, priorKnowledge, http1 outcome
}{
	{"nghttpd", ofProgram(nghttpd), isFoundOut, isHTTP2Only, isKnown, isHTTP2Only},
	{"nghttpx", ofNghttpx, isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"apache", ofProgram(apache), isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"h2o", ofProgram(h2o), isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"varnish", ofVarnish, isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"caddy", ofProgram(caddy), isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"x_net_h2c", ofWay(byXNet), isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"net_http", ofWay(byNetHTTP), isDeclined, isDeclined, isKnown, isHTTP1},
	{"net_http1", ofWay(byNetHTTP1), isDeclined, isDeclined, isHTTP1Only, isHTTP1},
	{"ConfigureServer", ofWay(byConfigureServer), isUpgraded, isUpgraded, isKnown, isHTTP1},
	{"NewHandler", ofWay(byNewHandler), isUpgraded, isUpgraded, isKnown, isHTTP1},
}

func TestTransport(t *testing.T) {
	for _, row := range outcomes {
		t.Run(row.server, func(t *testing.T) {
			t.Parallel()
			at := row.start(t)
			for mode, want := range map[h2c.Mode]outcome{
				h2c.ModeAuto:           row.auto,
				h2c.ModeUpgrade:        row.upgrade,
				h2c.ModePriorKnowledge: row.priorKnowledge,
				h2c.ModeHTTP1:          row.http1,
			} {
				t.Run(modeNames[mode], func(t *testing.T) { testMode(t, at, mode, want) })
			}
			for _, c := range transportCases {
				if c.echo && !at.echo {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					client := newClient(t, at, h2c.ModeAuto)
					if at.smallFirst {
						client.get(small)
					}
					c.run(client)
					client.want(row.auto)
				})
			}
		})
	}
}

var modeNames = map[h2c.Mode]string{
	h2c.ModeAuto:           "auto",
	h2c.ModeUpgrade:        "upgrade",
	h2c.ModePriorKnowledge: "prior-knowledge",
	h2c.ModeHTTP1:          "http1",
}

// want checks what the client has counted. HTTP/2 takes one connection, and one more for
// each that failed.
func (c *client) want(want outcome) {
	c.t.Helper()
	got := c.h2c.Stats()
	if got.Upgraded != want.upgraded || got.PriorKnowledge != want.prior {
		c.t.Errorf("%d connections upgraded and %d begun by prior knowledge, want %d and %d",
			got.Upgraded, got.PriorKnowledge, want.upgraded, want.prior)
	}
	if w := once(want.declined); !maps.Equal(got.Declined, w) {
		c.t.Errorf("declined: %v, want %v", got.Declined, w)
	}
	if w := once(want.failed); !maps.Equal(got.Failed, w) {
		c.t.Errorf("failed: %v, want %v", got.Failed, w)
	}
	if !c.several || want.proto == "HTTP/2.0" {
		dials := int64(1)
		if want.proto == "HTTP/2.0" && want.failed != "" {
			dials++
		}
		if n := c.dials.Load(); n != dials {
			c.t.Errorf("%d connections dialed, want %d", n, dials)
		}
	}
	for _, proto := range c.protos {
		if proto != want.proto {
			c.t.Errorf("response in %s, want %s", proto, want.proto)
		}
	}
}

func once(r h2c.Reason) map[h2c.Reason]int64 {
	if r == "" {
		return nil
	}
	return map[h2c.Reason]int64{r: 1}
}

// ofProgram is for a program that serves files.
func ofProgram(p *program) func(*testing.T) target {
	return func(t *testing.T) target { return target{url: "http://127.0.0.1:" + startProgram(t, p, "")} }
}

func ofNghttpx(t *testing.T) target {
	need(t, nghttpx.peer)
	backend := startProgram(t, nghttpd, "")
	return target{url: "http://127.0.0.1:" + startProgram(t, nghttpx, backend)}
}

func ofVarnish(t *testing.T) target {
	need(t, varnish.peer)
	backend := startWith(t, byNetHTTP, nil)
	_, port, err := net.SplitHostPort(backend.addr)
	if err != nil {
		t.Fatal(err)
	}
	port = startProgram(t, varnish, port)
	return target{url: "http://127.0.0.1:" + port, echo: true, seen: backend.seen, smallFirst: true}
}

func ofWay(w way) func(*testing.T) target {
	return func(t *testing.T) target {
		s := startWith(t, w, nil)
		return target{url: s.url, echo: true, seen: s.seen}
	}
}

// startProgram runs a program for the length of the test, and returns its port.
func startProgram(t *testing.T, p *program, backend string) (port string) {
	t.Helper()
	path := need(t, p.peer)
	// Not t.TempDir, which other users may not enter.
	dir, err := os.MkdirTemp("", "h2c-"+p.peer.name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	proc, err := p.start(path, dir, backend)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		proc.stop()
		if t.Failed() {
			t.Logf("%s said: %s", p.peer.name, &proc.log)
		}
	})
	return proc.port
}
