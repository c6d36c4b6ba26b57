package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/wiretap"
	"github.com/seed78dc1b7f/h2c/interop/internal/clients"
	"github.com/seed78dc1b7f/h2c/interop/internal/grpctest"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A portRow is a client that knows nothing of gRPC, at a port that Split has parted.
type portRow struct {
	client *clients.Client
	entry  string
	offers bool // it upgrades
	cases  []portCase
}

// A portCase is a column of the table.
type portCase struct {
	name string
	ids  []string
	test func(*portRun)
}

var portRows = []portRow{
	{clients.Java, "upgrade", true, portOffers},
	{clients.Curl, "upgrade", true, portOffers},
	{clients.Curl, "HTTP/1.1", false, []portCase{
		{"GET", nil, (*portRun).upgradeRequired},
		{"GET beside REST", nil, (*portRun).rest},
		{"POST 60,000 octets", nil, (*portRun).postRequired},
	}},
}

var portOffers = []portCase{
	{"GET", ids{"U-12", "U-30"}, (*portRun).unsupported},
	{"GET beside REST", ids{"U-12", "U-30"}, func(p *portRun) {
		p.serveHTTP1(p.T, p.Handler)
		p.unsupported()
	}},
	{"POST 1,000 octets", ids{"U-09", "U-24"}, func(p *portRun) { p.post(1000) }},
	{"POST 60,000 octets", ids{"U-09", "U-24"}, func(p *portRun) { p.post(60_000) }},
	{"POST 64 KiB", ids{"U-09", "U-28"}, (*portRun).postTooLarge},
}

func portCells() []matrix.Cell {
	var cells []matrix.Cell
	for _, row := range portRows {
		for _, c := range row.cases {
			cells = append(cells, matrix.Cell{
				Group: "gRPC port", Peer: row.client.Peer.Name, Entry: row.entry, Case: c.name, IDs: c.ids,
				Needs: []*peer.Peer{row.client.Peer, grpcGo},
				Test: func(t *matrix.T) {
					t.Run("Split", func(t *matrix.T) { c.test(newPortRun(t, row)) })
				},
			})
		}
	}
	return cells
}

// portDeviations are those that Java shows wherever it upgrades.
var portDeviations = slices.DeleteFunc(slices.Clone(clientDeviations), func(d matrix.Deviation) bool {
	return d.Peer != clients.Java.Peer.Name
})

// A portRun is a case with a client and a port of its own. Nobody serves it yet.
type portRun struct {
	*matrix.T
	*splitPort
	row      portRow
	accepted atomic.Int64

	mu     sync.Mutex
	credit int64 // what the client may send yet on the last connection, but for initial windows
}

func newPortRun(t *matrix.T, row portRow) *portRun {
	p := &portRun{T: t, row: row}
	p.splitPort = newSplitPort(t, func(l net.Listener) net.Listener {
		return watchedListener{countingListener{t.Listener(l), &p.accepted}, p.note}
	}, false)
	return p
}

type watchedListener struct {
	net.Listener
	tell func(wiretap.Event)
}

func (l watchedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return watch(nc, false, l.tell), nil
}

// note keeps count of the window of the connection.
func (p *portRun) note(ev wiretap.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch f := ev.Frame.(type) {
	case *http2.WindowUpdateFrame:
		if !ev.Client && f.StreamID == 0 {
			p.credit += int64(f.Increment)
		}
	case *http2.DataFrame:
		if ev.Client {
			p.credit -= int64(f.Length)
		}
	}
}

// send has the client send requests, one after the other.
func (p *portRun) send(requests ...clients.Request) []clients.Response {
	for i := range requests {
		requests[i].URL = p.URL + requests[i].URL
		requests[i].HTTP1 = !p.row.offers
	}
	ctx, cancel := context.WithTimeout(p.Context(), 2*clientPatience)
	defer cancel()
	responses, err := p.row.client.Send(ctx, clients.Job{Entry: clients.Upgrade, Requests: requests, Dir: p.TempDir()})
	if err != nil {
		p.Fatal(err)
	}
	if len(responses) != len(requests) {
		p.Fatalf("%d responses to %d requests", len(responses), len(requests))
	}
	return responses
}

func (p *portRun) wants(r clients.Response, proto string, status int) {
	if r.Proto != proto || r.Status != status || r.Err != "" {
		p.Errorf("response is %s %d %s, want %s %d", r.Proto, r.Status, r.Err, proto, status)
	}
}

// wantHTTP2 checks how many connections there were, and that all of them were upgraded or
// none.
func (p *portRun) wantHTTP2(upgraded int64, declined ...h2c.Reason) {
	p.WantNegotiated(p.T, upgraded, 0, declined...)
	if n := p.accepted.Load(); n != 1 {
		p.Errorf("the port accepted %d connections, want 1", n)
	}
}

// unsupported has grpc-go answer a request that is not gRPC, on stream 1.
func (p *portRun) unsupported() {
	if p.HTTP == nil {
		p.http1.Close()
	}
	_, counts := serveGRPC(p.T, p.http2, new(grpctest.Service))
	p.wantsUnsupported(p.send(clients.Request{URL: "/echo"})[0])
	p.wantHTTP2(1)
	p.WantSeen(p.T)
	if counts.Connections() != 1 || counts.Calls() != 0 {
		p.Errorf("grpc-go counts %d connections and %d calls, want one and none", counts.Connections(), counts.Calls())
	}
}

// wantsUnsupported checks that it was grpc-go that answered.
func (p *portRun) wantsUnsupported(r clients.Response) {
	p.wants(r, "HTTP/2.0", http.StatusUnsupportedMediaType)
	for name, want := range map[string]string{"Content-Type": "application/grpc", "Grpc-Status": "3"} {
		if got := r.Header[name]; !slices.Equal(got, []string{want}) {
			p.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// upgradeRequired sends a request in HTTP/1.1, which nobody serves.
func (p *portRun) upgradeRequired() { p.required(clients.Request{URL: "/echo"}) }

func (p *portRun) postRequired() {
	p.required(clients.Request{Method: "POST", URL: "/echo", Body: peer.Payload(60_000)})
}

func (p *portRun) required(req clients.Request) {
	p.http1.Close()
	_, counts := serveGRPC(p.T, p.http2, new(grpctest.Service))
	r := p.send(req)[0]
	p.wants(r, "HTTP/1.1", http.StatusUpgradeRequired)
	if got := r.Header["Upgrade"]; !slices.Equal(got, []string{"h2c"}) {
		p.Errorf("Upgrade is %q, want h2c", got)
	}
	// "The server MUST send an Upgrade header field": with its connection option.
	if got := strings.ToLower(strings.Join(r.Header["Connection"], ", ")); !strings.Contains(got, "upgrade") {
		p.Errorf("Connection is %q, want Upgrade in it", got)
	}
	p.wantHTTP2(0)
	if n := counts.Connections(); n != 0 {
		p.Errorf("grpc-go counts %d connections, want none", n)
	}
}

// rest sends a request in HTTP/1.1, which the other server serves.
func (p *portRun) rest() {
	p.serveHTTP1(p.T, p.Handler)
	_, counts := serveGRPC(p.T, p.http2, new(grpctest.Service))
	r := p.send(clients.Request{URL: "/bytes/1024"})[0]
	p.wants(r, "HTTP/1.1", http.StatusOK)
	p.wantsPayload(r, peer.KiB)
	p.wantHTTP2(0)
	p.WantSeen(p.T, "GET /bytes/1024 HTTP/1.1 by http/1.1")
	if n := counts.Connections(); n != 0 {
		p.Errorf("grpc-go counts %d connections, want none", n)
	}
}

func (p *portRun) wantsPayload(r clients.Response, size int) {
	if want := peer.Digest(peer.Payload(size)); r.Size != int64(size) || r.SHA256 != want {
		p.Errorf("body is %d octets with SHA-256 %s, want %d octets with %s", r.Size, r.SHA256, size, want)
	}
}

// post upgrades with a body, and sends more than a window on the same connection, to an
// http.Server, since grpc-go takes no body of a plain request.
func (p *portRun) post(size int) {
	p.http1.Close()
	p.serveHTTP2(p.T, p.Handler)
	var requests []clients.Request
	var seen []string
	for i, n := range []int{size, 3 * peer.MiB, 60_000} {
		target := fmt.Sprintf("/echo?%d", i)
		requests = append(requests, clients.Request{Method: "POST", URL: target, Body: peer.Payload(n)})
		seen = append(seen, fmt.Sprintf("POST %s HTTP/2.0 by prior-knowledge, %d octets", target, n))
	}
	for i, r := range p.send(requests...) {
		p.wants(r, "HTTP/2.0", http.StatusOK)
		var got origin.Report
		if err := json.Unmarshal(r.Body, &got); err != nil || got.String() != seen[i] {
			p.Errorf("the client read %q, want that the handler saw %s", r.Body, seen[i])
		}
	}
	p.wantHTTP2(1)
	p.WantSeen(p.T, seen...)
	p.WantConnections(p.T, 1)
	p.wantCredit()
}

// What the server of net/http takes on a connection at a time, and by how much it lets the
// client's window fall below that before it says so.
const (
	goWindow  = 1 << 20
	goRefresh = 4 << 10
)

// wantCredit checks the window that the client was left with, after all it has sent.
func (p *portRun) wantCredit() {
	const initial = 65_535
	p.mu.Lock()
	defer p.mu.Unlock()
	if left := initial + p.credit; left > goWindow || left <= goWindow-goRefresh {
		p.Errorf("the window of the connection is %d octets in the end, want %d or less than %d below that", left, goWindow, goRefresh)
	}
}

// postTooLarge offers with a body that is too large, and without one, on the same connection.
// The first request stays with the one server, and the second crosses over to the other.
func (p *portRun) postTooLarge() {
	p.serveHTTP1(p.T, p.Handler)
	_, counts := serveGRPC(p.T, p.http2, new(grpctest.Service))
	rs := p.send(clients.Request{Method: "POST", URL: "/echo", Body: peer.Payload(64 * peer.KiB)}, clients.Request{URL: "/echo"})
	p.wants(rs[0], "HTTP/1.1", http.StatusOK)
	p.wantsUnsupported(rs[1])
	p.wantHTTP2(1, h2c.ReasonBodyTooLarge)
	p.WantSeen(p.T, "POST /echo HTTP/1.1 by http/1.1, 65536 octets")
	if n := counts.Connections(); n != 1 {
		p.Errorf("grpc-go counts %d connections, want one", n)
	}
}
