package engine

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
)

// A request of HTTP/2 has no field that concerns the connection, and its pseudo-header fields make
// sense. What the handler has of the others.
func TestRequestFields(t *testing.T) {
	const malformed = "RST_STREAM 1 PROTOCOL_ERROR"
	plain := []string{":method", "GET", ":scheme", "http", ":path", "/"}
	with := func(fields ...string) []string { return append(slices.Clone(plain), fields...) }
	of := func(method string, fields ...string) []string { return append([]string{":method", method}, fields...) }
	for _, tt := range []struct {
		fields []string
		want   string // method, URI, host and fields, or else what the client gets
	}{
		{with(), "GET / \"\" map[]"},
		{with("connection", "close"), malformed},
		{with("connection", ""), malformed},
		{with("proxy-connection", "close"), malformed},
		{with("keep-alive", "1"), malformed},
		{with("transfer-encoding", "chunked"), malformed},
		{with("transfer-encoding", "identity"), malformed},
		{with("upgrade", "h2c"), malformed},
		{with("te", "gzip"), malformed},
		{with("te", "trailers, gzip"), malformed},
		{with("te", "trailers"), "GET / \"\" map[Te:[trailers]]"},
		{with(":authority", "a:1"), malformed + "!"},
		{of("GET", ":authority", "a:1", ":scheme", "http", ":path", "/"), "GET / \"a:1\" map[]"},
		{of("GET", ":authority", "u@a", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "a b", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "a\tb", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "a\x00", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "a\"", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "\xff", ":scheme", "http", ":path", "/"), malformed},
		{of("GET", ":authority", "[::1]:8080", ":scheme", "http", ":path", "/"), "GET / \"[::1]:8080\" map[]"},
		{of("GET", ":authority", "a", ":scheme", "http", ":path", "/", "host", "b"), "GET / \"a\" map[]"},
		{with("host", "b"), "GET / \"b\" map[]"},
		{with("host", "b", "host", "c"), "GET / \"b\" map[]"},
		{with("host", "u@b"), malformed},
		{with("host", "b d"), malformed},
		{of("OPTIONS", ":scheme", "http", ":path", "*"), "OPTIONS * \"\" map[]"},
		{of("GET", ":scheme", "http", ":path", "**"), malformed},
		{of("GET", ":scheme", "http", ":path", "a"), malformed},
		{of("GET", ":scheme", "http", ":path", "http://a/"), malformed},
		{of("GET", ":scheme", "http", ":path", "?"), malformed},
		{of("GET", ":scheme", "http", ":path", "/%zz"), malformed},
		{of("GET", ":scheme", "ftp", ":path", "/"), malformed},
		{of("GET", ":scheme", "", ":path", "/"), malformed},
		{of("GET", ":scheme", "https", ":path", "/"), "GET / \"\" map[]"},
		{of("", ":scheme", "http", ":path", "/"), malformed},
		{of("G T", ":scheme", "http", ":path", "/"), malformed},
		{of("CONNECT", ":authority", "a:1"), "CONNECT a:1 \"a:1\" map[]"},
		{of("CONNECT"), malformed},
		{of("CONNECT", ":authority", ""), malformed},
		{of("CONNECT", "host", "a:1"), malformed},
		{of("CONNECT", ":authority", "a:1", ":scheme", "http"), malformed},
		{of("CONNECT", ":authority", "a:1", ":path", "/"), malformed},
		{of("CONNECT", ":authority", "u@a:1"), malformed},
		{of("CONNECT", ":authority", "a:1", ":scheme", "http", ":path", "/", ":protocol", "websocket"), malformed},
		{of("GET", ":scheme", "http", ":path", "/", ":protocol", "websocket"), malformed},
		{with("x-a", "1", "x-b", "2", "x-a", "3"), "GET / \"\" map[X-A:[1 3] X-B:[2]]"},
		{with("cookie", "a=1", "cookie", "b=2"), "GET / \"\" map[Cookie:[a=1; b=2]]"},
		{with("expect", "100-continue"), "GET / \"\" map[]"},
		{with("trailer", "x-a"), "GET / \"\" map[]"},
		{with("content-length", "0", "content-length", "0"), "GET / \"\" map[Content-Length:[0]]"},
		{with("content-length", "0", "content-length", "1"), malformed},
		{with("content-length", "+0"), malformed},
		{with("x-a", "a\x00"), malformed},
		{with("x-a", "a\t"), malformed},
		{with("x a", "1"), malformed},
		{with("", "1"), malformed},
		{with("x\xe9", "1"), malformed},
	} {
		want := strings.TrimSuffix(tt.want, "!")
		fields := tt.fields
		if want != tt.want { // among the regular fields
			fields = append([]string{":method", "GET", ":scheme", "http", ":path", "/", "x-a", "1"}, fields[6:]...)
		}
		synctest.Test(t, func(t *testing.T) {
			var got string
			c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
				got = fmt.Sprintf("%s %s %q %v", r.Method, r.RequestURI, r.Host, r.Header)
			})
			c.Write(frame(http2.FrameHeaders, endBoth, 1, block(fields...)))
			if answer := c.take(); answer != "HEADERS 1 200 END" {
				got += answer
			}
			if got != want {
				t.Errorf("%q: %s, want %s", fields, got, want)
			}
		})
	}
}

// The trailers of a request that a handler has, and those that are wrong.
func TestRequestTrailers(t *testing.T) {
	const malformed = "RST_STREAM 1 PROTOCOL_ERROR"
	long := strings.Repeat("x", 900)
	for _, tt := range []struct {
		name    string
		fields  []string // of the request, whose body is "body"
		trailer []string
		want    string // what the handler has at the end, or else what the client gets
	}{
		{"declared", []string{"trailer", "x-a, X-B"}, []string{"x-a", "1"}, "map[X-A:[1] X-B:[]]"},
		{"not declared", []string{"trailer", "x-a"}, []string{"x-a", "1", "x-b", "2"}, "map[X-A:[1]]"},
		{"none declared", nil, []string{"x-a", "1"}, "map[]"},
		{"forbidden", []string{"trailer", "Authorization, Host, Expect, X-A"},
			[]string{"authorization", "x", "host", "b", "expect", "100-continue", "x-a", "1"}, "map[Authorization:[] Expect:[] Host:[] X-A:[1]]"},
		{"forbidden to declare", []string{"trailer", "Content-Length, Transfer-Encoding, Trailer,, X-A"},
			[]string{"content-length", "4", "trailer", "x", "x-a", "1"}, "map[X-A:[1]]"},
		{"of the connection", []string{"trailer", "connection"}, []string{"connection", "close"}, malformed},
		{"name", nil, []string{"X-A", "1"}, malformed},
		{"value", nil, []string{"x-a", "a\nb"}, malformed},
		{"pseudo", nil, []string{":path", "/"}, malformed},
		{"too large", nil, []string{"x-a", long, "x-b", long}, "RST_STREAM 1 ENHANCE_YOUR_CALM"},
		{"Content-Length", []string{"content-length", "4"}, []string{"x-a", "1"}, "map[]"},
		{"body too short", []string{"content-length", "5"}, []string{"x-a", "1"}, malformed},
		{"body too short, no trailers", []string{"content-length", "5"}, nil, malformed},
		{"body too long", []string{"content-length", "3"}, nil, malformed},
	} {
		synctest.Test(t, func(t *testing.T) {
			var got string
			c := dialWatch(t, &http.Server{MaxHeaderBytes: 1000}, func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err == nil && string(b) == "body" {
					got = fmt.Sprint(r.Trailer)
				}
			})
			c.Write(join(post(1, tt.fields...), frame(http2.FrameData, 0, 1, []byte("body"))))
			if tt.trailer != nil {
				c.Write(frame(http2.FrameHeaders, endBoth, 1, block(tt.trailer...)))
			} else {
				c.Write(frame(http2.FrameData, http2.FlagDataEndStream, 1, nil))
			}
			if answer := c.take(); answer != "HEADERS 1 200 END" {
				got += answer
			}
			if got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		})
	}
}

// The fields of a response, and its trailers, are those that HTTP/2 may have.
func TestResponseFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		method string
		fn     http.HandlerFunc
		want   string
	}{
		{"of the connection", "GET", func(w http.ResponseWriter, r *http.Request) {
			for _, name := range []string{"Connection", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Keep-Alive"} {
				w.Header().Set(name, "x")
			}
		}, "HEADERS 1 200 END"},
		{"wrong", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header()["X A"] = []string{"1"}
			w.Header()["X-A"] = []string{"a\n", "b"}
		}, "HEADERS 1 200 x-a=b END"},
		{"trailers", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-A, Authorization, Host")
			io.WriteString(w, "x")
			w.Header().Set("X-A", "1")
			w.Header().Set("Authorization", "1")
			w.Header().Set("Host", "1")
			w.Header().Set("X-B", "1")
		}, "HEADERS 1 200 trailer=X-A, Authorization, Host; DATA 1 1; HEADERS 1 x-a=1 END"},
		{"trailers with a prefix", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.Header().Set(http.TrailerPrefix+"X-A", "1")
			w.Header().Set(http.TrailerPrefix+"Host", "1")
		}, "HEADERS 1 200; DATA 1 1; HEADERS 1 x-a=1 END"},
		{"HEAD", "HEAD", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "x") }, "HEADERS 1 200 END"},
		{"HEAD, flushed", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
			io.WriteString(w, strings.Repeat("x", 10_000))
		}, "HEADERS 1 200 END"},
		{"HEAD, large", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 10_000))
			io.WriteString(w, strings.Repeat("x", 10_000))
		}, "HEADERS 1 200 END"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{}, tt.fn)
			c.Write(frame(http2.FrameHeaders, endBoth, 1, block(":method", tt.method, ":scheme", "http", ":path", "/")))
			if got := c.take(); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
			}
		})
	}
}
