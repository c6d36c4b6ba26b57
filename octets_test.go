package h2c_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// Random requests that are no upgrades are answered octet for octet as by net/http alone, however the
// client cuts them.
func TestOtherRequests_U28_sameOctets(t *testing.T) {
	const scripts = 150
	seed := rand.Uint64()
	var want []string
	synctest.Test(t, func(t *testing.T) {
		l := memnet.Listen(memnet.Options{})
		hs := &http.Server{Handler: http.HandlerFunc(tellRequest), ErrorLog: log.New(io.Discard, "", 0), MaxHeaderBytes: 20_000}
		go hs.Serve(l)
		defer hs.Close()
		for i := range scripts {
			want = append(want, playHTTP1(t, l, seed, i))
		}
		time.Sleep(time.Minute) // net/http waits a moment before it closes
	})
	eachRole(t, func(t *testing.T, role role) {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, role, http.HandlerFunc(tellRequest), withHTTP(func(hs *http.Server) { hs.MaxHeaderBytes = 20_000 }))
			for i := range scripts {
				if got := playHTTP1(t, ts.l, seed, i); got != want[i] {
					t.Errorf("seed %d, script %d:\n%q\ngot  %q\nwant %q", seed, i, joinParts(seed, i), got, want[i])
				}
			}
			time.Sleep(time.Minute)
			if got := ts.s.Stats(); got.Upgraded+got.PriorKnowledge > 0 || len(got.Failed) > 0 {
				t.Errorf("%+v", got)
			}
		})
	})
	if n := len(slices.Compact(slices.Sorted(slices.Values(want)))); n < scripts/3 {
		t.Errorf("only %d outcomes", n)
	}
}

// tellRequest answers with what it sees of a request, the offer apart, which is removed from some.
func tellRequest(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/early":
		io.WriteString(w, "early")
		return
	case "/close":
		w.Header().Set("Connection", "close")
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/103":
		w.WriteHeader(http.StatusEarlyHints)
	case "/204":
		w.WriteHeader(http.StatusNoContent)
	case "/trailer":
		w.Header().Set("Trailer", "X-T")
		w.Header().Set("X-T", "v")
	}
	body, err := io.ReadAll(r.Body)
	header := r.Header.Clone()
	for _, name := range []string{"Connection", "Upgrade", "Http2-Settings"} {
		header.Del(name)
	}
	fmt.Fprintln(w, r.Method, r.RequestURI, r.Proto, r.Host, r.ContentLength, r.TransferEncoding, r.Close, header)
	fmt.Fprintf(w, "%q %v %v\n", body, err, r.Trailer)
}

// joinParts returns what a script sends.
func joinParts(seed uint64, i int) string {
	return string(bytes.Join(partsHTTP1(rand.New(rand.NewPCG(seed, uint64(i)))), nil))
}

// partsHTTP1 returns some requests, in parts.
func partsHTTP1(r *rand.Rand) (parts [][]byte) {
	var b bytes.Buffer
	for range 1 + r.IntN(3) {
		writeHTTP1(&b, r)
	}
	for all := b.Bytes(); len(all) > 0; {
		n := len(all)
		if r.IntN(4) > 0 && len(parts) < 60 {
			n = 1 + r.IntN(min(n, oneOf(r, 1, 3, 20, 200, 10_000)))
		}
		parts = append(parts, all[:n])
		all = all[n:]
	}
	return parts
}

func oneOf[T any](r *rand.Rand, of ...T) T { return of[r.IntN(len(of))] }

// writeHTTP1 writes a request that may be anything but an upgrade that is accepted.
func writeHTTP1(b *bytes.Buffer, r *rand.Rand) {
	method := oneOf(r, "GET", "GET", "POST", "PUT", "PATCH", "PRI", "P", "PR", "PROPFIND", "HEAD", "OPTIONS", "DELETE", "CONNECT")
	target := oneOf(r, "/", "/", "/a?b=c", "/early", "/close", "/abort", "/103", "/204", "/trailer", "*", "http://x/abs", "//x/y", "/%zz", "x:80")
	proto := oneOf(r, "1.1", "1.1", "1.1", "1.1", "1.0", "1.2", "2.1")
	fmt.Fprintf(b, "%s %s HTTP/%s\r\n", method, target, proto)
	line := func(chance int, of ...string) {
		if r.IntN(chance) == 0 {
			b.WriteString(oneOf(r, of...) + "\r\n")
		}
	}
	if r.IntN(10) > 0 {
		b.WriteString("Host: x\r\n")
	}
	line(3, "Connection: close", "Connection: keep-alive", "Connection: Upgrade", "Connection: Upgrade, HTTP2-Settings", "Connection: close, Upgrade, HTTP2-Settings")
	if r.IntN(3) == 0 {
		line(1, "Upgrade: websocket", "Upgrade: h2c", "Upgrade: websocket, h2c", "Upgrade: h2c-14")
		line(2, "HTTP2-Settings: AAM", "HTTP2-Settings: AAMAAABkAAQAAP__=", "HTTP2-Settings:\r\nHTTP2-Settings:")
	}
	line(3, "X-A: 1", "x-a:2 ", "Cookie: a=b", "X: h2c", "TE: trailers", "X-Fold: a\r\n b", "Bad Name: x", "Expect: 100-continue", "Expect: foo", "X-Big: "+strings.Repeat("y", oneOf(r, 4000, 17_000, 40_000)))
	body := strings.Repeat(oneOf(r, "b", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2c"), r.IntN(20))
	switch r.IntN(6) {
	case 0, 1:
		fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	case 2:
		fmt.Fprintf(b, "Transfer-Encoding: chunked\r\nTrailer: X-Tr\r\n\r\n%x\r\n%s\r\n0\r\nX-Tr: 1\r\n\r\n", len(body)+1, body+".")
	case 3:
		line(1, "Content-Length: x", "Content-Length: 3\r\nContent-Length: 4", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked\r\nContent-Length: 3")
		b.WriteString("\r\n")
	default:
		b.WriteString("\r\n")
	}
}

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

// playHTTP1 returns what a server answers to a script.
func playHTTP1(t *testing.T, l *memnet.Listener, seed uint64, i int) string {
	r := rand.New(rand.NewPCG(seed, uint64(i)))
	nc, err := l.Dial()
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	answer := make(chan []byte, 1)
	go func() {
		b, _ := io.ReadAll(nc)
		answer <- b
	}()
	for _, part := range partsHTTP1(r) {
		nc.Write(part)
		synctest.Wait()
		time.Sleep(time.Duration(r.IntN(3)) * time.Millisecond)
	}
	nc.(interface{ CloseWrite() error }).CloseWrite()
	return dateLine.ReplaceAllString(string(<-answer), "")
}
