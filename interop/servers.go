package main

import (
	"slices"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/servers"
)

// serverCells are our Transport with servers.
func serverCells() []matrix.Cell {
	var cells []matrix.Cell
	for _, s := range servers.Servers {
		shared := &matrix.Shared[*servers.Instance]{Start: s.StartFor}
		for _, r := range rowsOf(s) {
			for _, c := range serverCases {
				if c.only != nil && !c.only(r) {
					continue
				}
				start := shared.Get
				if c.alone {
					start = s.StartFor
				}
				cells = append(cells, matrix.Cell{
					Group: "servers", Peer: s.Name, Entry: r.entry, Case: c.name, IDs: c.ids,
					Needs:  []*peer.Peer{s.Peer},
					Cannot: s.WhyNot(r.entry, c.name),
					Test: func(t *matrix.T) {
						c.run(newCaller(t, r, start(t)))
					},
				})
			}
		}
	}
	return cells
}

// A serverRow is a way to speak with a server.
type serverRow struct {
	server *servers.Server
	entry  string
	mode   h2c.Mode
	others []h2c.Mode // whose outcome is shown in this row, too
}

func (r serverRow) want() outcome { return outcomeOf(r.server.Speaks, r.mode) }

// The entries.
const (
	byUpgrade = "upgrade"
	byPrior   = "prior knowledge"
	foundOut  = "found out"
	overHTTP1 = "HTTP/1.1"
)

func rowsOf(s *servers.Server) []serverRow {
	auto := serverRow{s, byUpgrade, h2c.ModeAuto, []h2c.Mode{h2c.ModeUpgrade, h2c.ModeHTTP1}}
	prior := serverRow{s, byPrior, h2c.ModePriorKnowledge, nil}
	switch s.Speaks {
	case servers.OnlyHTTP2:
		auto.entry = foundOut
	case servers.NoUpgrade:
		auto.entry = overHTTP1
	case servers.SilentHTTP2:
		prior.others = append(auto.others, auto.mode)
		return []serverRow{prior}
	case servers.OnlyHTTP1:
		auto.entry = overHTTP1
		auto.others = append(auto.others, prior.mode)
		return []serverRow{auto}
	}
	return []serverRow{auto, prior}
}

// An outcome is what a Transport finds with the first request and with those that follow.
type outcome struct {
	proto  string     // of the responses
	reason h2c.Reason // of the error that there is instead, if proto is ""; "" if it is not a HandshakeError

	upgraded, prior  int64
	declined, failed h2c.Reason
	dials            int // of connections
}

var (
	isUpgraded  = outcome{proto: "HTTP/2.0", upgraded: 1, dials: 1}
	isKnown     = outcome{proto: "HTTP/2.0", prior: 1, dials: 1}
	isHTTP1     = outcome{proto: "HTTP/1.1", dials: 1}
	isDeclined  = outcome{proto: "HTTP/1.1", declined: h2c.ReasonRefused, dials: 1}
	isHTTP2Only = outcome{reason: h2c.ReasonHTTP2Only, failed: h2c.ReasonHTTP2Only, dials: 1}
	isHTTP1Only = outcome{reason: h2c.ReasonHTTP1Only, failed: h2c.ReasonHTTP1Only, dials: 1}
	// It is asked again by prior knowledge.
	isFoundOut = outcome{proto: "HTTP/2.0", prior: 1, failed: h2c.ReasonHTTP2Only, dials: 2}
	// The request is sent again without the offer, which may be at fault.
	isRejected = outcome{proto: "HTTP/1.1", declined: h2c.ReasonRejected, dials: 2}
	// So is this one, in vain.
	isSilent = outcome{declined: h2c.ReasonRejected, dials: 2}
	isMute   = outcome{dials: 1}
)

func outcomeOf(s servers.Speaks, mode h2c.Mode) outcome {
	all := map[servers.Speaks]struct{ auto, upgrade, prior, http1 outcome }{
		servers.All:         {isUpgraded, isUpgraded, isKnown, isHTTP1},
		servers.OnlyHTTP2:   {isFoundOut, isHTTP2Only, isKnown, isHTTP2Only},
		servers.SilentHTTP2: {isSilent, isSilent, isKnown, isMute},
		servers.NoUpgrade:   {isDeclined, isDeclined, isKnown, isHTTP1},
		servers.OnlyHTTP1:   {isDeclined, isDeclined, isHTTP1Only, isHTTP1},
	}[s]
	switch mode {
	case h2c.ModeAuto:
		return all.auto
	case h2c.ModeUpgrade:
		return all.upgrade
	case h2c.ModePriorKnowledge:
		return all.prior
	}
	return all.http1
}

var modeNames = map[h2c.Mode]string{
	h2c.ModeAuto:           "ModeAuto",
	h2c.ModeUpgrade:        "ModeUpgrade",
	h2c.ModePriorKnowledge: "ModePriorKnowledge",
	h2c.ModeHTTP1:          "ModeHTTP1",
}

// modes returns the modes to be shown in the row.
func (r serverRow) modes() []h2c.Mode { return slices.Concat([]h2c.Mode{r.mode}, r.others) }
