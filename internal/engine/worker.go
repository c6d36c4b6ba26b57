package engine

import (
	"runtime"
	"sync"
	"time"
)

// A task is a stream, whose handler is to run, or a connection that is to be read from.
type task interface{ work() }

// A worker does one task after the other, so that its stack need not grow each time.
type worker chan task

const (
	maxIdleWorkers = 1024            // of a Server
	workerLifetime = 2 * time.Second // without work, and up to twice as long
)

// workers are those that have nothing to do, the one that had last at the end.
type workers struct {
	mu      sync.Mutex
	idle    []idleWorker
	reaping bool // a timer is set
	reaped  int  // how often
	conns   int  // without any, nobody waits
}

type idleWorker struct {
	worker
	since int // reaped
}

// run has a worker do t.
func (ws *workers) run(t task) {
	ws.mu.Lock()
	if n := len(ws.idle); n > 0 {
		w := ws.idle[n-1].worker
		ws.idle = ws.idle[:n-1]
		ws.mu.Unlock()
		w <- t
		return
	}
	ws.mu.Unlock()
	w := make(worker, 1)
	w <- t
	go ws.work(w)
}

func (ws *workers) work(w worker) {
	// The garbage collector halves a stack of which less than a quarter is in use: this keeps it
	// from doing that whenever a worker waits, and these stacks apart from those of goroutines
	// that wait for a connection, which are half as large.
	var quarter [1280]byte
	for t := range w {
		t.work()
		if !ws.rest(w) {
			break
		}
	}
	runtime.KeepAlive(&quarter)
}

// rest has w wait for work. It reports whether there is room for that.
func (ws *workers) rest(w worker) bool {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.idle) >= maxIdleWorkers || ws.conns == 0 {
		return false
	}
	ws.idle = append(ws.idle, idleWorker{w, ws.reaped})
	if !ws.reaping {
		ws.reaping = true
		time.AfterFunc(workerLifetime, ws.reap)
	}
	return true
}

// reap ends workers that have waited too long.
func (ws *workers) reap() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.drop(func(w idleWorker) bool { return w.since < ws.reaped })
	ws.reaped++
	ws.reaping = len(ws.idle) > 0
	if ws.reaping {
		time.AfterFunc(workerLifetime, ws.reap)
	}
}

// open notes that there is one connection more, or less.
func (ws *workers) open(n int) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.conns += n; ws.conns == 0 {
		ws.drop(func(idleWorker) bool { return true })
	}
}

// drop ends workers from the beginning, as long as old says so.
func (ws *workers) drop(old func(idleWorker) bool) {
	n := 0
	for n < len(ws.idle) && old(ws.idle[n]) {
		close(ws.idle[n].worker)
		n++
	}
	kept := copy(ws.idle, ws.idle[n:])
	clear(ws.idle[kept:])
	ws.idle = ws.idle[:kept]
}
