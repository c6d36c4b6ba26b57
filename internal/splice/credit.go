package splice

import "sync"

// initialWindow is the flow-control window that a connection begins with, in octets.
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2
const initialWindow = 65535

// credit is the connection window that the injected body has taken up and the client does not
// know of: by so much the client's window is larger than the engine's.
type credit struct {
	mu       sync.Mutex
	withheld int
	changed  chan struct{} // closed when withheld becomes less
}

// owed returns how much is still to be withheld from the client, and what is closed when that
// becomes less.
func (c *credit) owed() (int, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.withheld, c.changed
}

// withhold returns how much of an increment the client does not get.
func (c *credit) withhold(increment int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(increment, c.withheld)
	if n > 0 {
		c.withheld -= n
		close(c.changed)
		c.changed = make(chan struct{})
	}
	return n
}
