package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

// progress tells how far a run has come: in one line that changes if it goes to a terminal,
// and every few seconds otherwise. What failed, and who is absent, it tells at once.
type progress struct {
	w        io.Writer
	terminal bool
	began    time.Time
	last     time.Time // when a line was written to what is no terminal
	total    int
	done     int
	failed   int
	absent   map[string]bool // reasons that were told
}

const every = 10 * time.Second

func newProgress(w io.Writer, total int) *progress {
	p := &progress{w: w, total: total, began: time.Now(), last: time.Now(), absent: make(map[string]bool)}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

const clearLine = "\r\x1b[K"

// tell is called with each result, not concurrently.
func (p *progress) tell(r matrix.Result) {
	p.done++
	if p.terminal {
		fmt.Fprint(p.w, clearLine)
	}
	switch {
	case r.Status == matrix.Failed:
		p.failed++
		p.failure(r)
	case r.Status == matrix.Absent && !p.absent[r.Reason]:
		p.absent[r.Reason] = true
		fmt.Fprintf(p.w, "skipped: %s\n", r.Reason)
	}
	line := fmt.Sprintf("%d of %d cells, %d failed, %v", p.done, p.total, p.failed, time.Since(p.began).Round(time.Second))
	switch {
	case p.terminal:
		fmt.Fprintf(p.w, "%s: %.60s", line, r.Cell.Name())
	case time.Since(p.last) > every:
		p.last = time.Now()
		fmt.Fprintln(p.w, line)
	}
}

func (p *progress) failure(r matrix.Result) {
	fmt.Fprintf(p.w, "FAIL %s %v\n", r.Cell.Name(), r.Cell.IDs)
	for _, text := range append(r.Failures, r.Log...) {
		fmt.Fprintf(p.w, "    %s\n", strings.ReplaceAll(text, "\n", "\n    "))
	}
	if r.Transcript != "" {
		fmt.Fprintf(p.w, "    %s\n", strings.ReplaceAll(r.Transcript, "\n", "\n    "))
	}
}

// end clears the line.
func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, clearLine)
	}
}
