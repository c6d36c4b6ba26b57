package main

import (
	"log"
	"net"
	"net/http"
	"sync"

	"github.com/seed78dc1b7f/h2c"
)

// A connLog logs how each connection was negotiated: a line when that is known, and
// another one only when it changes.
type connLog struct {
	log *log.Logger

	mu   sync.Mutex
	open map[string]*connLine // by remote address
}

// connLine is the last line about an open connection.
type connLine struct {
	nc   net.Conn
	text string
}

func newConnLog(l *log.Logger) *connLog {
	return &connLog{log: l, open: make(map[string]*connLine)}
}

func (l *connLog) trace() *h2c.Trace {
	return &h2c.Trace{
		Negotiated: func(n h2c.Negotiation) { l.line(n.RemoteAddr, describe(n)) },
		Closed: func(i h2c.ConnInfo) {
			if i.Reason != "" {
				l.line(i.RemoteAddr, describe(h2c.Negotiation{Via: i.Via, Reason: i.Reason, Err: i.Err}))
			}
		},
	}
}

func describe(n h2c.Negotiation) string {
	text := string(n.Via)
	switch {
	case n.Reason == "":
		return text
	case n.Via == h2c.ViaHTTP1:
		text += ": offer declined: "
	default:
		text += ": failed: "
	}
	text += string(n.Reason)
	if n.Err != nil {
		text += ": " + n.Err.Error()
	}
	return text
}

// connState follows which connections are open.
func (l *connLog) connState(nc net.Conn, state http.ConnState) {
	remote := nc.RemoteAddr().String()
	l.mu.Lock()
	defer l.mu.Unlock()
	switch state {
	case http.StateNew:
		l.open[remote] = &connLine{nc: nc}
	case http.StateHijacked, http.StateClosed:
		// The address may be in use again.
		if c := l.open[remote]; c != nil && c.nc == nc {
			delete(l.open, remote)
		}
	}
}

// handler logs connections that speak HTTP/1.1 without an offer of anything else. Of
// these a Trace does not tell.
func (l *connLog) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h2c.RequestVia(r) == h2c.ViaHTTP1 && !l.known(r.RemoteAddr) {
			l.line(r.RemoteAddr, string(h2c.ViaHTTP1)+": no offer")
		}
		next.ServeHTTP(w, r)
	})
}

// known reports whether there was a line about a connection.
func (l *connLog) known(remote string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.open[remote]
	return c != nil && c.text != ""
}

func (l *connLog) line(remote, text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.open[remote]; c != nil {
		if c.text == text {
			return
		}
		c.text = text
	}
	l.log.Printf("%s %s", remote, text)
}
