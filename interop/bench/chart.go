//go:build linux

package main

import (
	"bytes"
	"fmt"
	"html"
)

// Lengths in the chart.
const (
	chartWidth = 760
	barLeft    = 160
	barLength  = 460
	barHeight  = 18
	barStep    = 26
	panelHead  = 40
	panelFoot  = 14
)

const chartStyle = `<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.bar { fill: #8c959f; }
.ours { fill: #1a7f6b; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; }
.bar { fill: #6e7681; }
.ours { fill: #3fb99d; }
}
</style>
`

// chart draws the figures of a case, one panel of horizontal bars below the other: the one
// of which less is better first.
func chart(r *result) []byte {
	var shown []*series
	for _, s := range r.series {
		if s.ok() {
			shown = append(shown, s)
		}
	}
	panel := panelHead + barStep*len(shown) + panelFoot
	height := panel * len(r.group.figures)
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`+"\n",
		chartWidth, height, chartWidth, height)
	fmt.Fprintf(&b, "<title>%s, %s</title>\n%s", html.EscapeString(r.group.title), html.EscapeString(pretty(r.name)), chartStyle)
	for i, figure := range []int{cost, rate} {
		drawPanel(&b, r, shown, figure, i*panel)
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func drawPanel(b *bytes.Buffer, r *result, shown []*series, figure, top int) {
	f := r.group.figures[figure]
	better := "more is better"
	if f.lower {
		better = "less is better"
	}
	fmt.Fprintf(b, `<text class="title" x="8" y="%d">%s, %s (%s)</text>`+"\n",
		top+24, html.EscapeString(f.name), html.EscapeString(pretty(r.name)), better)
	longest := 0.0
	for _, s := range shown {
		longest = max(longest, spreadOf(s.values(figure)).median)
	}
	for i, s := range shown {
		y := top + panelHead + i*barStep
		value := spreadOf(s.values(figure)).median
		class := "bar"
		if s.subject.name == library {
			class = "bar ours"
		}
		length := 1.0
		if longest > 0 {
			length = max(length, value/longest*barLength)
		}
		fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", barLeft-8, y+barHeight-4, html.EscapeString(s.subject.name))
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, barLeft, y, length, barHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", barLeft+length+6, y+barHeight-4, html.EscapeString(f.format(value)))
	}
}
