package engine

import (
	"time"

	"golang.org/x/net/http2"
)

// A flood counts what costs the client little and the server something: frames that are
// no request and carry none of its body. So many may come at once, and so many each second.
type flood struct {
	spent int
	since time.Time
}

const (
	floodBurst  = 10_000
	floodSecond = 1_000
)

func (f *flood) count(h frameHeader) error {
	if h.kind == http2.FrameWindowUpdate {
		return nil // what was sent counts, too
	}
	return f.add(1)
}

func (f *flood) add(n int) error {
	if f.spent += n; f.spent < floodBurst {
		return nil
	}
	now := time.Now()
	if f.since.IsZero() {
		f.since = now
		f.spent = floodBurst / 2
		return nil
	}
	earned := int(now.Sub(f.since).Seconds() * floodSecond)
	f.since = now
	if f.spent -= earned; f.spent >= floodBurst {
		return connError{http2.ErrCodeEnhanceYourCalm, "flood"}
	}
	f.spent = max(f.spent, 0)
	return nil
}
