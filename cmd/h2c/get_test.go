package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed78dc1b7f/h2c"
)

// got is what a run of h2c get did.
type got struct {
	status         int
	stdout, stderr string
}

// runGet runs h2c get.
func runGet(t *testing.T, args ...string) got {
	t.Helper()
	return runGetWith(t, nil, args...)
}

func runGetWith(t *testing.T, stdin io.Reader, args ...string) got {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var o getOptions
	if err := o.parse(o.flags(), args); err != nil {
		t.Fatalf("h2c get %q: %v", args, err)
	}
	var stdout, stderr bytes.Buffer
	status := o.run(ctx, stdin, &stdout, &stderr)
	return got{status, stdout.String(), stderr.String()}
}

// want checks the exit status, and that stderr is empty unless there was -v or an error.
func (g got) want(t *testing.T, status int) got {
	t.Helper()
	if g.status != status {
		t.Fatalf("exit status %d, want %d\n%s", g.status, status, g.stderr)
	}
	return g
}

func (g got) wantStdout(t *testing.T, want string) {
	t.Helper()
	if g.stdout != want {
		t.Errorf("stdout %.200q, want %.200q", g.stdout, want)
	}
}

// wantStderr checks that stderr has texts, in that order.
func (g got) wantStderr(t *testing.T, texts ...string) {
	t.Helper()
	rest := g.stderr
	for _, text := range texts {
		_, after, ok := strings.Cut(rest, text)
		if !ok {
			t.Fatalf("no %q after the texts before it, %q, in:\n%s", text, texts, g.stderr)
		}
		rest = after
	}
}

// records returns the lines of -json.
func (g got) records(t *testing.T) []record {
	t.Helper()
	var all []record
	for line := range strings.Lines(g.stdout) {
		var r record
		dec := json.NewDecoder(strings.NewReader(line))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, r)
	}
	return all
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// serveHTTP serves a handler in both versions of HTTP, or in HTTP/1.1 alone.
func serveHTTP(t *testing.T, http2 bool, h http.Handler) (url string) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	if http2 {
		if err := h2c.ConfigureServer(s.Config, new(h2c.Server)); err != nil {
			t.Fatal(err)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL
}

func TestGetVerboseUpgrade(t *testing.T) {
	s := start(t)
	g := runGet(t, "-mode", "upgrade", "-v", s.url+"/bytes/7", s.url+"/early", s.url+"/trailers").want(t, exitOK)
	g.wantStdout(t, string(pattern[:7])+"103 came before this.\nThe trailers have the SHA-256 of this body.\n")
	g.wantStderr(t, "#1 connected to ", "#1 send HTTP/1.1 request\n", "GET /bytes/7 HTTP/1.1\n", "Upgrade: h2c\n", "; [ENABLE_PUSH = 0]\n",
		"#1 recv HTTP/1.1 response\n", "HTTP/1.1 101 Switching Protocols\n",
		"#1 recv HEADERS frame <", "stream_id=1>\n", ":status: 200\n", "content-length: 7\n", "#1 closed\n")
	g.wantStderr(t, "#1 send client preface\n", "#1 send SETTINGS frame <", "#1 send HEADERS frame <", "stream_id=3>\n", "#1 closed\n")
	g.wantStderr(t, "#1 send HEADERS frame <", "stream_id=5>\n", ":method: GET\n")
	g.wantStderr(t, "#1 recv DATA frame <length=7, flags=0x0", "stream_id=1>")
	g.wantStderr(t, ":status: 103\n", ":status: 200\n")
	g.wantStderr(t, "; END_STREAM | END_HEADERS\n", "x-checksum: ")
	if strings.Contains(g.stderr, "#2") {
		t.Errorf("more than one connection:\n%s", g.stderr)
	}
}

func TestGetVerbosePriorKnowledge(t *testing.T) {
	s := start(t)
	g := runGet(t, "-mode", "prior-knowledge", "-v", s.url+"/bytes/7").want(t, exitOK)
	g.wantStderr(t, "#1 connected to ", "#1 send client preface\n", "#1 send SETTINGS frame <", "#1 send HEADERS frame <", "stream_id=1>\n",
		":path: /bytes/7\n", "#1 recv HEADERS frame <", "#1 recv DATA frame <length=7", "#1 closed\n")
	if strings.Contains(g.stderr, "HTTP/1.1") {
		t.Errorf("HTTP/1.1 in:\n%s", g.stderr)
	}
}

func TestGetVerboseHTTP1(t *testing.T) {
	s := start(t)
	g := runGet(t, "-mode", "http1", "-v", s.url+"/trailers").want(t, exitOK)
	g.wantStderr(t, "#1 send HTTP/1.1 request\n", "GET /trailers HTTP/1.1\n", "#1 recv HTTP/1.1 response\n", "HTTP/1.1 200 OK\n",
		"#1 recv body of 44 octets, in chunks\n", "X-Checksum: ", "#1 closed\n")
	if strings.Contains(g.stderr, "Upgrade") {
		t.Errorf("an offer in:\n%s", g.stderr)
	}
}

// A server that speaks HTTP/1.1 alone answers the request that has the offer, once.
func TestGetDeclined(t *testing.T) {
	for _, mode := range []string{"auto", "upgrade"} {
		var requests, offers atomic.Int64
		url := serveHTTP(t, false, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests.Add(1)
			if r.Header.Get("Upgrade") == "h2c" {
				offers.Add(1)
			}
			io.WriteString(w, r.Proto+r.URL.Path)
		}))
		g := runGet(t, "-v", "-mode", mode, url+"/1", url+"/2", url+"/3").want(t, exitOK)
		g.wantStdout(t, "HTTP/1.1/1HTTP/1.1/2HTTP/1.1/3")
		g.wantStderr(t, "send HTTP/1.1 request\n", "GET /1 HTTP/1.1\n", "Upgrade: h2c\n", "recv HTTP/1.1 response\n", "200 OK\n", "recv body of 10 octets\n")
		if requests.Load() != 3 || offers.Load() != 1 {
			t.Errorf("-mode %s: %d requests, %d offers, want 3 and 1", mode, requests.Load(), offers.Load())
		}
	}
}

// Requests to an origin are in progress at once, and the bodies come in order.
func TestGetParallel(t *testing.T) {
	for _, mode := range []string{"auto", "upgrade", "prior-knowledge", "http1"} {
		t.Run(mode, func(t *testing.T) {
			var mu sync.Mutex
			remotes := make(map[string]bool)
			last := make(chan struct{})
			url := serveHTTP(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				remotes[r.RemoteAddr] = true
				mu.Unlock()
				if r.URL.Path == "/4" {
					close(last)
				}
				select {
				case <-last: // the last one is answered first
				case <-r.Context().Done():
				}
				io.WriteString(w, r.URL.Path)
			}))
			runGet(t, "-mode", mode, url+"/1", url+"/2", url+"/3", url+"/4").want(t, exitOK).wantStdout(t, "/1/2/3/4")
			if conns := len(remotes); mode != "http1" && conns != 1 {
				t.Errorf("%d connections, want 1", conns)
			}
		})
	}
}

// More requests than may be in progress at once, with bodies larger than the windows.
func TestGetMany(t *testing.T) {
	s := start(t)
	const n, size = maxParallel + 20, 100_000
	g := runGet(t, slices.Repeat([]string{s.url + "/bytes/100000"}, n)...).want(t, exitOK)
	g.wantStdout(t, strings.Repeat(string(pattern[:size]), n))
	g = runGet(t, s.url+"/bytes/9000000", s.url+"/bytes/9000000").want(t, exitOK)
	if len(g.stdout) != 18_000_000 {
		t.Errorf("%d octets", len(g.stdout))
	}
}

func TestGetJSON(t *testing.T) {
	s := start(t)
	for mode, want := range map[string]record{
		"upgrade":         {Proto: "HTTP/2.0", Via: h2c.ViaUpgrade, Stream: 1},
		"prior-knowledge": {Proto: "HTTP/2.0", Via: h2c.ViaPriorKnowledge, Stream: 1},
		"http1":           {Proto: "HTTP/1.1", Via: h2c.ViaHTTP1},
	} {
		g := runGet(t, "-json", "-mode", mode, s.url+"/bytes/1000", s.url+"/status/404", s.url+"/bytes/0").want(t, exitOK)
		records := g.records(t)
		if len(records) != 3 {
			t.Fatalf("%d lines, want 3", len(records))
		}
		streams := []uint32{}
		for i, r := range records {
			if tm := r.Timings; tm.FirstByte == nil || tm.Head == nil || tm.Total == nil || *tm.FirstByte > *tm.Head || *tm.Head > *tm.Total || *tm.FirstByte <= 0 {
				t.Errorf("%s: timings of %s", mode, g.stdout)
			}
			if i == 0 && mode != "http1" && r.Timings.Connect == nil || i > 0 && mode != "http1" && r.Timings.Connect != nil {
				t.Errorf("%s: connect of %s", mode, g.stdout)
			}
			streams = append(streams, r.Stream)
			wantRecord := want
			wantRecord.URL, wantRecord.Timings = s.url+[]string{"/bytes/1000", "/status/404", "/bytes/0"}[i], r.Timings
			wantRecord.Status, wantRecord.Bytes = []int{200, 404, 200}[i], []int64{1000, 14, 0}[i]
			wantRecord.SHA256 = sumOf([][]byte{pattern[:1000], []byte("404 Not Found\n"), nil}[i])
			if i > 0 {
				wantRecord.Stream = r.Stream
			}
			if r != wantRecord {
				t.Errorf("%s: got %+v, want %+v", mode, r, wantRecord)
			}
		}
		slices.Sort(streams)
		if want.Stream == 1 && !slices.Equal(streams, []uint32{1, 3, 5}) {
			t.Errorf("%s: streams %d", mode, streams)
		}
	}
}

// A response that breaks off is an error that says what there was.
func TestGetBrokenOff(t *testing.T) {
	url := serveHTTP(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "10")
		io.WriteString(w, "half")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	for _, mode := range []string{"upgrade", "prior-knowledge", "http1"} {
		g := runGet(t, "-mode", mode, url).want(t, exitError)
		g.wantStdout(t, "half")
		g.wantStderr(t, "h2c get: "+url+": ")
		r := runGet(t, "-json", "-mode", mode, url).want(t, exitError).records(t)
		if len(r) != 1 || r[0].Error == "" || r[0].Status != 200 || r[0].Bytes != 4 || r[0].SHA256 != "" {
			t.Errorf("-mode %s: %+v", mode, r)
		}
	}
}

func TestGetRefusedConnection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	url := "http://" + l.Addr().String()
	for _, mode := range []string{"auto", "upgrade", "prior-knowledge", "http1"} {
		g := runGet(t, "-v", "-mode", mode, url, url+"/other").want(t, exitError)
		g.wantStdout(t, "")
		g.wantStderr(t, "#1 connect to ", "h2c get: "+url+": ", "connection refused\n", "h2c get: "+url+"/other: ")
		r := runGet(t, "-json", "-mode", mode, url).want(t, exitError).records(t)
		if len(r) != 1 || r[0].Error == "" || r[0].Status != 0 {
			t.Errorf("-mode %s: %+v", mode, r)
		}
	}
}

func TestGetFail(t *testing.T) {
	s := start(t)
	for _, mode := range []string{"upgrade", "prior-knowledge", "http1"} {
		g := runGet(t, "-f", "-i", "-mode", mode, s.url+"/status/503", s.url+"/bytes/1").want(t, exitHTTP)
		g.wantStderr(t, "h2c get: "+s.url+"/status/503: 503 Service Unavailable\n")
		if strings.Contains(g.stdout, "503") || !strings.Contains(g.stdout, "200 OK") {
			t.Errorf("stdout %q", g.stdout)
		}
		runGet(t, "-f", "-mode", mode, s.url+"/status/399").want(t, exitOK)
		runGet(t, "-f", "-mode", mode, s.url+"/status/404", "http://127.0.0.1:1").want(t, exitError)
		runGet(t, "-mode", mode, s.url+"/status/404").want(t, exitOK).wantStdout(t, "404 Not Found\n")
		g = runGet(t, "-f", "-json", "-mode", mode, s.url+"/status/404").want(t, exitHTTP)
		if r := g.records(t); len(r) != 1 || r[0].Status != 404 || r[0].Bytes != 14 {
			t.Errorf("-mode %s: %+v", mode, r)
		}
	}
}

// echoed is the report that /echo gives.
type echoed struct {
	report
	BodySHA256 string `json:"body_sha256"`
}

func (g got) echoed(t *testing.T) echoed {
	t.Helper()
	var e echoed
	if err := json.Unmarshal([]byte(g.stdout), &e); err != nil {
		t.Fatalf("%v in %q, stderr %q", err, g.stdout, g.stderr)
	}
	return e
}

func TestGetData(t *testing.T) {
	s := start(t)
	dir := t.TempDir()
	big := bytes.Repeat(pattern, 20)
	for name, b := range map[string][]byte{"big": big, "empty": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []string{"auto", "upgrade", "prior-knowledge", "http1"} {
		for _, test := range []struct {
			data, method string
			body         []byte
		}{
			{"a=b", "", []byte("a=b")},
			{"", "", nil},
			{"@" + filepath.Join(dir, "big"), "PUT", big},
			{"@" + filepath.Join(dir, "empty"), "", nil},
			{"-", "", big[:100_000]},
		} {
			args := []string{"-mode", mode, "-d", test.data, s.url + "/echo"}
			if test.method != "" {
				args = append(args, "-X", test.method)
			}
			e := runGetWith(t, bytes.NewReader(big[:100_000]), args...).want(t, exitOK).echoed(t)
			if e.Method != cmp.Or(test.method, "POST") || e.BodySHA256 != sumOf(test.body) || e.BodyBytes != int64(len(test.body)) {
				t.Errorf("%q: %+v", args, e)
			}
			if got := e.Headers.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
				t.Errorf("%q: Content-Type %q", args, got)
			}
		}
	}
	runGet(t, "-d", "@"+filepath.Join(dir, "missing"), s.url).want(t, exitError).wantStderr(t, "missing")
}

func TestGetHeader(t *testing.T) {
	s := start(t)
	for _, mode := range []string{"upgrade", "prior-knowledge", "http1"} {
		e := runGet(t, "-mode", mode, s.url+"/echo", "-H", "Host: example.com", "-H", "x-a:1", "-H", "X-A:  2 ",
			"-H", "User-Agent:", "-H", "Accept: text/plain").want(t, exitOK).echoed(t)
		want := http.Header{"X-A": {"1", "2"}, "Accept": {"text/plain"}}
		if e.Host != "example.com" || fmt.Sprint(e.Headers) != fmt.Sprint(want) {
			t.Errorf("-mode %s: host %s, header %v, want %v", mode, e.Host, e.Headers, want)
		}
		e = runGet(t, "-mode", mode, s.url+"/echo", "-d", "{}", "-H", "Content-Type: application/json").want(t, exitOK).echoed(t)
		if got := e.Headers["Content-Type"]; !slices.Equal(got, []string{"application/json"}) {
			t.Errorf("-mode %s: Content-Type %q", mode, got)
		}
	}
}

func TestGetHeads(t *testing.T) {
	s := start(t)
	for mode, proto := range map[string]string{"upgrade": "HTTP/2.0", "prior-knowledge": "HTTP/2.0", "http1": "HTTP/1.1"} {
		g := runGet(t, "-I", "-mode", mode, s.url+"/bytes/12345").want(t, exitOK)
		if !strings.HasPrefix(g.stdout, proto+" 200 OK\nCache-Control: no-store\nContent-Length: 12345\n") || !strings.HasSuffix(g.stdout, "nosniff\n\n") {
			t.Errorf("-I -mode %s: %q", mode, g.stdout)
		}
		g = runGet(t, "-i", "-mode", mode, s.url+"/early").want(t, exitOK)
		heads := strings.Split(g.stdout, "\n\n")
		if len(heads) != 3 || !strings.HasPrefix(heads[0], proto+" 103 Early Hints\n") || !strings.HasPrefix(heads[1], proto+" 200 OK\n") || heads[2] != "103 came before this.\n" {
			t.Errorf("-i -mode %s: %q", mode, g.stdout)
		}
	}
}
