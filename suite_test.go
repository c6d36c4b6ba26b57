package h2c_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A suiteCase is a handler and a request, whose outcome must not depend on the way in.
type suiteCase struct {
	name         string
	method, path string
	header       http.Header
	body         string
	handler      http.HandlerFunc
}

var suite = []suiteCase{
	{name: "plain", handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }},
	{name: "nothing", handler: func(w http.ResponseWriter, r *http.Request) {}},
	{name: "status and fields", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("X-A", "1")
		w.Header().Add("X-A", "2")
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusTeapot)
	}},
	{name: "sniffed", handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<html>") }},
	{name: "head", method: "HEAD", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1234")
	}},
	{name: "no content", handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }},
	{name: "not modified", handler: func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) }},
	{name: "redirect", handler: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/there", http.StatusFound) }},
	{name: "body", method: "POST", body: "some body", handler: func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%q %v %d", body, err, r.ContentLength)
	}},
	{name: "body ignored", method: "POST", body: "some body", handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "no need")
	}},
	{name: "body limit", method: "PUT", body: "some body", handler: func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4))
		tooLarge := new(http.MaxBytesError)
		fmt.Fprint(w, errors.As(err, &tooLarge))
	}},
	{name: "request", method: "GET", path: "/p%2Fq/?a=b&c", header: http.Header{"X-Q": {"1", "2"}, "Accept": {"*/*"}, "Cookie": {"a=b"}},
		handler: func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Method, r.URL, r.URL.Path, r.RequestURI, r.Host, r.Header["X-Q"], r.Header["Accept"], r.Header["Cookie"], r.FormValue("a"), r.ContentLength, r.TLS == nil)
		}},
	{name: "flushed in parts", handler: func(w http.ResponseWriter, r *http.Request) {
		for i := range 3 {
			fmt.Fprintln(w, "part", i)
			w.(http.Flusher).Flush()
		}
	}},
	{name: "large", handler: func(w http.ResponseWriter, r *http.Request) {
		for i := range 100 {
			w.Write(bytes.Repeat([]byte{byte(i)}, 10_000))
		}
	}},
	{name: "copied", handler: func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, strings.NewReader(strings.Repeat("copy", 10_000)))
	}},
	{name: "trailers", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Declared")
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Declared", "1")
		w.Header().Set(http.TrailerPrefix+"X-Undeclared", "2")
	}},
	{name: "early hints", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		io.WriteString(w, "final")
	}},
	{name: "controller", handler: func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		fmt.Fprint(w, rc.SetReadDeadline(time.Now().Add(time.Minute)), rc.SetWriteDeadline(time.Now().Add(time.Minute)), rc.EnableFullDuplex(), rc.Flush())
	}},
	{name: "timeout handler", handler: func(w http.ResponseWriter, r *http.Request) {
		http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			time.Sleep(100 * time.Millisecond) // so that it is not done in time
		}), time.Millisecond, "too slow").ServeHTTP(w, r)
	}},
	{name: "aborted", handler: func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	{name: "aborted in the body", handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "panic", handler: func(w http.ResponseWriter, r *http.Request) { panic("on purpose") }},
}

// An outcome is what a client gets.
type outcome struct {
	Status  int
	Header  http.Header
	Body    string
	Trailer http.Header
	Interim []int
	Broken  bool // the response did not come to its end
}

func TestSuite(t *testing.T) {
	for _, tt := range suite {
		t.Run(tt.name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, role role) {
				if tt.method == "" {
					tt.method = "GET"
				}
				if tt.path == "" {
					tt.path = "/"
				}
				ts := serve(t, role, tt.handler)
				want := overHTTP(t, ts.httpClient(false), tt)
				for via, got := range map[string]outcome{
					"prior knowledge": overHTTP(t, ts.httpClient(true), tt),
					"stream 1":        overUpgrade(ts, tt, 1),
					"stream 3":        overUpgrade(ts, tt, 3),
				} {
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s differs from HTTP/1.1 (-HTTP/1.1 +%s)\n%s", via, via, diff)
					}
				}
			})
		})
	}
}

func overHTTP(t *testing.T, client *http.Client, tt suiteCase) outcome {
	t.Helper()
	var o outcome
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			o.Interim = append(o.Interim, code)
			return nil
		},
	})
	req, err := http.NewRequestWithContext(ctx, tt.method, "http://example.com"+tt.path, strings.NewReader(tt.body))
	if err != nil {
		t.Fatal(err)
	}
	if tt.header != nil {
		req.Header = tt.header.Clone()
	}
	req.Header.Set("User-Agent", "suite")
	resp, err := client.Transport.RoundTrip(req)
	if err != nil {
		return outcome{Broken: true, Interim: o.Interim}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	o.Status, o.Header, o.Trailer = resp.StatusCode, resp.Header, resp.Trailer
	if o.Broken = err != nil; !o.Broken {
		o.Body = string(body)
	}
	return o.comparable()
}

// overUpgrade makes the request on stream 1 or 3 of an upgraded connection.
func overUpgrade(ts *server, tt suiteCase, stream uint32) outcome {
	ts.t.Helper()
	c := ts.dial()
	if stream == 1 {
		request := fmt.Sprintf("%s %s HTTP/1.1\nHost: example.com\nUser-Agent: suite\n%s", tt.method, tt.path, offerFields)
		for name, values := range tt.header {
			for _, v := range values {
				request += name + ": " + v + "\n"
			}
		}
		if tt.body != "" {
			request += fmt.Sprintf("Content-Length: %d\n", len(tt.body))
		}
		c.send(request + "\n")
		io.WriteString(c.nc, tt.body)
	} else {
		c.send("HEAD / HTTP/1.1\nHost: example.com\n" + offerFields + "\n")
	}
	c.wantSwitch()
	c.preface()
	if stream == 3 {
		c.sendStream(3, tt)
	}
	r := c.response(stream)
	o := outcome{Body: r.Body, Header: r.Header, Trailer: r.Trailer, Broken: r.Status == "" || r.Cut}
	fmt.Sscan(r.Status, &o.Status)
	for _, s := range r.Interim {
		var code int
		fmt.Sscan(s, &code)
		o.Interim = append(o.Interim, code)
	}
	if o.Broken {
		o.Body = ""
	}
	return o.comparable()
}

// sendStream sends the request of tt as HEADERS and DATA.
func (c *client) sendStream(id uint32, tt suiteCase) {
	fields := []string{":method", tt.method, ":scheme", "http", ":authority", "example.com", ":path", tt.path, "user-agent", "suite"}
	for name, values := range tt.header {
		for _, v := range values {
			fields = append(fields, strings.ToLower(name), v)
		}
	}
	if tt.body == "" {
		c.requestFields(id, fields...)
		return
	}
	fields = append(fields, "content-length", fmt.Sprint(len(tt.body)))
	c.openStream(id, fields...)
	c.fr.WriteData(id, true, []byte(tt.body))
}

// comparable drops what differs between the protocols, or from one second to the next.
func (o outcome) comparable() outcome {
	if o.Status == 0 {
		o.Header = nil
	}
	for _, name := range []string{"Date", "Connection", "Transfer-Encoding", "Trailer"} {
		o.Header.Del(name)
	}
	if len(o.Header) == 0 {
		o.Header = nil
	}
	if len(o.Trailer) == 0 || o.Broken {
		o.Trailer = nil
	}
	return o
}
