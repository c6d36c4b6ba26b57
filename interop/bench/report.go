//go:build linux

package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
)

// Where -markdown writes, from the root of the repository.
const (
	reportFile = "docs/performance.md"
	chartFile  = "docs/performance.svg"
)

// charted is the case of the chart.
const charted = "http/10x10"

// writeReport writes the report and its chart.
func writeReport(results []*result, o options, began time.Time) error {
	for _, r := range results {
		if r.fullName() == charted {
			if err := os.WriteFile(chartFile, chart(r), 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(reportFile, report(results, o, began), 0o644)
}

const reportMethod = `# Performance

What servers cost that speak cleartext HTTP/2. This page and its chart are written by

    go run ./interop/bench -markdown -rounds %d -time %v

![Processor time per request and requests per second, 10 connections with 10 requests at once on each](performance.svg)

## Method

All traffic is on the loopback interface, between a client and a server in processes of their own that share the processors of one
machine. The client is h2load where nothing else is said. In each case, every server takes its turn in every round, each round
begins with another of them, and each is measured for about %v in a round, after a warm-up. There were %d rounds.

CPU is the processor time, in user mode and in the kernel, of all processes of the server, divided by the number of requests: the
figure that says how far a machine goes. Requests per second say what came of one client on these processors; where the client is
the slower end, they differ less than the CPU does.

Each figure is the median of the rounds. A ratio is the median, and in brackets the least and the greatest, of the ratios within a
round to the server that has none beside its figures. Servers run with their defaults, without logs; nghttpd and h2o with one thread, Apache with mpm_worker.
Idle connections are %s at once.

`

// report returns the report in Markdown.
func report(results []*result, o options, began time.Time) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, reportMethod, o.rounds, o.duration, o.duration, o.rounds, formatCount(float64(o.idle)))
	writeMachine(&b, results, began)

	if all := outcomes(results); len(all) > 0 {
		b.WriteString("## In short\n\n| case | figure | | | against | | ratio |\n|---|---|---|---:|---|---:|---:|\n")
		for _, o := range all {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | **%s** (%s) |\n",
				pretty(o.at), o.name, o.subject, o.ours, o.against, o.that, formatRatio(o.ratio.median), o.ratio)
		}
		b.WriteString("\n")
	}
	for g, of := range byGroup(results) {
		fmt.Fprintf(&b, "## %s\n\n%s\n\n", g.title, g.about)
		if len(of) == 1 {
			writeRows(&b, of[0])
			continue
		}
		for i := range g.figures {
			writeColumns(&b, g, of, i)
		}
	}
	writeMissing(&b, results)
	return append(bytes.TrimRight(b.Bytes(), "\n"), '\n')
}

// byGroup yields the results of each group.
func byGroup(results []*result) func(func(*group, []*result) bool) {
	return func(yield func(*group, []*result) bool) {
		for len(results) > 0 {
			g := results[0].group
			n := slices.IndexFunc(results, func(r *result) bool { return r.group != g })
			if n < 0 {
				n = len(results)
			}
			if !yield(g, results[:n]) {
				return
			}
			results = results[n:]
		}
	}
}

// writeColumns writes the table of a figure: a row for each case, a column for each subject.
func writeColumns(b *bytes.Buffer, g *group, of []*result, figure int) {
	f := g.figures[figure]
	fmt.Fprintf(b, "| %s |", f.name)
	for _, s := range g.subjects {
		fmt.Fprintf(b, " %s |", s.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---:|", len(g.subjects)) + "\n")
	for _, r := range of {
		fmt.Fprintf(b, "| %s |", pretty(r.name))
		for _, s := range r.series {
			fmt.Fprintf(b, " %s |", r.cell(s, figure, "<br>"))
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
}

// writeRows writes the table of a case: a row for each subject.
func writeRows(b *bytes.Buffer, r *result) {
	fmt.Fprintf(b, "| | %s | ratio | %s | ratio |\n|---|---:|---:|---:|---:|\n", r.group.figures[0].name, r.group.figures[1].name)
	for _, s := range r.series {
		fmt.Fprintf(b, "| %s | %s | %s |\n", s.subject.name, r.cell(s, 0, " | "), r.cell(s, 1, " | "))
	}
	b.WriteString("\n")
}

// cell is a figure and its ratio to the baseline.
func (r *result) cell(s *series, figure int, between string) string {
	if !s.ok() {
		return "–" + between
	}
	value := r.group.figures[figure].format(spreadOf(s.values(figure)).median)
	base := r.of(r.group.baseline.name)
	by := ratios(s, base, figure)
	if s == base || len(by) == 0 {
		return strings.TrimSuffix(value+between, "<br>")
	}
	v := spreadOf(by)
	return fmt.Sprintf("%s%s%s (%s)", value, between, formatRatio(v.median), v)
}

// pretty writes 10x100 as 10 × 100.
func pretty(name string) string {
	words := strings.Fields(strings.ReplaceAll(name, "/", " "))
	for i, w := range words {
		if a, b, ok := strings.Cut(w, "x"); ok && a != "" && strings.Trim(a+b, "0123456789") == "" {
			words[i] = a + " × " + b
		}
	}
	return strings.Join(words, " ")
}

// writeMachine says what all ran on, and in which versions.
func writeMachine(b *bytes.Buffer, results []*result, began time.Time) {
	fmt.Fprintf(b, "Measured on %s: %d processors%s, Linux, %s.\n\n", began.UTC().Format("2 January 2006"), runtime.NumCPU(), processor(), runtime.Version())
	versions := map[string]string{"h2load": clients.H2load.Version()}
	for _, r := range results {
		for _, s := range r.series {
			if s.absent == nil && (s.subject.peer != nil || s.subject.of != "") {
				versions[cmp.Or(s.subject.of, s.subject.name)] = s.subject.version()
			}
		}
	}
	var all []string
	for name, version := range versions {
		all = append(all, name+" "+version)
	}
	slices.Sort(all)
	fmt.Fprintf(b, "Versions: %s.\n\n", strings.Join(all, ", "))
}

// processor names the processor, if Linux does.
func processor() string {
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return " (" + strings.TrimSpace(value) + ")"
		}
	}
	return ""
}

// writeMissing says which figures there are not, and why.
func writeMissing(b *bytes.Buffer, results []*result) {
	var lines []string
	for _, r := range results {
		for _, s := range r.series {
			if s.absent != nil {
				lines = append(lines, fmt.Sprintf("- %s was absent.\n", s.subject.name))
			}
			if s.err != nil {
				lines = append(lines, fmt.Sprintf("- %s failed in %s.\n", s.subject.name, pretty(r.fullName())))
			}
		}
	}
	if slices.Sort(lines); len(lines) > 0 {
		b.WriteString("## Missing\n\n" + strings.Join(slices.Compact(lines), ""))
	}
}
