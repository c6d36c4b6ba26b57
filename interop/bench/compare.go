//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// A comparison is one that this library was made to pass.
type comparison struct {
	at               string // group/case
	figure           int
	subject, against string
}

const (
	rate = iota // of perRequest
	cost
)

var comparisons = []comparison{
	{"http/10x1", rate, library, netHTTP2},
	{"http/10x1", cost, library, netHTTP2},
	{"http/10x10", rate, library, netHTTP2},
	{"http/10x10", cost, library, netHTTP2},
	{"http/10x10", cost, library, netHTTP1},
	{"http/10x100", rate, library, netHTTP2},
	{"http/10x100", cost, library, netHTTP2},
	{"http/10x100", cost, library, nghttpd.name},
	{"download/1MiB 10x10", rate, library, netHTTP2},
	{"download/1MiB 10x10", cost, library, netHTTP2},
	{"upload/1MiB 10x10", rate, library, netHTTP2},
	{"upload/1MiB 10x10", cost, library, netHTTP2},
	{"upgrade/exchanges", rate, library, xNet},
	{"idle/connections", 0, library, netHTTP2},
	{"idle/connections", 0, library + upgraded, netHTTP2},
	{"grpc/unary 1x100", rate, grpcSplit, grpcAlone},
	{"grpc/unary 1x100", cost, grpcSplit, grpcAlone},
	{"grpc/unary 10x10", rate, grpcSplit, grpcAlone},
	{"grpc/unary 10x10", cost, grpcSplit, grpcAlone},
}

// An outcome is a comparison and what came of it.
type outcome struct {
	comparison
	name       string // of the figure
	ours, that string
	ratio      spread
}

// outcomes returns those of all comparisons that were measured.
func outcomes(results []*result) []outcome {
	var all []outcome
	for _, c := range comparisons {
		for _, r := range results {
			a, b := r.of(c.subject), r.of(c.against)
			if r.fullName() != c.at || a == nil || b == nil || !a.ok() || !b.ok() {
				continue
			}
			f := r.group.figures[c.figure]
			if by := ratios(a, b, c.figure); len(by) > 0 {
				all = append(all, outcome{
					c, f.name,
					f.format(spreadOf(a.values(c.figure)).median), f.format(spreadOf(b.values(c.figure)).median),
					spreadOf(by),
				})
			}
		}
	}
	return all
}

// writeOutcomes writes a table to a terminal, if there is anything to write.
func writeOutcomes(w io.Writer, all []outcome) {
	if len(all) == 0 {
		return
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "in short\tfigure\t\t\tagainst\t\t×\tspread")
	for _, o := range all {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", o.at, o.name, o.subject, o.ours, o.against, o.that, formatRatio(o.ratio.median), o.ratio)
	}
	tw.Flush()
}
