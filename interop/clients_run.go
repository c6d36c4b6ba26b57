package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A clientRun is a case with a client and a server of its own.
type clientRun struct {
	*matrix.T
	*origin.Server
	client clientRow
	entry  clients.Entry
	way    origin.Way
	goAway <-chan struct{} // closed when the server has sent one
}

func newClientRun(t *matrix.T, client clientRow, entry clients.Entry, w origin.Way) *clientRun {
	l := &goAwayListener{sent: make(chan struct{})}
	s := origin.StartFor(t, w, origin.Config{Listen: func(inner net.Listener) net.Listener {
		l.Listener = t.Listener(inner)
		return l
	}})
	return &clientRun{t, s, client, entry, w, l.sent}
}

// clientPatience bounds each wait for a client.
const clientPatience = 30 * time.Second

// send has the client send requests, and returns as many responses. It checks what no
// handler may ever see.
func (c *clientRun) send(requests ...clients.Request) []clients.Response {
	return c.do(clients.Job{Requests: requests})
}

func (c *clientRun) do(job clients.Job) []clients.Response {
	job.Entry, job.Dir = c.entry, c.TempDir()
	ctx, cancel := context.WithTimeout(c.Context(), 2*clientPatience)
	defer cancel()
	responses, err := c.client.Send(ctx, job)
	if err != nil {
		c.Fatal(err)
	}
	if len(responses) != len(job.Requests) {
		c.Fatalf("%d responses to %d requests", len(responses), len(job.Requests))
	}
	for _, r := range c.Seen() {
		c.wantNoOffer(r)
	}
	return responses
}

// wantNoOffer checks that the handler saw nothing of an offer, taken or declined, nor of what
// was settled before it was called.
func (c *clientRun) wantNoOffer(r origin.Report) {
	gone := []string{"Upgrade", "Http2-Settings"}
	if r.Proto == "HTTP/2.0" {
		gone = append(gone, "Connection", "Keep-Alive", "Transfer-Encoding", "Expect")
	}
	for _, name := range gone {
		if v, ok := r.Header[name]; ok {
			c.Errorf("%s: handler saw %s: %q", r, name, v)
		}
	}
	for _, v := range r.Header["Connection"] {
		if v = strings.ToLower(v); strings.Contains(v, "upgrade") || strings.Contains(v, "http2-settings") {
			c.Errorf("%s: handler saw Connection: %q", r, v)
		}
	}
}

// wants checks a response by HTTP/2. The interim statuses are those after an upgrade; by
// prior knowledge there is no 101 among them.
func (c *clientRun) wants(r clients.Response, status int, interims ...int) {
	if c.entry == clients.Prior {
		interims = slices.DeleteFunc(interims, func(s int) bool { return s == http.StatusSwitchingProtocols })
	}
	c.wantsProto(r, "HTTP/2.0", status, interims...)
	if slices.Contains(interims, http.StatusSwitchingProtocols) && c.client.tells(theSwitch) {
		if len(r.Switch) != 2 || !slices.Equal(r.Switch["Connection"], []string{"Upgrade"}) || !slices.Equal(r.Switch["Upgrade"], []string{"h2c"}) {
			c.Errorf("fields of the 101 are %v, want Connection: Upgrade and Upgrade: h2c alone", r.Switch)
		}
	}
}

func (c *clientRun) wantsProto(r clients.Response, proto string, status int, interims ...int) {
	if r.Proto != proto || r.Status != status || r.Err != "" {
		c.Errorf("response is %s %d %s, want %s %d", r.Proto, r.Status, r.Err, proto, status)
	}
	if c.client.tells(theInterims) && !slices.Equal(r.Interim, interims) {
		c.Errorf("interim responses are %v, want %v", r.Interim, interims)
	}
}

// wantsBody checks that the body is that payload.
func (c *clientRun) wantsBody(r clients.Response, size int) {
	if want := peer.Digest(peer.Payload(size)); r.Size != int64(size) || r.SHA256 != want {
		c.Errorf("body is %d octets with SHA-256 %s, want %d octets with %s", r.Size, r.SHA256, size, want)
	}
}

// wantsText checks a short body.
func (c *clientRun) wantsText(r clients.Response, want string) {
	if got := string(r.Body); got != want || r.Size != int64(len(want)) {
		c.Errorf("body is %q of %d octets, want %q", got, r.Size, want)
	}
}

// wantsEcho checks that the body is a report that the handler kept, and returns that.
func (c *clientRun) wantsEcho(r clients.Response) origin.Report {
	var got origin.Report
	if err := json.Unmarshal(r.Body, &got); err != nil {
		c.Fatalf("body is %q: %v", r.Body, err)
	}
	again, _ := json.Marshal(got)
	for _, seen := range c.Seen() {
		if want, _ := json.Marshal(seen); string(want) == string(again) {
			return got
		}
	}
	c.Errorf("the client read %s, which the handler did not write", again)
	return got
}

// via is how reports name the entry.
func (c *clientRun) via() h2c.Via {
	if c.entry == clients.Prior {
		return h2c.ViaPriorKnowledge
	}
	return h2c.ViaUpgrade
}

// seen is the report of a request by HTTP/2 in one line.
func (c *clientRun) seen(request string) string {
	return request + " HTTP/2.0 by " + string(c.via())
}

// wantHTTP2 checks how many connections came to speak HTTP/2, and which offers were declined.
func (c *clientRun) wantHTTP2(n int64, declined ...h2c.Reason) {
	if c.entry == clients.Prior {
		c.WantNegotiated(c.T, 0, n, declined...)
	} else {
		c.WantNegotiated(c.T, n, 0, declined...)
	}
}

// await waits for something, within bounds, and reports whether it came.
func await[V any](t *matrix.T, what string, ch <-chan V) bool {
	select {
	case <-ch:
		return true
	case <-t.Context().Done():
	case <-time.After(clientPatience):
	}
	t.Errorf("in vain waited until %s", what)
	return false
}
