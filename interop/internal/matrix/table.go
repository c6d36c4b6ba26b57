package matrix

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A table is the results of a group, by row and column.
type table struct {
	group   string
	rows    []string
	columns []string
	results map[[2]string]Result // by row and column
}

// tables returns the groups in the order in which they first come.
func tables(results []Result) []*table {
	var all []*table
	for _, r := range results {
		i := slices.IndexFunc(all, func(t *table) bool { return t.group == r.Cell.Group })
		if i < 0 {
			i = len(all)
			all = append(all, &table{group: r.Cell.Group, results: make(map[[2]string]Result)})
		}
		t := all[i]
		if row := r.Cell.Row(); !slices.Contains(t.rows, row) {
			t.rows = append(t.rows, row)
		}
		if !slices.Contains(t.columns, r.Cell.Case) {
			t.columns = append(t.columns, r.Cell.Case)
		}
		t.results[[2]string{r.Cell.Row(), r.Cell.Case}] = r
	}
	return all
}

// marks are how the terminal shows a status.
var marks = map[Status]string{
	Passed:   "ok",
	Failed:   "FAIL",
	Deviates: "known",
	Unable:   "-",
	Absent:   "absent",
}

// WriteTables writes the results for a terminal.
func WriteTables(w io.Writer, results []Result) {
	for _, t := range tables(results) {
		t.write(w)
		fmt.Fprintln(w)
	}
	fmt.Fprintln(w, "ok passed, known as the peer is known to deviate, - the peer cannot do it, absent the peer is not on this machine")
}

func (t *table) write(w io.Writer) {
	first := len(t.group)
	for _, row := range t.rows {
		first = max(first, len(row))
	}
	// The names of columns stand upon each other, word by word.
	var widths []int
	height := 0
	heads := make([][]string, len(t.columns))
	for i, column := range t.columns {
		heads[i] = strings.Fields(column)
		height = max(height, len(heads[i]))
		width := 2
		for _, word := range heads[i] {
			width = max(width, len(word))
		}
		for _, row := range t.rows {
			width = max(width, len(t.mark(row, column)))
		}
		widths = append(widths, width)
	}
	for line := range height {
		label := ""
		if line == height-1 {
			label = strings.ToUpper(t.group)
		}
		fmt.Fprintf(w, "%-*s", first, label)
		for i, words := range heads {
			word := ""
			if n := line - (height - len(words)); n >= 0 {
				word = words[n]
			}
			fmt.Fprintf(w, "  %-*s", widths[i], word)
		}
		fmt.Fprintln(w)
	}
	for _, row := range t.rows {
		fmt.Fprintf(w, "%-*s", first, row)
		for i, column := range t.columns {
			fmt.Fprintf(w, "  %-*s", widths[i], t.mark(row, column))
		}
		fmt.Fprintln(w)
	}
}

// mark is "" where a row has no such case.
func (t *table) mark(row, column string) string {
	return marks[t.results[[2]string{row, column}].Status]
}
