package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// testEvents proves that what a server sends is there before it sends more.
func testEvents(c *caller) {
	ctx, cancel := context.WithTimeout(c.Context(), 10*time.Second)
	defer cancel()
	name := unique()
	resp, err := c.send(ctx, call{path: "/events", query: name})
	c.must(err)
	defer resp.Body.Close()
	body := bufio.NewReader(resp.Body)
	for i := range origin.Events {
		line, err := body.ReadString('\n')
		if want := fmt.Sprintf("data: %d\n", i+1); err != nil || line != want {
			c.Fatalf("received %q, %v, want %q", line, err, want)
		}
		if line, err = body.ReadString('\n'); err != nil || line != "\n" {
			c.Fatalf("received %q, %v after an event", line, err)
		}
		c.must(c.at.Open(name))
	}
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		c.Errorf("received %q, %v after the last event", rest, err)
	}
	c.want(c.row.want())
}

// begin gets the beginning of a response of n octets whose rest is still to come.
func (c *caller) begin(ctx context.Context, path, query string, n, beginning int) (*http.Response, []byte) {
	resp, err := c.send(ctx, call{path: fmt.Sprintf("%s/%d", path, n), query: query})
	c.must(err)
	c.Cleanup(func() { resp.Body.Close() })
	b := make([]byte, beginning)
	if n, err := io.ReadFull(resp.Body, b); err != nil {
		c.Fatalf("%s, after %d octets: %v", resp.Status, n, err)
	}
	return resp, b
}

// testCancel proves that a request can be given up in the middle of its response, and that
// the connection stays for others.
func testCancel(c *caller) {
	c.giveUp(func(string) {})
	c.must(c.get(peer.KiB))
	c.want(several(c.row.want()))
}

// testCancelHandler proves that the handler learns of it.
func testCancelHandler(c *caller) {
	c.giveUp(func(gate string) {
		c.Eventually("the context of the handler has ended", func() bool { return c.at.Cancelled(gate) })
	})
}

// giveUp gives a request up, calls then, and lets the handler go on.
func (c *caller) giveUp(then func(gate string)) {
	ctx, cancel := context.WithTimeout(c.Context(), responseTimeout)
	defer cancel()
	gate := unique()
	var resp *http.Response
	if c.at.Open != nil {
		resp, _ = c.begin(ctx, "/gate", gate, peer.MiB, peer.MiB/2)
		c.Cleanup(func() { c.at.Open(gate) })
	} else {
		resp, _ = c.begin(ctx, "/bytes", gate, peer.Huge, peer.KiB)
	}
	cancel()
	if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
		c.Fatalf("error %v, want %v", err, context.Canceled)
	}
	then(gate)
}

// testShutdown proves that a response which the server's end cuts short is not taken for a
// whole one.
func testShutdown(c *caller) {
	ctx, cancel := context.WithTimeout(c.Context(), responseTimeout)
	defer cancel()
	resp, b := c.begin(ctx, "/bytes", unique(), peer.Huge, peer.KiB)
	c.at.Terminate()
	got, err := read(resp, b)
	switch {
	case ctx.Err() != nil:
		c.Errorf("after %v and %d octets the response has not ended", responseTimeout, got.size)
	case err != nil:
		c.Logf("after %d octets: %v", got.size, err)
	default:
		c.must(c.whole(got, peer.Huge))
	}
	c.Eventually("the Transport counts no HTTP/2 connection", func() bool { return c.h2c.Stats().Active == 0 })
}

// testClose proves that Close ends all connections, in the middle of a response as well.
func testClose(c *caller) {
	c.must(c.get(peer.Tiny))
	var resp *http.Response
	if c.row.server.Only == 0 {
		resp, _ = c.begin(c.Context(), "/bytes", unique(), peer.Huge, peer.KiB)
	}
	c.must(c.h2c.Close())
	if n := c.h2c.Stats().Active; n != 0 {
		c.Errorf("%d HTTP/2 connections are left", n)
	}
	if resp != nil {
		if n, err := io.Copy(io.Discard, resp.Body); err == nil {
			c.Errorf("a response in progress ended well, after %d octets", n)
		}
	}
	if err := c.get(peer.Tiny); !errors.Is(err, h2c.ErrTransportClosed) {
		c.Errorf("error %v after Close", err)
	}
}
