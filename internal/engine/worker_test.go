package engine

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

type taskFunc func()

func (f taskFunc) work() { f() }

// Tasks that take their time, or end their goroutine, keep nothing from being done.
func TestWorkersBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ws workers
		ws.open(1)
		const n = 3000
		var all sync.WaitGroup
		all.Add(n)
		begun := make([]int, 0, n)
		var mu sync.Mutex
		for i := range n {
			ws.run(taskFunc(func() {
				mu.Lock()
				begun = append(begun, i)
				mu.Unlock()
				all.Done()
				all.Wait() // for all others
				if i%3 == 0 {
					runtime.Goexit()
				}
			}))
		}
		synctest.Wait()
		if len(begun) != n {
			t.Errorf("%d of %d tasks have begun", len(begun), n)
		}
		ws.mu.Lock()
		if len(ws.idle) > maxIdleWorkers || cap(ws.queue) > maxKeptQueue {
			t.Errorf("%d workers wait, and there is room for %d tasks", len(ws.idle), cap(ws.queue))
		}
		ws.mu.Unlock()
		ws.open(-1)
	})
}

// One worker does many short tasks.
func TestWorkersShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ws workers
		ws.open(1)
		done := 0
		var mu sync.Mutex
		for range 100 {
			for range 100 {
				ws.run(taskFunc(func() {
					mu.Lock()
					done++
					mu.Unlock()
				}))
			}
			synctest.Wait()
		}
		if done != 10_000 || ws.head != 0 || len(ws.queue) != 0 {
			t.Errorf("%d tasks done, %d of %d are left", done, ws.head, len(ws.queue))
		}
		ws.open(-1)
	})
}
