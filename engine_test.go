package h2c_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

// A record is what a handler has seen.
type record struct {
	mu    sync.Mutex
	lines []string
}

func (r *record) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// An equalCase is a handler and a request whose outcome must be the same with both engines.
type equalCase struct {
	name     string
	fields   []string // of the request, apart from the pseudo-header
	method   string
	path     string
	body     []string // DATA frames
	trailers []string
	hold     bool // the client does not end the request
	handler  func(r *record, w http.ResponseWriter, req *http.Request)
}

var equalCases = []equalCase{
	{name: "declared trailers", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "X-A, x-b, Content-Length")
		w.Header().Set("X-A", "early")
		io.WriteString(w, "body")
		w.Header().Set("X-A", "late")
		w.Header()["X-B"] = []string{"1", "2"}
	}},
	{name: "declared trailers that are not set", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "X-A")
		io.WriteString(w, "body")
	}},
	{name: "trailers without a body", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "X-A")
		w.WriteHeader(200)
		w.Header().Set("X-A", "1")
	}},
	{name: "undeclared trailers", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set(http.TrailerPrefix+"x-early", "0")
		io.WriteString(w, "body")
		w.Header().Set(http.TrailerPrefix+"X-Late", "1")
		w.Header().Set(http.TrailerPrefix+"Content-Length", "1")
		w.Header().Set("X-Ignored", "2")
	}},
	{name: "trailers and HEAD", method: "HEAD", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Trailer", "X-A")
		w.WriteHeader(200)
		w.Header().Set("X-A", "1")
	}},
	{name: "1xx", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Link", "</a>")
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(103)
		w.WriteHeader(102)
		w.Header().Del("Link")
		io.WriteString(w, "ok")
		w.WriteHeader(103)
	}},
	{name: "Expect, body read", method: "POST", fields: []string{"expect", "100-continue"}, body: []string{"abc"},
		handler: func(r *record, w http.ResponseWriter, req *http.Request) {
			b, err := io.ReadAll(req.Body)
			r.add("%q %v %q", b, err, req.Header)
		}},
	{name: "Expect, body not read", method: "POST", fields: []string{"expect", "100-Continue"}, hold: true,
		handler: func(r *record, w http.ResponseWriter, req *http.Request) { w.WriteHeader(417) }},
	{name: "Expect, read after the response began", method: "POST", fields: []string{"expect", "100-continue"}, body: []string{"abc"},
		handler: func(r *record, w http.ResponseWriter, req *http.Request) {
			w.(http.Flusher).Flush()
			b, err := io.ReadAll(req.Body)
			r.add("%q %v", b, err)
		}},
	{name: "HEAD", method: "HEAD", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		n, err := io.WriteString(w, "<html>")
		r.add("%d %v", n, err)
	}},
	{name: "HEAD with Content-Length", method: "HEAD", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "1000000")
	}},
	{name: "204 with a body", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(204)
		n, err := io.WriteString(w, "x")
		r.add("%d %v", n, errors.Is(err, http.ErrBodyNotAllowed))
	}},
	{name: "304 with a body", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "7")
		w.WriteHeader(304)
		n, err := w.Write([]byte("x"))
		r.add("%d %v", n, errors.Is(err, http.ErrBodyNotAllowed))
	}},
	{name: "sniffed over several writes", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "<ht")
		io.WriteString(w, "ml>")
	}},
	{name: "not sniffed when encoded", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "<html>")
	}},
	{name: "not sniffed when unset", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	}},
	{name: "no date, no length", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header()["Date"] = nil
		w.Header()["Content-Length"] = nil
		io.WriteString(w, "x")
	}},
	{name: "Content-Length that is none", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "-1")
		io.WriteString(w, "x")
		r.add("%q", w.Header().Get("Content-Length"))
	}},
	{name: "Content-Length with a sign", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "+1")
		io.WriteString(w, "x")
	}},
	{name: "Content-Length right", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "12")
		w.(http.Flusher).Flush()
		io.WriteString(w, "345")
	}},
	{name: "invalid names and values", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header()["in valid"] = []string{"1"}
		w.Header()["Ünicode"] = []string{"1"}
		w.Header()[""] = []string{"1"}
		w.Header()["lower-case"] = []string{"1"}
		w.Header()["X-Bad"] = []string{"a\r\nb", "good", "\x00"}
		w.Header()["X-Empty"] = []string{""}
		w.Header()["Transfer-Encoding"] = []string{"chunked"}
	}},
	{name: "header changed after WriteHeader", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.Header()["X-One"] = []string{"1"}
		w.Header()["X-Two"] = []string{"1", "2"}
		w.WriteHeader(200)
		w.Header()["X-One"][0] = "changed"
		w.Header()["X-Two"][1] = "changed"
		w.Header().Set("X-New", "1")
	}},
	{name: "WriteHeader twice", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
		w.WriteHeader(0)
	}},
	{name: "invalid status", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		for _, code := range []int{0, 99, 1000, -1} {
			func() {
				defer func() { r.add("%v", recover()) }()
				w.WriteHeader(code)
			}()
		}
	}},
	{name: "odd status", handler: func(r *record, w http.ResponseWriter, req *http.Request) { w.WriteHeader(999) }},
	{name: "interfaces", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		_, flusher := w.(http.Flusher)
		_, hijacker := w.(http.Hijacker)
		_, stringWriter := w.(io.StringWriter)
		_, closeNotifier := w.(interface{ CloseNotify() <-chan bool }) // deprecated, and still there
		rc := http.NewResponseController(w)
		_, _, hijack := rc.Hijack()
		r.add("%v %v %v %v %v %v", flusher, hijacker, stringWriter, closeNotifier, errors.Is(hijack, http.ErrNotSupported), rc.EnableFullDuplex())
	}},
	{name: "CloseNotify at the end", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		select {
		case <-w.(interface{ CloseNotify() <-chan bool }).CloseNotify():
			r.add("closed")
		default:
		}
	}},
	{name: "request", method: "PUT", path: "/p%2Fq/..//x?a=b;c&d", fields: []string{"x-q", "1", "x-q", "2", "cookie", "a=b", "cookie", "c=d", "te", "trailers", "host", "other"},
		handler: func(r *record, w http.ResponseWriter, req *http.Request) {
			r.add("%v %v %q %q %q %v %v %v %v %q %v %v", req.Method, req.URL, req.URL.Path, req.URL.RawPath, req.URL.RawQuery, req.RequestURI,
				req.Proto, req.ProtoMajor, req.Host, req.Header["X-Q"], req.Header["Cookie"], req.ContentLength)
			r.add("%q %v %v %v", req.Header["Te"], req.TLS, req.RemoteAddr != "", req.TransferEncoding)
			b, err := io.ReadAll(req.Body)
			r.add("%q %v %v", b, err, req.Context().Value(http.ServerContextKey) != nil)
		}},
	{name: "OPTIONS *", method: "OPTIONS", path: "*", handler: func(r *record, w http.ResponseWriter, req *http.Request) { r.add("%v", req.URL) }},
	{name: "body with trailers", method: "POST", fields: []string{"trailer", "X-A, x-b, content-length"}, body: []string{"ab", "", "c"}, trailers: []string{"x-a", "1", "x-a", "2", "x-other", "3"},
		handler: func(r *record, w http.ResponseWriter, req *http.Request) {
			r.add("%q %q %d", req.Trailer, req.Header, req.ContentLength)
			b, err := io.ReadAll(req.Body)
			r.add("%q %v %q", b, err, req.Trailer)
			n, err := req.Body.Read(make([]byte, 1))
			r.add("%d %v %v", n, err, req.Body.Close())
		}},
	{name: "body closed", method: "POST", body: []string{"abc"}, handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		io.ReadFull(req.Body, make([]byte, 1))
		req.Body.Close()
		n, err := req.Body.Read(make([]byte, 1))
		r.add("%d %v", n, err != nil)
	}},
	{name: "MaxBytesReader", method: "POST", body: []string{"0123456789"}, handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		b, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 4))
		tooLarge := new(http.MaxBytesError)
		r.add("%q %v", b, errors.As(err, &tooLarge))
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}},
	{name: "read deadline", method: "POST", body: []string{"abc"}, hold: true, handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		rc := http.NewResponseController(w)
		rc.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		b, err := io.ReadAll(req.Body)
		r.add("%q %v", b, errors.Is(err, os.ErrDeadlineExceeded))
	}},
	{name: "read deadline in the past", method: "POST", hold: true, handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(-time.Second))
		_, err := req.Body.Read(make([]byte, 1))
		r.add("%v", errors.Is(err, os.ErrDeadlineExceeded))
	}},
	{name: "write deadline", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		for range 500 {
			time.Sleep(10 * time.Millisecond)
			if _, err := w.Write(make([]byte, 1<<10)); err != nil {
				r.add("failed")
				return
			}
			w.(http.Flusher).Flush()
		}
	}},
	{name: "write deadline in the past, body awaited", method: "POST", hold: true, handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second))
		_, err := io.ReadAll(req.Body)
		r.add("%v", err != nil)
	}},
	{name: "large header", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		for i := range 10 {
			w.Header().Set(fmt.Sprint("X-Large-", i), strings.Repeat(string(rune('a'+i)), 10_000))
		}
		w.WriteHeader(200)
	}},
	{name: "TimeoutHandler", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			<-req.Context().Done()
			time.Sleep(50 * time.Millisecond)
		}), 10*time.Millisecond, "slow").ServeHTTP(w, req)
	}},
	{name: "panic after a part", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "part")
		panic("on purpose")
	}},
	{name: "panic after a flush", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "large copies", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		n, err := io.Copy(w, strings.NewReader(strings.Repeat("0123456789", 30_000)))
		r.add("%d %v", n, err)
		n2, err := io.WriteString(w, strings.Repeat("x", 100_000))
		r.add("%d %v", n2, err)
		n3, err := w.Write(bytes.Repeat([]byte("y"), 4096))
		r.add("%d %v", n3, err)
	}},
	{name: "context values", handler: func(r *record, w http.ResponseWriter, req *http.Request) {
		ctx := req.Context()
		_, server := ctx.Value(http.ServerContextKey).(*http.Server)
		_, addr := ctx.Value(http.LocalAddrContextKey).(net.Addr)
		_, deadline := ctx.Deadline()
		child, cancel := context.WithTimeout(ctx, 10*time.Millisecond)
		defer cancel()
		<-child.Done()
		r.add("%v %v %v %v %v %v", server, addr, deadline, child.Err(), ctx.Err(), context.Cause(ctx))
	}},
}

// onBoth runs f with each engine, and compares what it returns.
func onBoth[T any](t *testing.T, f func(t *testing.T) T) (ours T) {
	t.Helper()
	netHTTP = true
	want := func() T {
		defer func() { netHTTP = false }()
		return f(t)
	}()
	got := f(t)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outcome differs from net/http's (-net/http +ours)\n%s", diff)
	}
	return got
}

type equalOutcome struct {
	Handler []string
	Status  string
	Header  http.Header
	Body    string
	Trailer http.Header
	Interim []string
	Reset   string
	Dated   bool
}

func TestEqual(t *testing.T) {
	for _, tt := range equalCases {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T) equalOutcome {
				rec := new(record)
				done := make(chan bool)
				ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					tt.handler(rec, w, r)
				}))
				c := ts.dial()
				c.preface()
				if tt.method == "" {
					tt.method = "GET"
				}
				if tt.path == "" {
					tt.path = "/"
				}
				fields := append([]string{":method", tt.method, ":scheme", "http", ":authority", "example.com", ":path", tt.path}, tt.fields...)
				c.headers(1, tt.body == nil && tt.trailers == nil && !tt.hold, fields...)
				for i, b := range tt.body {
					c.fr.WriteData(1, i == len(tt.body)-1 && tt.trailers == nil && !tt.hold, []byte(b))
				}
				if tt.trailers != nil {
					c.requestFields(1, tt.trailers...)
				}
				resp := c.response(1)
				if tt.path != "*" {
					<-done
				}
				o := equalOutcome{Handler: rec.all(), Status: resp.Status, Header: resp.Header, Body: resp.Body, Trailer: resp.Trailer, Interim: resp.Interim}
				if resp.Cut {
					o.Reset = resp.Reset.String()
				}
				o.Dated = o.Header.Get("Date") != ""
				o.Header.Del("Date")
				if tt.name == "write deadline" {
					o.Body = ""
				}
				return o
			})
		})
	}
}

// What a handler writes beyond its Content-Length, or does not write, is not as net/http's
// HTTP/2 has it, but as its HTTP/1.1: an error, and a response that ends short.
func TestContentLengthOfHandler(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		want    response
	}{
		{"too much", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "abc")
			if n, err := io.WriteString(w, "d"); n != 0 || !errors.Is(err, http.ErrContentLength) {
				t.Errorf("Write beyond the Content-Length: %d, %v", n, err)
			}
		}, response{Status: "200", Body: "abc"}},
		{"too little", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
			io.WriteString(w, "ab")
		}, response{Status: "200", Body: "ab", Cut: true, Reset: http2.ErrCodeInternal}},
		{"nothing", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "3")
		}, response{Status: "200", Cut: true, Reset: http2.ErrCodeInternal}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := serve(t, configured, tt.handler).dial()
			c.preface()
			c.request(1, "/")
			got := c.response(1)
			got.Header = nil
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Lengths that agree are one, RFC 9110 §8.6.
func TestContentLengthTwice(t *testing.T) {
	c := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %d %q %v", r.Header["Content-Length"], r.ContentLength, b, err)
	})).dial()
	c.preface()
	c.openStream(1, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/", "content-length", "2", "content-length", "2")
	c.fr.WriteData(1, true, []byte("ab"))
	if got, want := c.response(1).Body, `["2"] 2 "ab" <nil>`; got != want {
		t.Errorf("handler saw %s, want %s", got, want)
	}
}

func TestRequestNotRead(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		c := serve(t, configured, text("no need")).dial()
		c.preface()
		c.openStream(1, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		c.fr.WriteData(1, false, []byte("abc"))
		var got []string
		for {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if f.Header().StreamID != 1 {
				continue
			}
			if f, ok := f.(*http2.RSTStreamFrame); ok {
				return append(got, f.ErrCode.String())
			}
			if f.Header().Type != http2.FrameWindowUpdate {
				got = append(got, f.Header().Type.String(), fmt.Sprint(f.Header().Flags.Has(http2.FlagDataEndStream)))
			}
		}
	})
}

// The context ends with RST_STREAM, the connection, the handler, and the server's own.
func TestContextEnds(t *testing.T) {
	for name, end := range map[string]func(c *client, cancel func()){
		"reset":      func(c *client, _ func()) { c.fr.WriteRSTStream(1, http2.ErrCodeCancel) },
		"disconnect": func(c *client, _ func()) { c.nc.Close() },
		"base":       func(_ *client, cancel func()) { cancel() },
		"goaway":     func(c *client, _ func()) { c.fr.WriteData(0, false, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			onBoth(t, func(t *testing.T) []string {
				base, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				rec, done := new(record), make(chan bool)
				ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(done)
					ctx := r.Context()
					child, stop := context.WithTimeout(ctx, time.Hour)
					defer stop()
					after := make(chan bool)
					context.AfterFunc(ctx, func() { close(after) })
					w.(http.Flusher).Flush()
					<-child.Done()
					<-after
					<-ctx.Done()
					rec.add("%v %v %v %v", ctx.Err(), context.Cause(ctx), child.Err(), context.Cause(child))
				}), withHTTP(func(hs *http.Server) { hs.BaseContext = func(net.Listener) context.Context { return base } }))
				c := ts.dial()
				c.preface()
				c.request(1, "/")
				for {
					f, err := c.frame()
					if err != nil {
						t.Fatal(err)
					}
					if f.Header().Type == http2.FrameHeaders {
						break
					}
				}
				end(c, func() { cancel(errors.New("base")) })
				<-done
				return rec.all()
			})
		})
	}
}

// What handlers get from a body whose stream was reset is what those of net/http's engine find.
func TestResetBody(t *testing.T) {
	onBoth(t, func(t *testing.T) string {
		got := make(chan string, 1)
		c := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			se, ok := http2.StreamError{}, false
			ok = errors.As(err, &se)
			got <- fmt.Sprintf("%q %v %v %v", b, err, ok, se.Code)
		})).dial()
		c.preface()
		c.openStream(1, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/")
		c.fr.WriteData(1, false, []byte("abc"))
		c.fr.WriteRSTStream(1, http2.ErrCodeEnhanceYourCalm)
		return <-got
	})
}

func TestPanicsAreLogged(t *testing.T) {
	onBoth(t, func(t *testing.T) int {
		var logged buffer
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/abort" {
				panic(http.ErrAbortHandler)
			}
			panic("on purpose")
		}), withHTTP(func(hs *http.Server) { hs.ErrorLog = log.New(&logged, "", 0) }))
		c := ts.dial()
		c.preface()
		c.request(1, "/abort")
		c.response(1)
		c.request(3, "/")
		c.response(3)
		c.request(5, "/abort")
		c.response(5)
		eventually(t, "the panic in ErrorLog", func() bool { return strings.Contains(logged.String(), "panic serving") })
		return strings.Count(logged.String(), "panic serving")
	})
}

func TestConnStates(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		rec := new(record)
		ts := serve(t, configured, text("x"), withHTTP(func(hs *http.Server) {
			hs.ConnState = func(_ net.Conn, s http.ConnState) { rec.add("%v", s) }
		}))
		c := ts.dial()
		c.preface()
		want := 3 // new, active, idle
		for id := uint32(1); id < 6; id += 2 {
			eventually(t, "idle", func() bool { return len(rec.all()) == want })
			c.request(id, "/")
			c.response(id)
			want += 2
		}
		eventually(t, "idle", func() bool { return len(rec.all()) == want })
		c.nc.Close()
		eventually(t, "closed", func() bool { return slices.Contains(rec.all(), "closed") })
		return rec.all()
	})
}

func TestHeaderTooLarge(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		ts := serve(t, configured, text("x"), withHTTP(func(hs *http.Server) { hs.MaxHeaderBytes = 1 << 10 }))
		c := ts.dial()
		c.preface()
		var got []string
		for i, n := range []int{500, 1500, 500} {
			id := uint32(2*i + 1)
			c.requestFields(id, ":method", "GET", ":scheme", "http", ":authority", "a", ":path", "/", "x-a", strings.Repeat("a", n/2), "x-b", strings.Repeat("b", n/2))
			got = append(got, c.response(id).Status)
		}
		return got
	})
}

// Requests under way when the server is shut down, and those that arrive before the client can
// know, are served.
func TestShutdownInTwoSteps(t *testing.T) {
	release, begun := make(chan bool), make(chan bool, 1)
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			begun <- true
			<-release
		}
		io.WriteString(w, r.URL.Path)
	}))
	c := ts.dial()
	c.preface()
	c.request(1, "/slow")
	<-begun
	down := make(chan error, 1)
	go func() { down <- ts.hs.Shutdown(context.Background()) }()
	var ping [8]byte
	until := func(ok func(f http2.Frame) bool) {
		t.Helper()
		for {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if ok(f) {
				return
			}
		}
	}
	until(func(f http2.Frame) bool {
		p, ok := f.(*http2.PingFrame)
		if ok {
			ping = p.Data
		}
		return ok
	})
	if c.goAway == nil || c.goAway.LastStreamID != 1<<31-1 || c.goAway.ErrCode != http2.ErrCodeNo {
		t.Fatalf("first GOAWAY: %v", c.goAway)
	}
	c.request(3, "/between")
	if got := c.response(3).Body; got != "/between" {
		t.Errorf("a request on its way: %q", got)
	}
	c.fr.WritePing(true, ping)
	until(func(f http2.Frame) bool { return f.Header().Type == http2.FrameGoAway })
	if c.goAway.LastStreamID != 3 || c.goAway.ErrCode != http2.ErrCodeNo {
		t.Errorf("second GOAWAY: %v", c.goAway)
	}
	c.request(5, "/late")
	close(release)
	if got := c.response(1).Body; got != "/slow" {
		t.Errorf("the request under way: %q", got)
	}
	if f, err := c.frame(); err != io.EOF {
		t.Errorf("%v, %v behind the last response", f, err)
	}
	c.nc.Close()
	if err := <-down; err != nil {
		t.Error(err)
	}
}

func TestConnectionClose(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		c := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			io.WriteString(w, "x")
		})).dial()
		c.preface()
		c.request(1, "/")
		r := c.response(1)
		for c.goAway == nil {
			if _, err := c.frame(); err != nil {
				t.Fatal(err)
			}
		}
		return []string{r.Status, r.Body, r.Header.Get("Connection"), c.goAway.ErrCode.String()}
	})
}

// The windows, frame sizes and table sizes that the client sets hold.
func TestPeerSettings(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		var got []string
		c := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Same", "the same each time")
			io.WriteString(w, "0123456789")
		})).dial()
		c.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		data := func(id uint32, n int) string {
			var b []byte
			for len(b) < n {
				f, err := c.frame()
				if err != nil {
					t.Fatal(err)
				}
				if f, ok := f.(*http2.DataFrame); ok && f.StreamID == id {
					b = append(b, f.Data()...)
				}
			}
			return string(b)
		}
		pong := func() { // nothing else comes before
			c.fr.WritePing(false, [8]byte{1})
			for {
				f, err := c.frame()
				if err != nil {
					t.Fatal(err)
				}
				if f.Header().Type == http2.FramePing {
					return
				}
				if d, ok := f.(*http2.DataFrame); ok {
					got = append(got, "unexpected "+string(d.Data()))
				}
			}
		}
		c.request(1, "/")
		time.Sleep(50 * time.Millisecond)
		pong()
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 4})
		got = append(got, data(1, 4))
		pong()
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 2}) // now at -2
		c.fr.WriteWindowUpdate(1, 2)
		pong()
		c.fr.WriteWindowUpdate(1, 1)
		got = append(got, data(1, 1))
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 100}, http2.Setting{ID: http2.SettingHeaderTableSize, Val: 4096})
		got = append(got, data(1, 5))
		for id := uint32(3); id < 20; id += 2 {
			if id == 9 {
				c.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
				c.fr.WriteSettings(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 100})
			}
			c.request(id, "/")
			r := c.response(id)
			got = append(got, r.Status, r.Body, r.Header.Get("X-Same"))
		}
		return got
	})
}

// A client gives credit for each frame: that is no flood.
func TestManyWindowUpdates(t *testing.T) {
	onBoth(t, func(t *testing.T) int {
		const size = 200 << 20
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			buf := make([]byte, 64<<10)
			for range size / len(buf) {
				w.Write(buf)
			}
		}))
		resp, err := ts.httpClient(true).Get("http://example.com/")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 4<<10))
		if err != nil {
			t.Error(err)
		}
		return int(n)
	})
}

// A client at the limit of streams opens one as soon as another has ended.
func TestAtMaxStreams(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write(make([]byte, 10_000))
	}), withHTTP(func(hs *http.Server) { hs.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 4} }))
	c := ts.dial()
	c.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 30})
	c.fr.WriteWindowUpdate(0, 1<<30)
	next := uint32(1)
	for ; next < 9; next += 2 {
		c.request(next, "/")
	}
	for ended := 0; ended < 2000; {
		f, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		switch f := f.(type) {
		case *http2.RSTStreamFrame:
			t.Fatalf("stream %d was reset: %v", f.StreamID, f.ErrCode)
		case *http2.DataFrame:
			if f.StreamEnded() {
				ended++
				c.request(next, "/")
				next += 2
			}
		}
	}
}

// net/http's engine does the same, in Go 1.26.
func TestMultipartFilesAreRemoved(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	left := func() int {
		files, _ := filepath.Glob(filepath.Join(os.TempDir(), "multipart-*"))
		return len(files)
	}
	var body bytes.Buffer
	mw := multipart.NewWriter(&body)
	fw, _ := mw.CreateFormFile("f", "name")
	fw.Write(make([]byte, 100_000))
	mw.Close()
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.ParseMultipartForm(1), left())
	}))
	resp, err := ts.httpClient(true).Post("http://example.com/", mw.FormDataContentType(), &body)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got, err := io.ReadAll(resp.Body); string(got) != "<nil> 1" {
		t.Errorf("got %q, %v", got, err)
	}
	eventually(t, "files removed", func() bool { return left() == 0 })
}

func TestReverseProxy(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("Trailer", "X-T")
			w.Header().Set("Keep-Alive", "1")
			fmt.Fprintf(w, "%s %s %q", r.Method, r.URL, b)
			w.(http.Flusher).Flush()
			w.Header().Set("X-T", fmt.Sprint(r.Trailer))
		}))
		defer backend.Close()
		u, _ := url.Parse(backend.URL)
		ts := serve(t, configured, httputil.NewSingleHostReverseProxy(u))
		resp, err := ts.httpClient(true).Post("http://example.com/p?q", "text/plain", strings.NewReader("the body"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return []string{resp.Status, string(b), fmt.Sprint(err), fmt.Sprint(resp.Trailer), resp.Header.Get("Keep-Alive")}
	})
}

func TestServerTimeouts(t *testing.T) {
	for _, tt := range []struct {
		name string
		set  func(*http.Server)
		f    func(c *client) string
	}{
		{"idle", func(hs *http.Server) { hs.IdleTimeout = time.Minute }, func(c *client) string {
			time.Sleep(30 * time.Second)
			c.request(1, "/")
			c.response(1)
			start := time.Now()
			for c.goAway == nil {
				if _, err := c.frame(); err != nil {
					return err.Error()
				}
			}
			idle := time.Since(start).Round(time.Second)
			c.untilEnd()
			return fmt.Sprint(idle, c.goAway.ErrCode, c.goAway.LastStreamID)
		}},
		{"read, connection stays", func(hs *http.Server) { hs.ReadTimeout, hs.IdleTimeout = time.Second, time.Hour }, func(c *client) string {
			c.openStream(1, ":method", "POST", ":scheme", "http", ":authority", "a", ":path", "/read")
			first := c.response(1)
			time.Sleep(10 * time.Second)
			c.request(3, "/")
			return first.Body + c.response(3).Body
		}},
		{"write", func(hs *http.Server) { hs.WriteTimeout = time.Second }, func(c *client) string {
			c.request(1, "/slow")
			first := c.response(1)
			time.Sleep(10 * time.Second)
			c.request(3, "/")
			return fmt.Sprint(first.Reset, c.response(3).Body)
		}},
		{"ping", func(hs *http.Server) {
			hs.HTTP2 = &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second}
		}, func(c *client) string {
			start := time.Now()
			c.untilEnd()
			return fmt.Sprint(time.Since(start).Round(time.Second))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onBoth(t, func(t *testing.T) (got string) {
				engine := netHTTP
				synctest.Test(t, func(t *testing.T) {
					netHTTP = engine
					ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						switch r.URL.Path {
						case "/read":
							_, err := io.ReadAll(r.Body)
							fmt.Fprint(w, errors.Is(err, os.ErrDeadlineExceeded))
						case "/slow":
							<-r.Context().Done()
						default:
							io.WriteString(w, "x")
						}
					}), withHTTP(tt.set))
					c := ts.dial()
					c.nc.SetDeadline(time.Now().Add(24 * time.Hour))
					c.preface()
					got = tt.f(c)
					c.nc.Close()
				})
				return got
			})
		})
	}
}

// untilEnd reads frames, and acknowledges SETTINGS alone.
func (c *client) untilEnd() {
	for {
		if _, err := c.frame(); err != nil {
			return
		}
	}
}

// A client that sends its preface and no SETTINGS does not keep the connection.
func TestNoSettings(t *testing.T) {
	onBoth(t, func(t *testing.T) (took string) {
		engine := netHTTP
		synctest.Test(t, func(t *testing.T) {
			netHTTP = engine
			c := serve(t, configured, text("x")).dial()
			c.nc.SetDeadline(time.Now().Add(24 * time.Hour))
			start := time.Now()
			io.WriteString(c.nc, http2.ClientPreface)
			c.untilEnd()
			took = time.Since(start).Round(time.Second).String()
			c.nc.Close()
		})
		return took
	})
}

// Goroutines that outlive their handler get errors, and touch no other response.
func TestLateWriters(t *testing.T) {
	var late sync.WaitGroup
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/good" {
			for range 3 {
				io.WriteString(w, "good")
			}
			return
		}
		h := w.Header()
		h.Set("X-A", "1")
		io.WriteString(w, "bad")
		for range 2 {
			late.Add(1)
			go func() {
				defer late.Done()
				for r.Context().Err() == nil {
					io.WriteString(w, "bad")
					w.(http.Flusher).Flush()
					r.Body.Read(make([]byte, 10))
					http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
					http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Hour))
				}
				if _, err := io.WriteString(w, "bad"); err == nil {
					t.Error("a late Write succeeds")
				}
			}()
		}
		time.Sleep(time.Millisecond)
	}))
	client := ts.httpClient(true)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 30 {
				path, body := "/good", io.Reader(nil)
				if i%2 == 0 {
					path, body = "/bad", strings.NewReader("body")
				}
				resp, err := client.Post("http://example.com"+path, "", body)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if path == "/good" && string(got) != "goodgoodgood" || err != nil || strings.Trim(string(got), "bad") != "" && path == "/bad" {
					t.Errorf("%s: %q, %v", path, got, err)
				}
			}
		})
	}
	all.Wait()
	late.Wait()
}

// TLS connections of the server have the same engine.
func TestOverTLS(t *testing.T) {
	onBoth(t, func(t *testing.T) []string {
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Proto, r.TLS != nil && r.TLS.NegotiatedProtocol == "h2")
		}))
		hts := httptest.NewUnstartedServer(nil)
		hts.Config = ts.hs
		hts.EnableHTTP2 = true
		hts.StartTLS()
		defer hts.Close()
		resp, err := hts.Client().Get(hts.URL)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return []string{resp.Proto, string(b), fmt.Sprint(err)}
	})
}
