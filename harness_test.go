package h2c_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		code = checkLeaks()
	}
	os.Exit(code)
}

// checkLeaks fails if goroutines of a connection are left after the tests.
func checkLeaks() int {
	var left string
	for range 100 {
		buf := make([]byte, 1<<20)
		left = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "net/http.") || strings.Contains(g, "/h2c/internal/splice.") || strings.Contains(g, "/h2c/internal/engine.") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			return 0
		}
		time.Sleep(50 * time.Millisecond)
	}
	fmt.Fprintf(os.Stderr, "goroutines left:\n%s", left)
	return 1
}

// A role is a way of putting the library into a server.
type role string

const (
	configured role = "ConfigureServer"
	wrapped    role = "NewHandler"
	split      role = "Split"
)

// A server under test, on a network in memory.
type server struct {
	t  *testing.T
	l  *memnet.Listener
	hs *http.Server
	s  *h2c.Server

	behind *http.Server // Split: the server of connections that speak HTTP/2

	configured func(*http.Server) // is called before it serves
}

type option func(*server)

func withH2C(s *h2c.Server) option         { return func(ts *server) { ts.s = s } }
func withHTTP(f func(*http.Server)) option { return func(ts *server) { f(ts.hs) } }
func withNetwork(o memnet.Options) option  { return func(ts *server) { ts.l = memnet.Listen(o) } }

// serve starts a server. It is closed when the test ends, and must have no connection left.
func serve(t *testing.T, role role, handler http.Handler, options ...option) *server {
	t.Helper()
	ts := &server{t: t, l: memnet.Listen(memnet.Options{}), hs: &http.Server{Handler: handler}, s: new(h2c.Server)}
	ts.hs.ErrorLog = log.New(io.Discard, "", 0)
	for _, o := range options {
		o(ts)
	}
	ts.s.Engine = h2c.EngineH2C
	if netHTTP {
		ts.s.Engine = h2c.EngineNetHTTP
	}
	switch role {
	case configured:
		if err := h2c.ConfigureServer(ts.hs, ts.s); err != nil {
			t.Fatal(err)
		}
	case wrapped:
		ts.hs.Handler = h2c.NewHandler(ts.hs.Handler, ts.s)
	}
	if ts.configured != nil {
		ts.configured(ts.hs)
	}
	var l net.Listener = ts.l
	if role == split {
		l = ts.split(l)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ts.hs.Serve(l)
	}()
	t.Cleanup(func() {
		ts.hs.Close()
		ts.s.Close()
		<-done
		for range 200 {
			if ts.s.Stats().Active == 0 {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d connections still active after Close", ts.s.Stats().Active)
	})
	return ts
}

// split has another server like ts.hs take the connections of l that speak HTTP/2, and returns
// the listener for the others.
func (ts *server) split(l net.Listener) net.Listener {
	if ts.behind == nil {
		ts.behind = &http.Server{
			Handler:        ts.hs.Handler,
			ReadTimeout:    ts.hs.ReadTimeout,
			WriteTimeout:   ts.hs.WriteTimeout,
			IdleTimeout:    ts.hs.IdleTimeout,
			MaxHeaderBytes: ts.hs.MaxHeaderBytes,
			ErrorLog:       ts.hs.ErrorLog,
			BaseContext:    ts.hs.BaseContext,
			ConnContext:    ts.hs.ConnContext,
			ConnState:      ts.hs.ConnState,
			HTTP2:          ts.hs.HTTP2,
			Protocols:      new(http.Protocols),
		}
		ts.behind.Protocols.SetUnencryptedHTTP2(true)
		ts.hs.Handler = h2c.NewHandler(ts.hs.Handler, ts.s)
	}
	http2, http1 := ts.s.Split(l)
	done := make(chan struct{})
	go func() {
		defer close(done)
		ts.behind.Serve(http2)
	}()
	ts.t.Cleanup(func() {
		ts.behind.Close()
		<-done
	})
	return http1
}

func (ts *server) dial() *client {
	ts.t.Helper()
	nc, err := ts.l.Dial()
	if err != nil {
		ts.t.Fatal(err)
	}
	return newClient(ts.t, nc)
}

// httpClient returns a client that speaks HTTP/1.1, or HTTP/2 by prior knowledge.
func (ts *server) httpClient(priorKnowledge bool) *http.Client {
	tr := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return ts.l.Dial() },
		Protocols:          new(http.Protocols),
		DisableCompression: true,
	}
	tr.Protocols.SetHTTP1(!priorKnowledge)
	tr.Protocols.SetUnencryptedHTTP2(priorKnowledge)
	ts.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// get returns the body of the answer to a GET.
func (ts *server) get(priorKnowledge bool) string {
	ts.t.Helper()
	resp, err := ts.httpClient(priorKnowledge).Get("http://example.com/")
	if err != nil {
		ts.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		ts.t.Fatal(err)
	}
	return string(body)
}

// A client writes and reads what a test says.
type client struct {
	t  *testing.T
	nc net.Conn
	br *bufio.Reader
	fr *http2.Framer

	prefaced      bool             // the client preface has been sent
	settings      int              // SETTINGS received, acknowledgements apart
	acks          int              // SETTINGS acknowledgements received
	window        int64            // connection window given by the server
	streamWindows map[uint32]int64 // and of streams, by WINDOW_UPDATE
	goAway        *http2.GoAwayFrame
}

func newClient(t *testing.T, nc net.Conn) *client {
	c := &client{t: t, nc: nc, br: bufio.NewReader(nc), window: 65535, streamWindows: make(map[uint32]int64)}
	c.fr = http2.NewFramer(nc, c.br)
	c.fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.fr.AllowIllegalWrites = true
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { nc.Close() })
	return c
}

// send writes text with line ends as HTTP/1.1 has them.
func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.nc, crlf(text)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

func crlf(text string) string { return strings.ReplaceAll(text, "\n", "\r\n") }

// settingsValue is an HTTP2-Settings value: MAX_CONCURRENT_STREAMS 100, INITIAL_WINDOW_SIZE
// 32 MiB, ENABLE_PUSH 0, as curl sends them.
const settingsValue = "AAMAAABkAAQCAAAAAAIAAAAA"

const offerFields = "Connection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: " + settingsValue + "\n"

// upgradeTo sends a GET that offers h2c, and expects the 101.
func (c *client) upgradeTo(target string) {
	c.t.Helper()
	c.send("GET " + target + " HTTP/1.1\nHost: example.com\n" + offerFields + "\n")
	c.wantSwitch()
}

const wantSwitching = "HTTP/1.1 101 Switching Protocols\nConnection: Upgrade\nUpgrade: h2c\n\n"

func (c *client) wantSwitch() {
	c.t.Helper()
	want := crlf(wantSwitching)
	got := make([]byte, len(want))
	if n, err := io.ReadFull(c.br, got); err != nil || string(got) != want {
		c.t.Fatalf("U-12: got %q, %v, want the 101", got[:n], err)
	}
}

// preface sends the client preface and a SETTINGS frame.
func (c *client) preface(settings ...http2.Setting) {
	c.t.Helper()
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&b, nil)
	fr.WriteSettings(settings...)
	for range c.settings {
		fr.WriteSettingsAck()
	}
	c.prefaced = true
	if _, err := c.nc.Write(b.Bytes()); err != nil {
		c.t.Fatalf("preface: %v", err)
	}
}

// request sends HEADERS that open stream id with a GET.
func (c *client) request(id uint32, path string) {
	c.t.Helper()
	c.requestFields(id, ":method", "GET", ":scheme", "http", ":authority", "example.com", ":path", path)
}

// requestFields sends HEADERS with fields, names and values by turns, that open and end
// stream id. They are not indexed.
func (c *client) requestFields(id uint32, fields ...string) {
	c.t.Helper()
	c.headers(id, true, fields...)
}

// openStream is requestFields for a request whose body follows.
func (c *client) openStream(id uint32, fields ...string) {
	c.t.Helper()
	c.headers(id, false, fields...)
}

func (c *client) headers(id uint32, end bool, fields ...string) {
	c.t.Helper()
	if err := c.fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: id, BlockFragment: headerBlock(fields...), EndHeaders: true, EndStream: end,
	}); err != nil {
		c.t.Fatalf("HEADERS: %v", err)
	}
}

// headerBlock encodes fields, names and values by turns, without indexing.
func headerBlock(fields ...string) []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1], Sensitive: true})
	}
	return block.Bytes()
}

// frame returns the next frame, after noting what it says of the connection.
func (c *client) frame() (http2.Frame, error) {
	f, err := c.fr.ReadFrame()
	if err != nil {
		return nil, err
	}
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			c.acks++
		} else {
			c.settings++
			if c.prefaced {
				c.fr.WriteSettingsAck()
			}
		}
	case *http2.WindowUpdateFrame:
		if f.StreamID == 0 {
			c.window += int64(f.Increment)
		} else {
			c.streamWindows[f.StreamID] += int64(f.Increment)
		}
	case *http2.GoAwayFrame:
		c.goAway = f
	}
	return f, nil
}

// A response as it came over HTTP/2.
type response struct {
	Status  string
	Header  http.Header
	Body    string
	Trailer http.Header
	Interim []string      // statuses of 1xx responses
	Cut     bool          // ended by RST_STREAM
	Reset   http2.ErrCode // that it carried
}

// response reads frames until stream id has ended.
func (c *client) response(id uint32) response {
	c.t.Helper()
	return c.responses(id)[id]
}

// responses reads frames until all streams have ended.
func (c *client) responses(ids ...uint32) map[uint32]response {
	c.t.Helper()
	open := make(map[uint32]*response)
	for _, id := range ids {
		open[id] = new(response)
	}
	done := make(map[uint32]response)
	for len(done) < len(ids) {
		f, err := c.frame()
		if err != nil {
			c.t.Fatalf("waiting for the response on streams %v: %v (GOAWAY %v)", ids, err, c.goAway)
		}
		id := f.Header().StreamID
		r, ok := open[id]
		if !ok {
			continue
		}
		ended := false
		switch f := f.(type) {
		case *http2.MetaHeadersFrame:
			ended = f.StreamEnded()
			header := make(http.Header)
			for _, field := range f.RegularFields() {
				header.Add(field.Name, field.Value)
			}
			switch status := f.PseudoValue("status"); {
			case strings.HasPrefix(status, "1"):
				r.Interim = append(r.Interim, status)
			case r.Status == "":
				r.Status, r.Header = status, header
			default:
				r.Trailer = header
			}
		case *http2.DataFrame:
			ended = f.StreamEnded()
			r.Body += string(f.Data())
			if n := uint32(len(f.Data())); n > 0 && c.prefaced {
				c.fr.WriteWindowUpdate(0, n)
				if !ended {
					c.fr.WriteWindowUpdate(id, n)
				}
			}
		case *http2.RSTStreamFrame:
			r.Cut, r.Reset = true, f.ErrCode
			ended = true
		}
		if ended {
			done[id] = *r
			delete(open, id)
		}
	}
	return done
}

// want1 reads an HTTP/1.1 response, with its body.
func (c *client) want1(status int) (*http.Response, string) {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, nil)
	if err != nil {
		c.t.Fatalf("reading an HTTP/1.1 response: %v", err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status || resp.ProtoMajor != 1 {
		c.t.Fatalf("got %v %v %q, %v, want %d", resp.Proto, resp.Status, body, err, status)
	}
	return resp, string(body)
}

// wantClosed reads until the connection ends.
func (c *client) wantClosed() {
	c.t.Helper()
	if err := c.drain(); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("connection still open")
	}
}

func (c *client) drain() error {
	_, err := io.Copy(io.Discard, c.br)
	return err
}

// wantDeclined checks the counter of a reason.
func (ts *server) wantDeclined(reason h2c.Reason, n int64) {
	ts.t.Helper()
	if got := ts.s.Stats().Declined[reason]; got != n {
		ts.t.Errorf("declined %s: %d, want %d (%+v)", reason, got, n, ts.s.Stats())
	}
}

// eventually waits until ok holds: what a server counts may come after what it sends.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("never: %s", what)
}

func (ts *server) wantFailed(reason h2c.Reason, n int64) {
	ts.t.Helper()
	eventually(ts.t, fmt.Sprintf("%d failed with %s", n, reason), func() bool {
		return ts.s.Stats().Failed[reason] == n
	})
}

// text answers with a fixed body.
func text(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, body) })
}

// netHTTP says that servers use the engine of net/http, and not EngineH2C. Tests run one after
// the other.
var netHTTP bool

// eachRole runs a test for each role, with each engine.
func eachRole(t *testing.T, f func(t *testing.T, role role)) {
	eachOf(t, []role{configured, wrapped, split}, f)
}

// eachHandlerRole is for what handlers and hooks of this library can tell, but not the ones of
// a server behind a Split.
func eachHandlerRole(t *testing.T, f func(t *testing.T, role role)) {
	eachOf(t, []role{configured, wrapped}, f)
}

// eachOf is eachRole for some of them.
func eachOf(t *testing.T, roles []role, f func(t *testing.T, role role)) {
	for _, role := range roles {
		t.Run(string(role), func(t *testing.T) { f(t, role) })
		if role == split {
			continue // the engine is not that of this library
		}
		t.Run(string(role)+" net/http", func(t *testing.T) {
			netHTTP = true
			defer func() { netHTTP = false }()
			f(t, role)
		})
	}
}

// A buffer may be written to and read at the same time.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// toEnd reads frames until the connection ends.
func (c *client) toEnd() {
	for {
		if _, err := c.frame(); err != nil {
			return
		}
	}
}
