package engine

import (
	"context"
	"sync"
	"time"
)

// A requestContext ends with its stream, or with its parent. It is a context.Context that has no
// goroutine, and no entry with its parent unless somebody waits for its end.
type requestContext struct {
	parent context.Context

	mu    sync.Mutex
	done  chan struct{} // made when somebody asks
	err   error
	after map[*func()]struct{}
	stop  func() bool // takes the entry with the parent back
}

func (c *requestContext) init(parent context.Context) { c.parent = parent }

// follow makes the context end with its parent. mu is held.
func (c *requestContext) follow() {
	if c.stop == nil && c.err == nil {
		c.stop = context.AfterFunc(c.parent, c.cancel)
	}
}

// Deadline implements [context.Context].
func (c *requestContext) Deadline() (time.Time, bool) { return c.parent.Deadline() }

// Value implements [context.Context].
func (c *requestContext) Value(key any) any { return c.parent.Value(key) }

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Done implements [context.Context].
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		if c.err != nil {
			c.done = closedChan
		} else {
			c.done = make(chan struct{})
			c.follow()
		}
	}
	return c.done
}

// Err implements [context.Context].
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		return c.parent.Err()
	}
	return c.err
}

// AfterFunc is how the context package finds out without a goroutine that a parent has ended.
func (c *requestContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	key := &f
	c.after[key] = struct{}{}
	c.follow()
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, ok := c.after[key]
		delete(c.after, key)
		return ok
	}
}

// cancel ends the context.
func (c *requestContext) cancel() {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if c.err = c.parent.Err(); c.err == nil {
		c.err = context.Canceled
	}
	if c.done != nil {
		close(c.done)
	}
	after, stop := c.after, c.stop
	c.after = nil
	c.mu.Unlock()
	if stop != nil {
		stop()
	}
	for f := range after {
		go (*f)()
	}
}
