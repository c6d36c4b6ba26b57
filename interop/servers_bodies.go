package main

import (
	"net/http"
	"net/http/httptrace"
	"sync/atomic"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
	"github.com/seed78dc1b7f/h2c/interop/internal/servers"
)

// testPost proves that a body comes through, as the first that is sent and after that.
func testPost(c *caller, r call) {
	c.mustPost(r)
	c.mustPost(r)
	c.want(c.row.want())
}

// testExpect proves that a body waits for 100 Continue, and with an Upgrade the connection
// for the body.
func testExpect(c *caller) {
	expect := func(c *caller) {
		var continued, early atomic.Bool
		c.mustPost(call{
			body:   peer.Payload(peer.KiB),
			header: http.Header{"Expect": {"100-continue"}},
			trace: &httptrace.ClientTrace{
				Got100Continue: func() { continued.Store(true) },
				WroteRequest:   func(httptrace.WroteRequestInfo) { early.Store(!continued.Load()) },
			},
		})
		if early.Load() || !continued.Load() {
			c.Errorf("no 100 Continue within %v", c.h2c.Base.ExpectContinueTimeout)
		}
	}
	expect(c)
	expect(c)
	c.want(c.row.want())
	if c.row.entry == byUpgrade && c.row.server.WithBody == servers.Upgraded {
		c.Run("in an offer", func(t *matrix.T) {
			c := newCaller(t, c.row, c.at)
			c.h2c.MaxUpgradeBodyBytes = peer.MiB
			expect(c)
			c.want(c.row.want())
		})
	}
}

// testOfferWithBody proves that the body of an offer comes through once, whatever the server
// makes of the offer.
func testOfferWithBody(c *caller) {
	offer := func(n int, with servers.WithBody) func(*matrix.T) {
		return func(t *matrix.T) {
			c := newCaller(t, c.row, c.at)
			c.h2c.MaxUpgradeBodyBytes = peer.MiB
			offered := false
			c.mustPost(call{
				body:   peer.Payload(n),
				stream: true,
				header: http.Header{"Idempotency-Key": {unique()}}, // so that it may be repeated
				trace: &httptrace.ClientTrace{WroteHeaderField: func(name string, _ []string) {
					offered = offered || name == "Upgrade"
				}},
			})
			if !offered {
				c.Errorf("the request did not carry the offer")
			}
			switch with {
			case servers.Upgraded:
				c.want(isUpgraded)
			case servers.Declined:
				c.want(isDeclined)
			case servers.Rejected:
				c.want(isRejected)
			}
		}
	}
	c.Run("1 KiB", offer(peer.KiB, c.row.server.WithBody))
	c.Run("100 KiB", offer(100*peer.KiB, c.row.server.WithMore))
}

// testAfterHTTP1 proves that the connection of a request over HTTP/1.1 is the one that is
// upgraded after it.
func testAfterHTTP1(c *caller) {
	resp := c.mustPost(call{
		body:   peer.Payload(peer.KiB),
		header: http.Header{"Connection": {"keep-alive"}}, // it says something of its connection, so it makes no offer
	})
	if stats := c.h2c.Stats(); resp.Proto != "HTTP/1.1" || stats.Upgraded != 0 || stats.Declined != nil {
		c.Errorf("first response in %s, with %+v", resp.Proto, stats)
	}
	c.protos = nil
	c.must(c.get(peer.Tiny))
	c.must(c.get(peer.KiB))
	c.want(outcomeOf(servers.All, h2c.ModeUpgrade))
}
