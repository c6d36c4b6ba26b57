package matrix

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

// Run runs cells, so many of them at once, and returns the results in the order of the cells.
// It tells of each as soon as it has come. At the end of ctx it begins no other cell.
func Run(ctx context.Context, cells []Cell, o Options, atOnce int, tell func(Result)) []Result {
	results := make([]Result, len(cells))
	var mu sync.Mutex // for tell
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for i, c := range cells {
		slots <- struct{}{}
		if ctx.Err() != nil {
			results[i] = Result{Cell: c, Status: Failed, Failures: []string{"not run: " + context.Cause(ctx).Error()}}
			<-slots
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			r := c.Run(ctx, o)
			results[i] = r
			mu.Lock()
			defer mu.Unlock()
			tell(r)
		})
	}
	wg.Wait()
	return results
}

// Count returns how many results have the status.
func Count(results []Result, s Status) int {
	n := 0
	for _, r := range results {
		if r.Status == s {
			n++
		}
	}
	return n
}

// Summary counts the results in one line.
func Summary(results []Result) string {
	var parts []string
	for _, s := range []struct {
		status Status
		text   string
	}{
		{Passed, "passed"},
		{Deviates, "as the peer is known to deviate"},
		{Unable, "that the peer cannot do"},
		{Absent, "skipped, since the peer is absent"},
		{Failed, "failed"},
	} {
		if n := Count(results, s.status); n > 0 || s.status == Passed || s.status == Failed {
			parts = append(parts, fmt.Sprintf("%d %s", n, s.text))
		}
	}
	return strings.Join(parts, ", ")
}
