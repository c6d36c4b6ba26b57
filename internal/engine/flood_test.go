package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// So many frames may come at once, however long none came, and so many each second.
func TestFloodBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f flood
		for _, step := range []struct {
			wait time.Duration
			want int
		}{
			{0, floodBurst},
			{time.Second, floodSecond},
			{time.Second / 4, floodSecond / 4},
			{time.Hour, floodBurst},
			{0, 0},
		} {
			time.Sleep(step.wait)
			n := 0
			for f.add() == nil {
				n++
			}
			f.spent-- // the one that was too much
			if n != step.want {
				t.Errorf("after %v: %d, want %d", step.wait, n, step.want)
			}
		}
	})
}
