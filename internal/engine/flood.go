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

// count counts a frame, unless countEarned does.
func (f *flood) count(h frameHeader) error {
	switch h.kind {
	case http2.FrameWindowUpdate, http2.FramePing, http2.FrameRSTStream, http2.FramePriority, http2.FramePriorityUpdate:
		return nil
	}
	return f.add(1)
}

// earnedPerFrame is how many frames of the client a frame of a response gives reason for, such as
// WINDOW_UPDATE for stream and connection, and PING; earnedSize is for how many octets of DATA there
// may be one more.
const (
	earnedPerFrame = 3
	earnedSize     = 1 << 10
)

// earn notes that a frame of a response is sent, with n octets of DATA.
func (o *writer) earn(n int) { o.earned += earnedPerFrame + int64(n)/earnedSize }

// countEarned counts a frame of those that clients send in answer to what they get, unless enough
// was sent: WINDOW_UPDATE; PING, with which gRPC measures; RST_STREAM when the response has come;
// priorities. mu is held.
func (c *conn) countEarned() error {
	if c.out.earned > 0 {
		c.out.earned--
		return nil
	}
	return c.flood.add(1)
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
