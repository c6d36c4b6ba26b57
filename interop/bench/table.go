//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// write writes the table of a case to a terminal.
func (r *result) write(w io.Writer) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "%s\t%s\t×\tspread\t%s\t×\tspread\t\n", r.fullName(), r.group.figures[0].name, r.group.figures[1].name)
	base := r.of(r.group.baseline.name)
	var notes []string
	for _, s := range r.series {
		fmt.Fprintf(tw, "%s\t", s.subject.name)
		for i, f := range r.group.figures {
			if !s.ok() {
				fmt.Fprint(tw, "–\t\t\t")
				continue
			}
			fmt.Fprintf(tw, "%s\t", f.format(spreadOf(s.values(i)).median))
			if all := ratios(s, base, i); s != base && len(all) > 0 {
				v := spreadOf(all)
				fmt.Fprintf(tw, "%s\t%s\t", formatRatio(v.median), v)
			} else {
				fmt.Fprint(tw, "\t\t")
			}
		}
		fmt.Fprintln(tw)
		if s.absent != nil {
			notes = append(notes, fmt.Sprintf("%s is absent: %v", s.subject.name, s.absent))
		}
		if s.err != nil {
			notes = append(notes, fmt.Sprintf("%s failed: %v", s.subject.name, s.err))
		}
	}
	tw.Flush()
	for _, n := range notes {
		fmt.Fprintln(w, n)
	}
	fmt.Fprintln(w)
}

func (r *result) fullName() string { return r.group.name + "/" + r.name }

// of returns the series of a subject, or nil.
func (r *result) of(name string) *series {
	i := slices.IndexFunc(r.series, func(s *series) bool { return s.subject.name == name })
	if i < 0 {
		return nil
	}
	return r.series[i]
}

// formatCount formats a rate or a number of octets.
func formatCount(v float64) string {
	if v >= 0 && v < 99.95 {
		return threeDigits(v)
	}
	digits := strconv.FormatFloat(math.Abs(v), 'f', 0, 64)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	if v < 0 {
		return "-" + digits
	}
	return digits
}

// formatSeconds formats a time to three digits.
func formatSeconds(v float64) string {
	switch d := time.Duration(v * float64(time.Second)); {
	case d < time.Millisecond:
		return threeDigits(v*1e6) + " µs"
	case d < time.Second:
		return threeDigits(v*1e3) + " ms"
	}
	return threeDigits(v) + " s"
}

func formatRatio(v float64) string { return threeDigits(v) }

// String is what there is on both sides of the median.
func (s spread) String() string { return formatRatio(s.min) + "–" + formatRatio(s.max) }

func threeDigits(v float64) string {
	switch {
	case v >= 99.95:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case v >= 0.9995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
