package engine

import (
	"time"

	"golang.org/x/net/http2"
)

// A flood counts what costs the client little and the server something: frames that are
// no request and carry none of its body. So many may come at once, and so many each second.
type flood struct {
	spent float64
	last  time.Time
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
	return f.add()
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
	return c.flood.add()
}

func (f *flood) add() error {
	now := time.Now()
	f.spent = max(0, f.spent-now.Sub(f.last).Seconds()*floodSecond) + 1
	f.last = now
	if f.spent > floodBurst {
		return connError{http2.ErrCodeEnhanceYourCalm, "flood"}
	}
	return nil
}
