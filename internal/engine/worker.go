package engine

import (
	"runtime"
	"sync"
	"time"
)

// A task is a stream, whose handler is to run, or a connection that is to be read from.
type task interface{ work() }

// A worker does one task after the other, so that its stack need not grow each time. It receives
// when there may be one.
type worker chan struct{}

const (
	maxIdleWorkers = 1024            // of a Server
	workerLifetime = 2 * time.Second // without work, and up to twice as long
)

// workers do tasks in their order. One worker at a time is woken for what is in the queue, and
// wakes the next one before it does a task, if there are more: when tasks are short, one worker
// does many of them, and when one takes its time, the others do not wait for it.
type workers struct {
	mu      sync.Mutex
	queue   []task
	head    int          // of the queue
	woken   bool         // a worker is about to look at the queue
	idle    []idleWorker // they have nothing to do; the one that had last is at the end
	reaping bool         // a timer is set
	reaped  int          // how often
	conns   int          // without any, nobody waits
}

type idleWorker struct {
	worker
	since int // reaped
}

// run has a worker do t.
func (ws *workers) run(t task) {
	ws.mu.Lock()
	ws.queue = append(ws.queue, t)
	ws.wake()
}

// handle has workers run the handlers of streams.
func (ws *workers) handle(streams []*stream) {
	ws.mu.Lock()
	for _, st := range streams {
		ws.queue = append(ws.queue, st)
	}
	ws.wake()
}

// wake has a worker look at the queue, if there is something in it and none is about to. mu is
// held, and is not afterwards.
func (ws *workers) wake() {
	if ws.woken || ws.head == len(ws.queue) {
		ws.mu.Unlock()
		return
	}
	ws.woken = true
	if n := len(ws.idle); n > 0 {
		w := ws.idle[n-1].worker
		ws.idle = ws.idle[:n-1]
		ws.mu.Unlock()
		w <- struct{}{}
		return
	}
	ws.mu.Unlock()
	go ws.work(make(worker, 1))
}

func (ws *workers) work(w worker) {
	// The garbage collector halves a stack of which less than a quarter is in use: this keeps it
	// from doing that whenever a worker waits, and these stacks apart from those of goroutines
	// that wait for a connection, which are half as large.
	var quarter [1280]byte
	for more := true; more; _, more = <-w {
		ws.mu.Lock()
		ws.woken = false
		for ws.head < len(ws.queue) {
			t := ws.next()
			ws.wake()
			t.work()
			ws.mu.Lock()
		}
		rests := ws.rest(w)
		ws.mu.Unlock()
		if !rests {
			break
		}
	}
	runtime.KeepAlive(&quarter)
}

// next takes a task from the queue. mu is held.
func (ws *workers) next() task {
	t := ws.queue[ws.head]
	ws.queue[ws.head] = nil
	ws.head++
	if 2*ws.head >= len(ws.queue) {
		n := copy(ws.queue, ws.queue[ws.head:])
		clear(ws.queue[n:])
		ws.queue, ws.head = ws.queue[:n], 0
		if cap(ws.queue) > maxKeptQueue && n == 0 {
			ws.queue = nil
		}
	}
	return t
}

// maxKeptQueue is how many tasks an empty queue has room for.
const maxKeptQueue = 1024

// rest notes that w waits for work. It reports whether there is room for that. mu is held.
func (ws *workers) rest(w worker) bool {
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
