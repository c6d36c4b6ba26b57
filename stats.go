package h2c

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

// Stats are counters since the start, and Active.
type Stats struct {
	Upgraded       int64 `json:"upgraded"`        // connections switched to HTTP/2 by a 101
	PriorKnowledge int64 `json:"prior_knowledge"` // connections taken by prior knowledge
	Active         int64 `json:"active"`          // HTTP/2 connections open now

	Declined map[Reason]int64 `json:"declined"` // offers answered over HTTP/1.1
	Failed   map[Reason]int64 `json:"failed"`   // handshakes that broke

	// Octets of HTTP/2 connections that have been closed, received and sent. Connections
	// that the server of net/http took by prior knowledge are not in it.
	BytesRead    int64 `json:"bytes_read"`
	BytesWritten int64 `json:"bytes_written"`
}

// counters is what a role counts. The zero value is ready to use.
type counters struct {
	mu    sync.Mutex
	stats Stats
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Declined, s.Failed = maps.Clone(s.Declined), maps.Clone(s.Failed)
	return s
}

// negotiated counts the outcome of an offer, and tells of it.
func (c *counters) negotiated(n Negotiation, t *Trace, l *slog.Logger) {
	c.mu.Lock()
	switch {
	case n.Reason != "" && n.Via == ViaHTTP1:
		count(&c.stats.Declined, n.Reason)
	case n.Reason != "":
		count(&c.stats.Failed, n.Reason)
	case n.Via == ViaUpgrade:
		c.stats.Upgraded++
		c.stats.Active++
	case n.Via == ViaPriorKnowledge:
		c.stats.PriorKnowledge++
		c.stats.Active++
	}
	c.mu.Unlock()
	log(l, n)
	t.negotiated(n)
}

// closed counts the end of a connection that negotiated has counted as active, and tells
// of it.
func (c *counters) closed(i ConnInfo, t *Trace, l *slog.Logger) {
	c.mu.Lock()
	c.stats.Active--
	c.stats.BytesRead += i.BytesRead
	c.stats.BytesWritten += i.BytesWritten
	if i.Reason != "" {
		count(&c.stats.Failed, i.Reason)
	}
	c.mu.Unlock()
	if i.Reason != "" {
		log(l, Negotiation{Via: i.Via, Reason: i.Reason, Err: i.Err, RemoteAddr: i.RemoteAddr})
	}
	t.closed(i)
}

func log(l *slog.Logger, n Negotiation) {
	if l == nil {
		return
	}
	level, msg := slog.LevelInfo, "h2c: negotiated"
	switch {
	case n.Reason != "" && n.Via == ViaHTTP1:
		msg = "h2c: declined"
	case n.Reason != "":
		level, msg = slog.LevelWarn, "h2c: failed"
	}
	attrs := []slog.Attr{slog.String("via", string(n.Via)), slog.String("remote", n.RemoteAddr)}
	if n.Reason != "" {
		attrs = append(attrs, slog.String("reason", string(n.Reason)))
	}
	if n.Err != nil {
		attrs = append(attrs, slog.Any("error", n.Err))
	}
	l.LogAttrs(context.Background(), level, msg, attrs...)
}

func count(m *map[Reason]int64, r Reason) {
	if *m == nil {
		*m = make(map[Reason]int64)
	}
	(*m)[r]++
}
