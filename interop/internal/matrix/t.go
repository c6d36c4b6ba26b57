package matrix

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"
)

// T is what a case reports to, as to a testing.T.
type T struct {
	ctx context.Context

	mu       sync.Mutex
	prefix   string
	failures []string
	log      []string
	cleanups []func()
	tap      *tap
}

// Context ends when the case should be over.
func (t *T) Context() context.Context { return t.ctx }

// Errorf says what is wrong. The case goes on.
func (t *T) Errorf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, t.prefix+fmt.Sprintf(format, args...))
}

// Error is Errorf for an error.
func (t *T) Error(err error) { t.Errorf("%v", err) }

// Fatalf is Errorf, and ends the goroutine, which must be the one that runs the case.
func (t *T) Fatalf(format string, args ...any) {
	t.Errorf(format, args...)
	runtime.Goexit()
}

// Fatal is Fatalf for an error.
func (t *T) Fatal(err error) { t.Fatalf("%v", err) }

// Logf says what helps to understand a failure.
func (t *T) Logf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log = append(t.log, t.prefix+fmt.Sprintf(format, args...))
}

// Failed reports whether something is wrong.
func (t *T) Failed() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.failures) > 0
}

// Cleanup has f called when the case is over. What was added last is called first.
func (t *T) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// TempDir returns a directory of the case alone. Every user may read it, since some peers
// run as another one.
func (t *T) TempDir() string {
	dir, err := os.MkdirTemp("", "h2c-interop-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Eventually waits for what other goroutines or processes are about to do.
func (t *T) Eventually(what string, cond func() bool) {
	for deadline := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Errorf("after 10 seconds it is still not true that %s", what)
			return
		}
	}
}

// Run runs a part of the case. Its cleanups are called when it is over, and what it says
// begins with its name.
func (t *T) Run(name string, part func(*T)) {
	sub := &T{ctx: t.ctx, prefix: t.prefix + name + ": ", tap: t.tap}
	sub.run(part)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, sub.failures...)
	t.log = append(t.log, sub.log...)
}

// run calls f and then the cleanups.
func (t *T) run(f func(*T)) {
	t.protect(func() { f(t) })
	t.end()
}

// end calls the cleanups.
func (t *T) end() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		t.protect(f)
	}
}

// protect calls f in a goroutine of its own, which f may end.
func (t *T) protect(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				stack := make([]byte, 16<<10)
				t.Errorf("panic: %v\n%s", v, stack[:runtime.Stack(stack, false)])
			}
		}()
		f()
	}()
	<-done
}

// unexpected returns the failures that no deviation explains.
func unexpected(failures []string, known []Deviation) []string {
	return slices.DeleteFunc(slices.Clone(failures), func(f string) bool {
		return slices.ContainsFunc(known, func(d Deviation) bool { return d.explains(f) })
	})
}
