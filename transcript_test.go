package h2c_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"github.com/seed78dc1b7f/h2c/internal/transcript"
)

// TestTranscripts plays the part of real peers, as it was recorded. See
// testdata/transcripts/README.md.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	failed := 0
	for _, file := range files {
		if failed == 50 {
			t.Fatal("and maybe more") // each may have waited in vain
		}
		ok := t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			tr, err := transcript.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			for _, network := range networks(tr) {
				if t.Failed() {
					return
				}
				if tr.Role == transcript.Server {
					playServer(t, tr, network)
					continue
				}
				roles := []role{configured}
				if !offers(tr, "*") { // net/http answers OPTIONS * before any handler
					roles = append(roles, wrapped)
				}
				if !offers(tr, "") || !asks(tr, "/echo") { // its answer tells of the offer
					roles = append(roles, split)
				}
				eachOf(t, roles, func(t *testing.T, role role) { playClient(t, tr, role, network) })
			}
		})
		if !ok {
			failed++
		}
	}
}

// networks returns one on which octets come as they were recorded, and one on which they
// come one by one, if they are few.
func networks(tr *transcript.Transcript) []memnet.Options {
	n := 0
	for _, c := range tr.Conns {
		for _, p := range c.Parts {
			n += len(p.Octets)
		}
	}
	if n > 16<<10 {
		return []memnet.Options{{}}
	}
	return []memnet.Options{{}, {MaxRead: 1}}
}

// offers reports whether a client offers h2c, by a request for target if that is not empty.
func offers(tr *transcript.Transcript, target string) bool {
	return slices.ContainsFunc(tr.Exchanges(), func(x transcript.Exchange) bool {
		return x.Offer && (target == "" || x.Target == target)
	})
}

func asks(tr *transcript.Transcript, path string) bool {
	return slices.ContainsFunc(tr.Exchanges(), func(x transcript.Exchange) bool {
		target, _, _ := strings.Cut(x.Target, "?")
		return target == path
	})
}

// playClient plays a client against a server.
func playClient(t *testing.T, tr *transcript.Transcript, role role, network memnet.Options) {
	var client atomic.Value
	ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = client.Load().(string)
		recorded.ServeHTTP(w, r)
	}), withNetwork(network))
	for i, c := range tr.Conns {
		client.Store(c.Client)
		nc, err := ts.l.Dial()
		if err != nil {
			t.Fatal(err)
		}
		p := newPlayer(tr, c, nc)
		err = p.play()
		p.end(t, i, err)
	}
	if failed := ts.s.Stats().Failed; failed != nil {
		t.Errorf("failed: %v", failed)
	}
}

// playServer plays a server against a Transport, which sends the requests that it has sent.
func playServer(t *testing.T, tr *transcript.Transcript, network memnet.Options) {
	l := memnet.Listen(network)
	ours := &h2c.Transport{Base: &http.Transport{
		DialContext:           func(context.Context, string, string) (net.Conn, error) { return l.Dial() },
		ExpectContinueTimeout: patience,
	}}
	if bytes.HasPrefix(tr.Conns[0].Parts[0].Octets, []byte("PRI ")) {
		ours.Mode = h2c.ModePriorKnowledge
	}
	exchanges := tr.Exchanges()
	for _, x := range exchanges {
		if x.Offer {
			ours.MaxUpgradeBodyBytes = max(ours.MaxUpgradeBodyBytes, int64(len(x.Body)))
		}
	}
	var players []*player
	var playing, accepting sync.WaitGroup
	accepting.Go(func() {
		defer l.Close() // it is not to dial once more
		for _, c := range tr.Conns {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p := newPlayer(tr, c, nc)
			players = append(players, p)
			playing.Go(func() { p.err = p.play() })
		}
	})
	for i, x := range exchanges {
		if isOurs(x, exchanges[i+1:]) {
			continue
		}
		got := x
		if got.Response = ask(t, ours, x); got.String() != x.String() {
			t.Errorf("got\n%s\nwant\n%s", got, x)
			break
		}
	}
	l.Close()
	accepting.Wait()
	if t.Failed() {
		ours.Close() // no more comes
	}
	playing.Wait()
	ours.Close()
	for i, p := range players {
		p.end(t, i, p.err)
	}
	if len(players) != len(tr.Conns) {
		t.Errorf("%d connections, want %d", len(players), len(tr.Conns))
	}
}

// isOurs reports whether a Transport has sent a request on its own account: an offer where
// that is made before a body is sent, and one that is repeated without the offer.
func isOurs(x transcript.Exchange, next []transcript.Exchange) bool {
	return x.Method == http.MethodOptions && x.Target == "/" ||
		x.Offer && len(next) > 0 && next[0].Method == x.Method && next[0].Target == x.Target
}

// ask sends a request that was recorded.
func ask(t *testing.T, tr *h2c.Transport, x transcript.Exchange) (o transcript.Outcome) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if code > 101 {
				o.Interim = append(o.Interim, code)
			}
			return nil
		},
	})
	var body io.Reader
	if len(x.Body) > 0 {
		body = bytes.NewReader(x.Body)
		if !x.Sized {
			body = io.MultiReader(body)
		}
	}
	req, err := http.NewRequestWithContext(ctx, x.Method, "http://"+x.Host+x.Target, body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = x.Header.Clone()
	if strings.HasPrefix(req.UserAgent(), "Go-http-client/") {
		req.Header.Del("User-Agent")
	}
	if req.Header.Get("Accept-Encoding") == "gzip" {
		req.Header.Del("Accept-Encoding")
	}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Errorf("%s %s: %v", x.Method, x.Target, err)
		return o
	}
	defer resp.Body.Close()
	o.Proto, o.Status = resp.Proto, resp.StatusCode
	if o.Body, err = io.ReadAll(resp.Body); err != nil {
		t.Errorf("%s %s: body: %v", x.Method, x.Target, err)
	}
	o.Trailer = resp.Trailer
	maps.DeleteFunc(o.Trailer, func(_ string, values []string) bool { return len(values) == 0 }) // announced only
	return o
}
