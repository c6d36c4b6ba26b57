package main

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

func (c *clientRun) get() {
	r := c.send(clients.Request{
		URL:    c.URL + "/echo?q=%20",
		Header: http.Header{"X-Two": {"1", "2"}},
	})[0]
	c.wants(r, 200, 101)
	c.WantSeen(c.T, c.seen("GET /echo?q=%20"))
	c.wantHTTP2(1)
	rep := c.wantsEcho(r)
	if rep.Host != c.Addr || !slices.Equal(rep.Header["X-Two"], []string{"1", "2"}) {
		c.Errorf("handler saw Host %q and X-Two %q", rep.Host, rep.Header["X-Two"])
	}
	c.wantZeroLength()
}

func (c *clientRun) head() {
	r := c.send(clients.Request{Method: "HEAD", URL: c.URL + "/bytes/1000"})[0]
	c.wants(r, 200, 101)
	c.wantsBody(r, 0)
	if got := r.Header.Get("Content-Length"); got != "1000" {
		c.Errorf("Content-Length is %q, want 1000", got)
	}
	c.WantSeen(c.T, c.seen("HEAD /bytes/1000"))
	c.wantHTTP2(1)
	c.wantZeroLength()
}

// wantZeroLength checks that a client which has Content-Length: 0 with every GET still does,
// as it proves nothing otherwise.
func (c *clientRun) wantZeroLength() {
	var want []string
	if c.client.ZeroLength {
		want = []string{"0"}
	}
	for _, r := range c.Seen() {
		if got := r.Header["Content-Length"]; !slices.Equal(got, want) {
			c.Errorf("handler saw Content-Length %q, want %q", got, want)
		}
	}
}

// upgradeLimit is the largest body with which the server upgrades.
const upgradeLimit = 64 << 10

func (c *clientRun) post() { c.upload(clients.Request{Body: peer.Payload(1000)}) }

func (c *clientRun) postLimit() {
	c.upload(clients.Request{Body: peer.Payload(upgradeLimit)})
	c.again((*clientRun).upload, clients.Request{Body: peer.Payload(upgradeLimit + 1)})
}

func (c *clientRun) postLarge() { c.upload(clients.Request{Body: peer.Payload(peer.MiB)}) }

func (c *clientRun) postChunked() {
	c.upload(clients.Request{Body: peer.Payload(peer.MiB), NoSize: true})
}

func (c *clientRun) postExpecting() {
	c.upload(clients.Request{Body: peer.Payload(1000), Expect: true})
	c.again((*clientRun).upload, clients.Request{Body: peer.Payload(peer.MiB), Expect: true})
}

// again does it once more with another server.
func (c *clientRun) again(test func(*clientRun, clients.Request), r clients.Request) {
	c.Run(fmt.Sprintf("%d octets", len(r.Body)), func(t *matrix.T) {
		test(newClientRun(t, c.client, c.entry, c.way), r)
	})
}

// upload sends a POST. If it carries the offer, it depends on its body what becomes of that.
func (c *clientRun) upload(req clients.Request) {
	req.Method, req.URL = "POST", c.URL+"/echo"
	r := c.send(req)[0]
	var declined []h2c.Reason
	if c.entry == clients.Upgrade && !c.client.BodyLater {
		switch {
		case req.NoSize:
			declined = []h2c.Reason{h2c.ReasonBodyUnsized}
		case len(req.Body) > upgradeLimit:
			declined = []h2c.Reason{h2c.ReasonBodyTooLarge}
		}
	}
	var interims []int
	if req.Expect {
		interims = []int{100}
	}
	octets := fmt.Sprintf(", %d octets", len(req.Body))
	switch {
	case c.entry == clients.Upgrade && c.client.BodyLater && c.way.IsNewHandler():
		// Under NewHandler net/http answers OPTIONS * before any handler.
		if r.Proto != "HTTP/1.1" || r.Status != 200 {
			c.Errorf("OPTIONS * was answered %s %d, want HTTP/1.1 200", r.Proto, r.Status)
		}
		c.WantSeen(c.T)
		c.wantHTTP2(0)
		return
	case declined != nil:
		c.wantsProto(r, "HTTP/1.1", 200, interims...)
		c.WantSeen(c.T, "POST /echo HTTP/1.1 by http/1.1"+octets)
		c.wantHTTP2(0, declined...)
	default:
		if c.client.BodyLater {
			interims = append([]int{101}, interims...)
		} else {
			interims = append(interims, 101)
		}
		c.wants(r, 200, interims...)
		c.WantSeen(c.T, c.seen("POST /echo")+octets)
		c.wantHTTP2(1)
	}
	want := int64(len(req.Body))
	if req.NoSize {
		want = -1
	}
	if rep := c.wantsEcho(r); rep.ContentLength != want {
		c.Errorf("handler saw a length of %d, want %d", rep.ContentLength, want)
	}
}

func (c *clientRun) optionsStar() {
	if c.entry == clients.Upgrade && c.client.BodyLater {
		c.post()
		return
	}
	r := c.send(clients.Request{Method: "OPTIONS", URL: c.URL + "/", Target: "*"})[0]
	if c.entry == clients.Upgrade && c.way.IsNewHandler() {
		// There net/http answers it before any handler.
		c.wantsProto(r, "HTTP/1.1", 200)
		c.wantHTTP2(0)
	} else {
		c.wants(r, 200, 101)
		c.wantHTTP2(1)
	}
	c.wantsBody(r, 0)
	c.WantSeen(c.T)
}

// threeInARow begins with a body, which is the upgrade's.
func (c *clientRun) threeInARow() {
	rs := c.send(
		clients.Request{Method: "POST", URL: c.URL + "/echo?1", Body: peer.Payload(upgradeLimit)},
		clients.Request{URL: c.URL + "/echo?2"},
		clients.Request{Method: "POST", URL: c.URL + "/echo?3", Body: peer.Payload(peer.MiB)})
	c.wants(rs[0], 200, 101)
	c.wants(rs[1], 200)
	c.wants(rs[2], 200)
	for _, r := range rs {
		c.wantsEcho(r)
	}
	c.WantSeen(c.T,
		c.seen("POST /echo?1")+", 65536 octets",
		c.seen("GET /echo?2"),
		c.seen("POST /echo?3")+", 1048576 octets")
	c.WantConnections(c.T, 1)
	c.wantHTTP2(1)
}

func (c *clientRun) afterHTTP1() {
	rs := c.send(clients.Request{URL: c.URL + "/echo?1", HTTP1: true}, clients.Request{URL: c.URL + "/echo?2"})
	c.wantsProto(rs[0], "HTTP/1.1", 200)
	c.wantsEcho(rs[0])
	c.wants(rs[1], 200, 101)
	c.wantsEcho(rs[1])
	c.WantSeen(c.T, "GET /echo?1 HTTP/1.1 by http/1.1", c.seen("GET /echo?2"))
	c.WantConnections(c.T, 1)
	c.wantHTTP2(1)
}

func (c *clientRun) afterDeclined() {
	rs := c.send(
		clients.Request{Method: "POST", URL: c.URL + "/echo?1", Body: peer.Payload(1000), NoSize: true},
		clients.Request{URL: c.URL + "/echo?2"})
	c.wantsProto(rs[0], "HTTP/1.1", 200)
	c.wantsEcho(rs[0])
	c.wants(rs[1], 200, 101)
	c.wantsEcho(rs[1])
	c.WantSeen(c.T, "POST /echo?1 HTTP/1.1 by http/1.1, 1000 octets", c.seen("GET /echo?2"))
	c.WantConnections(c.T, 1)
	c.wantHTTP2(1, h2c.ReasonBodyUnsized)
}
