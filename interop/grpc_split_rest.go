package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A restKind is a client of plain HTTP, with one connection that begins in that way.
type restKind struct {
	via   h2c.Via
	proto string
	make  func() http.RoundTripper
}

var (
	restHTTP1   = restKind{h2c.ViaHTTP1, "HTTP/1.1", func() http.RoundTripper { return new(oneConn) }}
	restUpgrade = restKind{h2c.ViaUpgrade, "HTTP/2.0", func() http.RoundTripper { return new(h2c.Transport) }}
	restPrior   = restKind{h2c.ViaPriorKnowledge, "HTTP/2.0", func() http.RoundTripper {
		tr := &http.Transport{Protocols: new(http.Protocols)}
		tr.Protocols.SetUnencryptedHTTP2(true)
		return tr
	}}
)

// A oneConn speaks HTTP/1.1 on one connection, whatever happens. That of net/http makes another
// when it is starved for 50 milliseconds.
type oneConn struct {
	nc net.Conn
	br *bufio.Reader
}

// RoundTrip implements [http.RoundTripper], for one request at a time.
func (c *oneConn) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.nc == nil {
		nc, err := new(net.Dialer).DialContext(req.Context(), "tcp", req.URL.Host)
		if err != nil {
			return nil, err
		}
		c.nc, c.br = nc, bufio.NewReader(nc)
	}
	if deadline, ok := req.Context().Deadline(); ok {
		c.nc.SetDeadline(deadline)
	}
	if err := req.Write(c.nc); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.br, req)
}

// CloseIdleConnections is what [http.Client.CloseIdleConnections] calls.
func (c *oneConn) CloseIdleConnections() {
	if c.nc != nil {
		c.nc.Close()
	}
}

// A grpcREST makes plain requests while calls are made on the same port, on connections of
// their own. A nil one makes none.
type grpcREST struct {
	e       *grpcEnds
	handler *origin.Handler // that the requests are meant for
	kinds   []restKind
	clients []*http.Client

	stopping chan struct{}
	stop     func() // returns when nothing is in progress
	mu       sync.Mutex
	rounds   int64 // that each client has done
}

// startREST makes requests from now on until check or a shutdown.
func (e *grpcEnds) startREST(handler *origin.Handler, kinds ...restKind) {
	r := &grpcREST{e: e, handler: handler, kinds: kinds, stopping: make(chan struct{})}
	for _, kind := range kinds {
		tr := kind.make()
		c := &http.Client{Transport: tr, Timeout: grpcPatience}
		r.clients = append(r.clients, c)
		e.Cleanup(func() {
			c.CloseIdleConnections()
			if tr, ok := tr.(*h2c.Transport); ok {
				if err := tr.Close(); err != nil {
					e.Errorf("closing the Transport of REST: %v", err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.run()
	}()
	r.stop = sync.OnceFunc(func() {
		close(r.stopping)
		<-done
	})
	e.Cleanup(r.stop)
	e.rest = r
	shutdown := e.shutdown
	e.shutdown = func(ctx context.Context) error {
		r.stop()
		return shutdown(ctx)
	}
}

// run leaves time between requests, for the calls.
func (r *grpcREST) run() {
	for {
		for i, c := range r.clients {
			if err := r.round(c, r.kinds[i]); err != nil {
				r.e.Errorf("REST by %s: %v", r.kinds[i].via, err)
				return
			}
		}
		r.mu.Lock()
		r.rounds++
		r.mu.Unlock()
		select {
		case <-r.stopping:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// round makes a request without a body, with which an upgrade begins, and one with a body.
func (r *grpcREST) round(c *http.Client, kind restKind) error {
	url := "http://" + r.e.addr
	body, err := kind.answer(c.Get(url + "/bytes/1024"))
	if err != nil {
		return err
	}
	if !bytes.Equal(body, peer.Payload(peer.KiB)) {
		return fmt.Errorf("%d octets came, want %d undamaged ones", len(body), peer.KiB)
	}
	body, err = kind.answer(c.Post(url+"/echo", "application/octet-stream", bytes.NewReader(peer.Payload(peer.KiB))))
	if err != nil {
		return err
	}
	var got origin.Report
	if err := json.Unmarshal(body, &got); err != nil {
		return err
	}
	if want := requestLine("POST /echo", kind.proto, kind.via) + ", 1024 octets"; got.String() != want {
		return fmt.Errorf("the handler saw %s, want %s", got, want)
	}
	return nil
}

// answer reads the body of a response.
func (k restKind) answer(resp *http.Response, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && (resp.StatusCode != http.StatusOK || resp.Proto != k.proto) {
		err = fmt.Errorf("%s %s %q, want %s 200", resp.Proto, resp.Status, body, k.proto)
	}
	return body, err
}

// more waits until each client has done another round, from the beginning to the end.
func (r *grpcREST) more() {
	done := func() int64 {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.rounds
	}
	before := done()
	r.e.Eventually("REST goes on", func() bool { return done() >= before+2 })
}

// connections returns how many the requests came on.
func (r *grpcREST) connections() int64 {
	if r == nil {
		return 0
	}
	return int64(len(r.kinds))
}

// began returns how many of these began in that way.
func (r *grpcREST) began(via h2c.Via) int64 {
	n := int64(0)
	if r != nil {
		for _, kind := range r.kinds {
			if kind.via == via {
				n++
			}
		}
	}
	return n
}

// end stops making requests.
func (r *grpcREST) end() {
	if r != nil {
		r.stop()
	}
}

// wanted returns what the handlers are to have got, in the end.
func (r *grpcREST) wanted() map[string]int64 {
	want := make(map[string]int64)
	if r == nil {
		return want
	}
	for _, kind := range r.kinds {
		want[requestLine("GET", kind.proto, kind.via)] += r.rounds
		want[requestLine("POST", kind.proto, kind.via)] += r.rounds
	}
	remotes := make(map[string]bool)
	for _, report := range r.handler.Seen() {
		remotes[report.Remote] = true
	}
	if n := len(remotes); n != len(r.kinds) {
		r.e.Errorf("REST came on %d connections, want %d", n, len(r.kinds))
	}
	return want
}
