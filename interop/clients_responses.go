package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

func (c *clientRun) download() {
	target := fmt.Sprintf("/bytes/%d", peer.Huge)
	r := c.send(clients.Request{URL: c.URL + target})[0]
	c.wants(r, 200, 101)
	c.wantsBody(r, peer.Huge)
	c.WantSeen(c.T, c.seen("GET "+target))
	c.wantHTTP2(1)
}

func (c *clientRun) noContent() {
	for _, status := range []int{http.StatusNoContent, http.StatusNotModified} {
		r := c.send(clients.Request{URL: fmt.Sprintf("%s/status/%d", c.URL, status)})[0]
		c.wants(r, status, 101)
		c.wantsBody(r, 0)
	}
	c.WantSeen(c.T, c.seen("GET /status/204"), c.seen("GET /status/304"))
	c.wantHTTP2(2)
}

func (c *clientRun) trailers() {
	r := c.send(clients.Request{URL: c.URL + "/trailers"})[0]
	c.wants(r, 200, 101)
	c.wantsText(r, "hello\n")
	if c.client.tells(theTrailers) && (len(r.Trailer) != 1 || !slices.Equal(r.Trailer["X-Check"], []string{"done"})) {
		c.Errorf("trailers are %v, want X-Check: done", r.Trailer)
	}
	c.WantSeen(c.T, c.seen("GET /trailers"))
	c.wantHTTP2(1)
}

func (c *clientRun) earlyHints() {
	r := c.send(clients.Request{URL: c.URL + "/early"})[0]
	c.wants(r, 200, 101, 103)
	c.wantsText(r, "hello\n")
	if c.client.tells(theHints) && (len(r.Early) != 1 || !slices.Equal(r.Early["Link"], []string{"</style.css>; rel=preload"})) {
		c.Errorf("fields of the 103 are %v, want a Link", r.Early)
	}
	c.WantSeen(c.T, c.seen("GET /early"))
	c.wantHTTP2(1)
}

// hundredAtOnce holds up all responses until all requests are there. If the client sends
// nothing before the first one has ended, that one is not held up.
func (c *clientRun) hundredAtOnce() {
	const n, size = 100, 1000
	var requests []clients.Request
	var seen []string
	var gates []*origin.Gate
	for i := range n {
		target := fmt.Sprintf("/gate/%d?%d", size, i)
		if i == 0 && !c.client.Eager {
			target = fmt.Sprintf("/bytes/%d", size)
		} else {
			gates = append(gates, c.Gate(fmt.Sprint(i)))
		}
		requests = append(requests, clients.Request{URL: c.URL + target})
		seen = append(seen, c.seen("GET "+target))
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i, g := range gates {
			if !await(c.T, fmt.Sprintf("%d of %d requests were there at once", i+1, len(gates)), g.Reached()) {
				break
			}
		}
		for _, g := range gates {
			g.Open()
		}
	})
	for i, r := range c.do(clients.Job{Requests: requests, AtOnce: true}) {
		if i == 0 {
			c.wants(r, 200, 101)
		} else {
			c.wants(r, 200)
		}
		c.wantsBody(r, size)
	}
	wg.Wait()
	c.WantSeen(c.T, seen...)
	c.WantConnections(c.T, 1)
	c.wantHTTP2(1)
}

func (c *clientRun) threeAtOnce() {
	requests, seen := c.echoes(3)
	for i, r := range c.do(clients.Job{Requests: requests, AtOnce: true}) {
		if i == 0 {
			c.wants(r, 200, 101)
		} else {
			c.wants(r, 200)
		}
		c.wantsEcho(r)
	}
	c.WantSeen(c.T, seen...)
	c.WantConnections(c.T, 1)
	c.wantHTTP2(1)
}

// coldAtOnce has the client send requests while it has no connection. It may make one for
// each.
func (c *clientRun) coldAtOnce() {
	requests, seen := c.echoes(4)
	for _, r := range c.do(clients.Job{Requests: requests, AtOnce: true, Cold: true}) {
		c.wants(r, 200, 101)
		c.wantsEcho(r)
	}
	c.WantSeen(c.T, seen...)
	c.WantConnections(c.T, 4)
	c.wantHTTP2(4)
}

// echoes returns n requests, and what the handler is to see of them.
func (c *clientRun) echoes(n int) (requests []clients.Request, seen []string) {
	for i := range n {
		target := fmt.Sprintf("/echo?%d", i)
		requests = append(requests, clients.Request{URL: c.URL + target})
		seen = append(seen, c.seen("GET "+target))
	}
	return requests, seen
}

// repeated is where races show.
func (c *clientRun) repeated() {
	const runs = 25
	for _, test := range c.client.Repeated {
		for n := range runs {
			c.Run(fmt.Sprintf("run %d of %d", n+1, runs), func(t *matrix.T) {
				test(newClientRun(t, c.client, c.entry, c.way))
			})
			if c.Failed() {
				return
			}
		}
	}
}

// events lets the server send an event when the client has received the one before.
func (c *clientRun) events() {
	gate := c.Gate("events")
	var got bytes.Buffer
	passed := 0
	r := c.send(clients.Request{URL: c.URL + "/events?events", OnData: func(p []byte) {
		got.Write(p)
		for n := bytes.Count(got.Bytes(), []byte("\n\n")); passed < n; passed++ {
			gate.Open()
		}
	}})[0]
	c.wants(r, 200, 101)
	if want := "data: 1\n\ndata: 2\n\ndata: 3\n\n"; got.String() != want {
		c.Errorf("the client received %q, want %q", got.String(), want)
	}
	c.wantsText(r, got.String())
	if got := r.Header.Get("Content-Type"); got != "text/event-stream" {
		c.Errorf("Content-Type is %q", got)
	}
	c.wantHTTP2(1)
}

// heldUp is the size of a response that is held up. Its half is more than may leave before the
// client preface has come.
const heldUp = 64 << 10

// cancel has the client give up a response of which it has a part.
func (c *clientRun) cancel() {
	gate := c.Gate("cancel")
	target := fmt.Sprintf("/gate/%d?cancel", heldUp)
	var once sync.Once
	r := c.send(clients.Request{URL: c.URL + target, Cancel: true, OnData: func([]byte) {
		once.Do(func() { await(c.T, "the handler has sent a half", gate.Reached()) })
	}})[0]
	if r.Err == "" {
		c.Errorf("the client did not give the response up: %s %d, %d octets", r.Proto, r.Status, r.Size)
	}
	await(c.T, "the context of the handler ended", gate.Cancelled())
	c.WantSeen(c.T, c.seen("GET "+target))
	c.wantHTTP2(1)
}

// shutdown shuts the server down while the client has a half of a response, and sends the
// rest when the client has been told.
func (c *clientRun) shutdown() {
	gate := c.Gate("shutdown")
	target := fmt.Sprintf("/gate/%d?shutdown", heldUp)
	ctx, cancel := context.WithTimeout(c.Context(), clientPatience)
	defer cancel()
	ended := make(chan error, 1) // receives from what waits for the response
	var once sync.Once
	r := c.send(clients.Request{URL: c.URL + target, OnData: func([]byte) {
		once.Do(func() {
			await(c.T, "the handler has sent a half", gate.Reached())
			if c.way.IsNewHandler() {
				go c.HTTP.Shutdown(ctx)
				go func() { ended <- c.H2C.Shutdown(ctx) }()
			} else {
				go func() { ended <- c.HTTP.Shutdown(ctx) }()
			}
			await(c.T, "the server has sent GOAWAY", c.goAway)
			if len(ended) > 0 {
				c.Errorf("Shutdown returned before the response had ended")
			}
			gate.Open()
		})
	}})[0]
	c.wants(r, 200, 101)
	c.wantsBody(r, heldUp)
	select {
	case err := <-ended:
		if err != nil {
			c.Errorf("Shutdown: %v", err)
		}
	case <-ctx.Done(): // OnData was never called, perhaps
		c.Errorf("Shutdown has not returned")
	}
	c.WantSeen(c.T, c.seen("GET "+target))
	c.wantHTTP2(1)
}
