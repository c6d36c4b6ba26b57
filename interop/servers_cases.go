package main

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A serverCase is a column of the matrix.
type serverCase struct {
	name  string
	ids   []string
	only  func(serverRow) bool // nil: it is for every row
	alone bool                 // it ends the server
	run   func(*caller)
}

func inUpgrade(r serverRow) bool { return r.entry == byUpgrade }

var serverCases = []serverCase{
	{name: "modes", ids: []string{"C-01", "C-05", "C-08", "C-09"}, run: testModes},
	{name: "GET", ids: []string{"C-01", "C-02", "C-03"}, run: testGet},
	{name: "HEAD", ids: []string{"C-03"}, run: testHead},
	{name: "POST", ids: []string{"C-10"}, run: func(c *caller) { testPost(c, call{body: peer.Payload(peer.KiB)}) }},
	{name: "POST 1 MiB", ids: []string{"C-10"}, run: func(c *caller) { testPost(c, call{body: peer.Payload(peer.MiB)}) }},
	{name: "chunked", ids: []string{"C-10"}, run: func(c *caller) { testPost(c, call{body: peer.Payload(100_000), noSize: true}) }},
	{name: "Expect", ids: []string{"C-10"}, run: testExpect},
	{name: "offer with body", ids: []string{"C-01", "C-10", "C-14"}, only: inUpgrade, run: testOfferWithBody},
	{name: "after HTTP/1.1", ids: []string{"C-01", "C-05"}, only: inUpgrade, run: testAfterHTTP1},
	{name: "three in a row", ids: []string{"C-04", "C-05"}, run: testThree},
	{name: "100 at once", ids: []string{"C-04"}, run: testAtOnce},
	{name: "50 cold", ids: []string{"C-04", "C-08"}, run: testCold},
	{name: "16 MiB", ids: []string{"C-03"}, run: testLarge},
	{name: "trailers", ids: []string{"C-03"}, run: testTrailers},
	{name: "early hints", ids: []string{"C-03", "C-06"}, run: testEarly},
	{name: "events", ids: []string{"C-03"}, run: testEvents},
	{name: "cancel", ids: []string{"C-03", "C-13"}, run: testCancel},
	{name: "cancel in handler", ids: []string{"C-03"}, run: testCancelHandler},
	{name: "GOAWAY", ids: []string{"C-15"}, only: func(r serverRow) bool { return r.server.Restless }, run: testGoAway},
	{name: "shutdown", ids: []string{"C-11", "C-13", "S-04"}, alone: true, run: testShutdown},
	{name: "close", ids: []string{"C-13"}, run: testClose},
}

// testModes proves the protocol that comes of a mode, or the error, within 5 seconds.
func testModes(c *caller) {
	for _, mode := range c.row.modes() {
		c.Run(modeNames[mode], func(t *matrix.T) {
			row := c.row
			row.mode = mode
			testMode(newCaller(t, row, c.at))
		})
	}
}

func testMode(c *caller) {
	began, want := time.Now(), c.row.want()
	err := c.get(peer.Tiny)
	switch {
	case want.proto != "":
		c.must(err)
	case err == nil || reasonOf(err) != want.reason:
		c.Errorf("error %v, want reason %q", err, want.reason)
	}
	c.want(want)
	if d := time.Since(began); d > 5*time.Second {
		c.Errorf("it took %v", d)
	}
}

func testGet(c *caller) {
	if c.at.Times != nil {
		resp, err := c.do(call{path: "/echo"})
		c.must(err)
		if resp.StatusCode != http.StatusOK {
			c.Fatalf("GET of the echo: %s", resp.Status)
		}
	}
	c.must(c.get(peer.Tiny))
	c.want(c.row.want())
}

func testHead(c *caller) {
	resp, err := c.do(call{method: http.MethodHead, path: fmt.Sprintf("/bytes/%d", peer.Larger)})
	c.must(err)
	if resp.StatusCode != http.StatusOK || resp.ContentLength != peer.Larger || resp.size != 0 {
		c.Errorf("%s, Content-Length %d, %d octets", resp.Status, resp.ContentLength, resp.size)
	}
	c.must(c.get(peer.Tiny)) // whatever is left of the first response would be in the way
	c.want(c.row.want())
}

func testThree(c *caller) {
	for range 3 {
		c.must(c.get(peer.KiB))
	}
	c.want(c.row.want())
}

// testAtOnce proves that requests share the connection that there is.
func testAtOnce(c *caller) {
	c.must(c.get(peer.Tiny))
	c.getAtOnce(100, peer.KiB)
	c.want(several(c.row.want()))
}

// testCold proves that requests wait for the first of them to find out.
func testCold(c *caller) {
	c.getAtOnce(50, peer.MiB)
	c.want(several(c.row.want()))
}

// getAtOnce gets n octets for so many callers, and ends the case if one of them does not
// get them.
func (c *caller) getAtOnce(callers, n int) {
	errs := make([]error, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { errs[i] = c.get(n) })
	}
	wg.Wait()
	for _, err := range errs {
		c.must(err)
	}
}

func testLarge(c *caller) {
	c.must(c.get(peer.Huge))
	c.want(c.row.want())
}

func testTrailers(c *caller) {
	for range 2 { // on the stream of the Upgrade, and on one after it
		resp, err := c.do(call{path: "/trailers"})
		c.must(err)
		if got := resp.Trailer.Get("X-Check"); string(resp.body) != "hello\n" || got != "done" {
			c.Errorf("%s, body %q, trailer X-Check %q", resp.Status, resp.body, got)
		}
	}
	c.want(c.row.want())
}

func testEarly(c *caller) {
	for range 2 { // as above
		var early []string
		resp, err := c.do(call{path: "/early", trace: &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				if code == http.StatusEarlyHints {
					early = append(early, h.Get("Link"))
				}
				return nil
			},
		}})
		c.must(err)
		if resp.StatusCode != http.StatusOK || string(resp.body) != "hello\n" {
			c.Errorf("%s, body %q", resp.Status, resp.body)
		}
		if len(early) != 1 || early[0] != "</style.css>; rel=preload" {
			c.Errorf("early hints with Link %q", early)
		}
	}
	c.want(c.row.want())
}

// testGoAway proves that the next request begins another connection, when the first one has
// ended. One that was upgraded does so at once most often, and else not for long.
func testGoAway(c *caller) {
	c.must(c.get(peer.Tiny))
	ended := func() bool { return c.h2c.Stats().Active == 0 }
	if c.row.entry == byUpgrade {
		for range 100 {
			if ended() {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	} else {
		c.Eventually("the server has ended the connection", ended)
	}
	has := ended()
	c.must(c.get(peer.Tiny))
	if n := c.dials.Load(); has && n != 2 {
		c.Errorf("%d connections dialed, want 2", n)
	}
	c.want(c.row.want())
}
