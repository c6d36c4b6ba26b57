package h2c_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// transport returns a Transport that dials l. It is closed when the test ends, and must have
// no connection left.
func transport(t *testing.T, l *memnet.Listener, tr *h2c.Transport) *h2c.Transport {
	t.Helper()
	if tr.Base == nil {
		tr.Base = new(http.Transport)
	}
	tr.Base.DialContext = func(context.Context, string, string) (net.Conn, error) { return l.Dial() }
	t.Cleanup(func() {
		tr.Close()
		for range 200 {
			if tr.Stats().Active == 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d connections still active after Close", tr.Stats().Active)
	})
	return tr
}

// fetch returns protocol and body of the response to a request.
func fetch(t *testing.T, rt http.RoundTripper, method, path, body string) string {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, "http://example.com"+path, r)
	if err != nil {
		t.Error(err)
		return ""
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	if resp.Request != req {
		t.Errorf("%s %s: Response.Request is another one", method, path)
	}
	return fmt.Sprintf("%s %d %s", resp.Proto, resp.StatusCode, b)
}

// via tells how a request reached the handler.
var via = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	fmt.Fprint(w, r.Method, " ", r.URL.Path, " ", h2c.RequestVia(r), " ", string(body))
})

func TestClient_C03_C04_upgrade(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		way := "upgrade"
		if role == split {
			way = "prior-knowledge" // so it reads
		}
		ts := serve(t, role, via)
		tr := transport(t, ts.l, new(h2c.Transport))
		for _, path := range []string{"/1", "/2", "/3"} {
			if got, want := fetch(t, tr, "GET", path, ""), "HTTP/2.0 200 GET "+path+" "+way+" "; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		if got := fetch(t, tr, "POST", "/4", "body"); got != "HTTP/2.0 200 POST /4 "+way+" body" {
			t.Errorf("got %q", got)
		}
		if got := tr.Stats(); got.Upgraded != 1 || got.Active != 1 {
			t.Errorf("client %+v", got)
		}
		if got := ts.s.Stats(); got.Upgraded != 1 || got.Active != 1 {
			t.Errorf("server %+v", got)
		}
	})
}

// A request whose body cannot go with the offer waits for one made by OPTIONS.
func TestClient_C10_bodyFirst(t *testing.T) {
	ts := serve(t, configured, via)
	tr := transport(t, ts.l, new(h2c.Transport))
	if got := fetch(t, tr, "POST", "/p", "body"); got != "HTTP/2.0 200 POST /p upgrade body" {
		t.Errorf("got %q", got)
	}
	tr = transport(t, ts.l, &h2c.Transport{MaxUpgradeBodyBytes: 4})
	if got := fetch(t, tr, "POST", "/p", "body"); got != "HTTP/2.0 200 POST /p upgrade body" {
		t.Errorf("got %q", got)
	}
}

func TestClient_modes(t *testing.T) {
	ts := serve(t, configured, via)
	for mode, want := range map[h2c.Mode]string{
		h2c.ModeAuto:           "HTTP/2.0 200 GET / upgrade ",
		h2c.ModeUpgrade:        "HTTP/2.0 200 GET / upgrade ",
		h2c.ModePriorKnowledge: "HTTP/2.0 200 GET / prior-knowledge ",
		h2c.ModeHTTP1:          "HTTP/1.1 200 GET / http/1.1 ",
	} {
		tr := transport(t, ts.l, &h2c.Transport{Mode: mode})
		for range 2 {
			if got := fetch(t, tr, "GET", "/", ""); got != want {
				t.Errorf("mode %d: got %q, want %q", mode, got, want)
			}
		}
	}
}

// The suite of handlers, through a Transport.
func TestClient_suite(t *testing.T) {
	for _, tt := range suite {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "GET"
			}
			if tt.path == "" {
				tt.path = "/"
			}
			ts := serve(t, configured, tt.handler)
			want := overHTTP(t, ts.httpClient(false), tt)
			for name, tr := range map[string]*h2c.Transport{
				"auto":            {MaxUpgradeBodyBytes: 1000},
				"prior knowledge": {Mode: h2c.ModePriorKnowledge},
				"http1":           {Mode: h2c.ModeHTTP1},
			} {
				tr.Base = &http.Transport{DisableCompression: true}
				client := &http.Client{Transport: transport(t, ts.l, tr)}
				for _, stream := range []string{"first", "second"} {
					if diff := cmp.Diff(want, overHTTP(t, client, tt)); diff != "" {
						t.Errorf("%s, %s (-want +got)\n%s", name, stream, diff)
					}
				}
			}
		})
	}
}

func TestClient_C04_coldStart(t *testing.T) {
	const callers = 200
	run := func(t *testing.T, ts *server, tr *h2c.Transport) map[string]int {
		var mu sync.Mutex
		got := make(map[string]int)
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				r := fetch(t, tr, "GET", "/", "")
				mu.Lock()
				defer mu.Unlock()
				got[r]++
			})
		}
		wg.Wait()
		return got
	}
	t.Run("accepted", func(t *testing.T) {
		var dials atomic.Int64
		ts := serve(t, configured, via)
		tr := transport(t, ts.l, new(h2c.Transport))
		dial := tr.Base.DialContext
		tr.Base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dials.Add(1)
			return dial(ctx, network, addr)
		}
		if diff := cmp.Diff(map[string]int{"HTTP/2.0 200 GET / upgrade ": callers}, run(t, ts, tr)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if n := dials.Load(); n != 1 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("declined", func(t *testing.T) {
		ts := serve(t, configured, via, withH2C(&h2c.Server{DisableUpgrade: true}))
		tr := transport(t, ts.l, new(h2c.Transport))
		if diff := cmp.Diff(map[string]int{"HTTP/1.1 200 GET / http/1.1 ": callers}, run(t, ts, tr)); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		ts.wantDeclined(h2c.ReasonDisabled, 1)
		if n := tr.Stats().Declined[h2c.ReasonRefused]; n != 1 {
			t.Errorf("%d offers declined", n)
		}
	})
}

// One round trip after the connection is there; a request that needs an offer of its own
// first, two.
func TestClient_roundTrips(t *testing.T) {
	for _, tt := range []struct {
		method, body string
		trips        int
	}{{"GET", "", 1}, {"POST", "body", 2}} {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, configured, via, withNetwork(memnet.Options{Latency: 50 * time.Millisecond}))
			tr := transport(t, ts.l, new(h2c.Transport))
			start := time.Now()
			fetch(t, tr, tt.method, "/", tt.body)
			if took, want := time.Since(start), time.Duration(tt.trips)*100*time.Millisecond; took != want {
				t.Errorf("%s: %v, want %v", tt.method, took, want)
			}
			start = time.Now()
			fetch(t, tr, tt.method, "/", tt.body)
			if took := time.Since(start); took != 100*time.Millisecond {
				t.Errorf("second %s: %v, want 100ms", tt.method, took)
			}
			tr.Close()
			time.Sleep(time.Second)
		})
	}
}

// C-03: what http.Client and net/http's Transport do for their users.
func TestClient_C03_asNetHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/gzip", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		zw := gzip.NewWriter(w)
		io.WriteString(zw, "unpacked")
		zw.Close()
	})
	mux.HandleFunc("/from", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		http.Redirect(w, r, "/to", http.StatusSeeOther)
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Method, r.Header["Cookie"])
	})
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/expect", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprint(w, string(body))
	})
	ts := serve(t, configured, mux)
	for _, first := range []bool{true, false} {
		dial := func() *http.Client {
			jar, _ := cookiejar.New(nil)
			tr := transport(t, ts.l, &h2c.Transport{Base: &http.Transport{ExpectContinueTimeout: time.Minute}})
			if !first {
				fetch(t, tr, "GET", "/to", "")
			}
			return &http.Client{Transport: tr, Jar: jar}
		}
		read := func(resp *http.Response, err error) string {
			if err != nil {
				t.Error(err)
				return ""
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			return fmt.Sprintf("%d %v %s", resp.ProtoMajor, resp.Uncompressed, body)
		}
		if got := read(dial().Get("http://example.com/gzip")); got != "2 true unpacked" {
			t.Errorf("gzip: %q", got)
		}
		if got := read(dial().Post("http://example.com/from", "text/plain", strings.NewReader("x"))); got != "2 false GET[a=b]" {
			t.Errorf("redirect: %q", got)
		}
		req, _ := http.NewRequest("PUT", "http://example.com/expect", strings.NewReader("expected"))
		req.Header.Set("Expect", "100-continue")
		if got := read(dial().Do(req)); got != "2 false expected" {
			t.Errorf("expect: %q", got)
		}
		client := dial()
		client.Timeout = 100 * time.Millisecond
		var ne net.Error
		if resp, err := client.Get("http://example.com/slow"); !errors.As(err, &ne) || !ne.Timeout() {
			if err == nil {
				resp.Body.Close()
			}
			t.Errorf("timeout: %v", err)
		}
	}
}
