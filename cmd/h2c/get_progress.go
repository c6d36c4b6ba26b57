package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows on a terminal how much of all bodies has come. A nil one shows nothing.
type progress struct {
	w   io.Writer
	bar *progressbar.ProgressBar

	mu        sync.Mutex
	unsettled int64 // bodies whose size is not known yet
	size      int64 // of the others; -1: one of them does not say

	come atomic.Int64 // octets
}

// newProgress returns a progress of n bodies, or nil unless w is a terminal.
func newProgress(w io.Writer, n int) *progress {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &progress{w: w, unsettled: int64(n), bar: progressbar.NewOptions64(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionShowBytes(true),
		progressbar.OptionShowCount(),
		progressbar.OptionUseIECUnits(true),
		progressbar.OptionSetWidth(30),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetElapsedTime(false),
	)}
}

// settle says what size a body has; -1: it is not known.
func (p *progress) settle(size int64) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unsettled--
	if size < 0 {
		p.size = -1
	} else if p.size >= 0 {
		p.size += size
	}
	if p.size >= 0 && p.size+p.unsettled > 0 {
		p.bar.ChangeMax64(p.size + p.unsettled) // a bar that is full does not go on
	} else {
		p.bar.ChangeMax64(-1)
	}
}

// writer returns a writer to w whose octets are counted.
func (p *progress) writer(w io.Writer) io.Writer {
	if p == nil {
		return w
	}
	return &progressWriter{w, p}
}

type progressWriter struct {
	io.Writer
	p *progress
}

func (w *progressWriter) Write(p []byte) (int, error) {
	n, err := w.Writer.Write(p)
	w.p.come.Add(int64(n))
	w.p.bar.Add(n)
	return n, err
}

// end leaves a bar that is full, or else says how much has come.
func (p *progress) end() {
	if p == nil {
		return
	}
	full := p.bar.IsFinished()
	p.bar.Exit()
	if !full {
		p.bar.Clear()
		fmt.Fprintf(p.w, "%d octets", p.come.Load())
	}
	fmt.Fprintln(p.w)
}
