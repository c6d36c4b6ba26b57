package h2c_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func TestUpgrade_U12_U14_stream1(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, text("hello"))
		c := ts.dial()
		c.upgradeTo("/")
		f, err := c.frame()
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := f.(*http2.SettingsFrame); !ok || s.IsAck() {
			t.Errorf("U-13: first frame %v, want SETTINGS", f)
		}
		c.preface()
		if r := c.response(1); r.Status != "200" || r.Body != "hello" {
			t.Errorf("got %+v", r)
		}
		c.request(3, "/")
		if r := c.response(3); r.Status != "200" || r.Body != "hello" {
			t.Errorf("stream 3: got %+v", r)
		}
		c.fr.WriteSettings()
		c.fr.WritePing(false, [8]byte{})
		for {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := f.(*http2.PingFrame); ok && p.IsAck() {
				break
			}
		}
		if c.acks != 2 {
			t.Errorf("U-14: %d acknowledgements of 2 SETTINGS", c.acks)
		}
		if got := ts.s.Stats(); got.Upgraded != 1 || got.Active != 1 {
			t.Errorf("stats %+v", got)
		}
	})
}

// Nothing of the client's preface has come, so a large response waits at 16 KiB, and a
// small one is complete.
func TestUpgrade_U13_beforePreface(t *testing.T) {
	for _, tt := range []struct {
		size, want int
	}{{100, -1}, {1 << 20, 16 << 10}} {
		t.Run(fmt.Sprint(tt.size), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ts := serve(t, configured, text(strings.Repeat("x", tt.size)))
				c := ts.dial()
				c.upgradeTo("/")
				time.Sleep(time.Second)
				synctest.Wait()
				c.nc.SetReadDeadline(time.Now().Add(time.Nanosecond))
				before, _ := io.ReadAll(c.br)
				c.nc.SetReadDeadline(time.Time{})
				if tt.want >= 0 && len(before) != tt.want {
					t.Errorf("%d octets before the preface, want %d", len(before), tt.want)
				}
				c.br.Reset(io.MultiReader(bytes.NewReader(before), c.nc))
				if tt.want >= 0 {
					c.preface()
				}
				if r := c.response(1); len(r.Body) != tt.size {
					t.Errorf("body of %d octets, want %d", len(r.Body), tt.size)
				}
			})
		})
	}
}

func TestUpgrade_U15_settingsInForce(t *testing.T) {
	big := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Big", strings.Repeat("h", 40000))
		w.Write(bytes.Repeat([]byte("x"), 40000)) // one Write, so that DATA frames may be large
	})
	ts := serve(t, configured, big)
	dial := func(settings ...http2.Setting) *client {
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: example.com\nConnection: Upgrade, HTTP2-Settings\nUpgrade: h2c\nHTTP2-Settings: " +
			h2c.EncodeSettings(settings...) + "\n\n")
		c.wantSwitch()
		return c
	}
	t.Run("INITIAL_WINDOW_SIZE", func(t *testing.T) {
		c := dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		c.preface(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1})
		body := ""
		for len(body) < 40000 {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			d, ok := f.(*http2.DataFrame)
			if !ok {
				continue
			}
			if len(d.Data()) != 1 {
				t.Fatalf("DATA of %d octets in a window of 1", len(d.Data()))
			}
			if body += string(d.Data()); len(body) == 3 {
				break
			}
			c.fr.WriteWindowUpdate(1, 1)
		}
	})
	t.Run("MAX_FRAME_SIZE", func(t *testing.T) {
		c := dial(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 20000}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		c.preface()
		largest := uint32(0)
		for ended := false; !ended; {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			if d, ok := f.(*http2.DataFrame); ok {
				largest = max(largest, d.Length)
				ended = d.StreamEnded()
			}
		}
		if largest <= 16384 || largest > 20000 {
			t.Errorf("largest DATA frame %d, want above 16384 and up to 20000", largest)
		}
	})
	t.Run("HEADER_TABLE_SIZE", func(t *testing.T) {
		c := dial(http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0})
		c.fr.ReadMetaHeaders = nil
		c.preface()
		dec := hpack.NewDecoder(0, nil) // fails on any index into the dynamic table
		dec.SetAllowedMaxDynamicTableSize(0)
		var block []byte
		for {
			f, err := c.frame()
			if err != nil {
				t.Fatal(err)
			}
			end := false
			switch f := f.(type) {
			case *http2.HeadersFrame:
				block, end = append(block, f.HeaderBlockFragment()...), f.HeadersEnded()
			case *http2.ContinuationFrame:
				block, end = append(block, f.HeaderBlockFragment()...), f.HeadersEnded()
			}
			if end {
				break
			}
		}
		if _, err := dec.DecodeFull(block); err != nil {
			t.Errorf("decoding with a table of 0 octets: %v", err)
		}
		if block[0] != 0x20 {
			t.Errorf("header block begins with %#x, want a table size update to 0", block[0])
		}
	})
	t.Run("MAX_HEADER_LIST_SIZE", func(t *testing.T) {
		// net/http sends a response whose header list is too large all the same: the
		// limit is advisory. What counts is that the connection stays in step.
		c := dial(http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: 100}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		c.fr.MaxHeaderListSize = 1 << 20
		c.preface()
		if r := c.response(1); r.Status != "200" || len(r.Body) != 40000 {
			t.Errorf("got %v, body of %d octets", r.Status, len(r.Body))
		}
	})
	t.Run("repeated", func(t *testing.T) {
		c := dial(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		c.preface()
		if r := c.response(1); len(r.Body) != 40000 {
			t.Errorf("body of %d octets", len(r.Body))
		}
	})
}

func TestUpgrade_U16_stream1IsHalfClosed(t *testing.T) {
	for _, kind := range []string{"DATA", "HEADERS"} {
		t.Run(kind, func(t *testing.T) {
			release := make(chan struct{})
			ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-release:
				case <-r.Context().Done():
				}
			}))
			defer close(release)
			c := ts.dial()
			c.upgradeTo("/")
			c.preface()
			if kind == "DATA" {
				c.fr.WriteData(1, true, []byte("x"))
			} else {
				c.request(1, "/")
			}
			if r := c.response(1); r.Reset != http2.ErrCodeStreamClosed {
				t.Errorf("got %+v, want STREAM_CLOSED", r)
			}
		})
	}
}

// seen is what a handler sees of a request.
type seen struct {
	Method, RequestURI, Proto, Host, URL string
	ProtoMajor                           int
	ContentLength                        int64
	Body                                 string
	Header, Trailer                      http.Header
	TransferEncoding                     []string
	TLS                                  bool
}

func see(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	json.NewEncoder(w).Encode(seen{
		r.Method, r.RequestURI, r.Proto, r.Host, r.URL.String(), r.ProtoMajor, r.ContentLength,
		string(body), r.Header, r.Trailer, r.TransferEncoding, r.TLS != nil,
	})
}

func TestUpgrade_U17_handlerSees(t *testing.T) {
	for _, tt := range []struct {
		name, request, body string
		want                seen
	}{
		{
			name: "fields",
			request: "PATCH /a/%2F?q=1&r HTTP/1.1\nHost: example.com:80\n" +
				"Connection: Upgrade, HTTP2-Settings, X-Hop, TE, close\nUpgrade: h2c\nHTTP2-Settings: " + settingsValue + "\n" +
				"X-Hop: 1\nKeep-Alive: 5\nProxy-Connection: x\nTE: deflate, trailers\n" +
				"X-A: 1\nX-A: 2\nx-lower: \xc3\xa4\nCookie: a=b\nCookie: c=d\nContent-Length: 4\n\n",
			body: "body",
			want: seen{
				Method: "PATCH", RequestURI: "/a/%2F?q=1&r", URL: "/a/%2F?q=1&r", Host: "example.com:80", ContentLength: 4, Body: "body",
				Header: http.Header{
					"X-A": {"1", "2"}, "X-Lower": {"\u00e4"}, "Te": {"trailers"},
					"Cookie": {"a=b; c=d"}, "Content-Length": {"4"},
				},
			},
		},
		{
			name:    "te without trailers",
			request: "GET / HTTP/1.1\nHost: h\n" + offerFields + "TE: gzip\n\n",
			want:    seen{Method: "GET", RequestURI: "/", URL: "/", Host: "h", Header: http.Header{}},
		},
		{
			name:    "U-30 content-length 0",
			request: "GET / HTTP/1.1\nHost: h\n" + offerFields + "Content-Length: 0\n\n",
			want:    seen{Method: "GET", RequestURI: "/", URL: "/", Host: "h", Header: http.Header{"Content-Length": {"0"}}},
		},
		{
			name:    "absolute form",
			request: "GET http://origin.example:8080/p?q HTTP/1.1\nHost: other\n" + offerFields + "\n",
			want:    seen{Method: "GET", RequestURI: "/p?q", URL: "/p?q", Host: "origin.example:8080", Header: http.Header{}},
		},
		{
			name:    "absolute form without path",
			request: "GET http://origin.example?q HTTP/1.1\nHost: other\n" + offerFields + "\n",
			want:    seen{Method: "GET", RequestURI: "/?q", URL: "/?q", Host: "origin.example", Header: http.Header{}},
		},
		{
			name:    "double slash",
			request: "GET //x HTTP/1.1\nHost: h\n" + offerFields + "\n",
			want:    seen{Method: "GET", RequestURI: "//x", URL: "//x", Host: "h", Header: http.Header{}},
		},
		{
			name:    "asterisk form",
			request: "SEARCH * HTTP/1.1\nHost: h\n" + offerFields + "\n",
			want:    seen{Method: "SEARCH", RequestURI: "*", URL: "*", Host: "h", Header: http.Header{}},
		},
		{
			name:    "empty host",
			request: "GET / HTTP/1.1\nHost:\n" + offerFields + "\n",
			want:    seen{Method: "GET", RequestURI: "/", URL: "/", Header: http.Header{}},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, role role) {
				ts := serve(t, role, http.HandlerFunc(see))
				c := ts.dial()
				c.send(tt.request)
				io.WriteString(c.nc, tt.body)
				c.wantSwitch()
				c.preface()
				var got seen
				if err := json.Unmarshal([]byte(c.response(1).Body), &got); err != nil {
					t.Fatal(err)
				}
				tt.want.Proto, tt.want.ProtoMajor = "HTTP/2.0", 2
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got)\n%s", diff)
				}
			})
		})
	}
}

func TestUpgrade_U18_expectContinue(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(see))
	c := ts.dial()
	c.send("POST / HTTP/1.1\nHost: h\n" + offerFields + "Expect: 100-continue\nContent-Length: 4\n\n")
	line, err := c.br.ReadString('\n')
	if err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q, %v, want 100 Continue", line, err)
	}
	c.br.ReadString('\n')
	io.WriteString(c.nc, "body")
	c.wantSwitch()
	c.preface()
	var got seen
	json.Unmarshal([]byte(c.response(1).Body), &got)
	if got.Body != "body" || got.Header["Expect"] != nil {
		t.Errorf("handler saw %+v", got)
	}
}

func TestUpgrade_U19_prefaceInvalid(t *testing.T) {
	valid := append([]byte(http2.ClientPreface), 0, 0, 0, 4, 0, 0, 0, 0, 0)
	change := func(at int, b byte) []byte {
		p := bytes.Clone(valid)
		p[at] = b
		return p
	}
	for name, preface := range map[string][]byte{
		"first octet":   change(0, 'G'),
		"last octet":    change(23, 'x'),
		"not SETTINGS":  change(27, byte(http2.FramePing)),
		"SETTINGS ACK":  change(28, byte(http2.FlagSettingsAck)),
		"on stream 1":   change(32, 1),
		"too long":      change(24, 1),
		"U-22 pipeline": []byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var served atomic.Int64
			ts := serve(t, configured, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served.Add(1) }))
			c := ts.dial()
			c.upgradeTo("/")
			c.nc.Write(preface)
			c.wantClosed()
			ts.wantFailed(h2c.ReasonPrefaceInvalid, 1)
			if n := served.Load(); n > 1 {
				t.Errorf("handler ran %d times", n)
			}
		})
	}
}

func TestUpgrade_U19_prefaceLate(t *testing.T) {
	valid := append([]byte(http2.ClientPreface), 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 1)
	eachRole(t, func(t *testing.T, role role) {
		for n := range len(valid) {
			synctest.Test(t, func(t *testing.T) {
				ts := serve(t, role, text("x"), withH2C(&h2c.Server{HandshakeTimeout: 3 * time.Second}))
				c := ts.dial()
				c.upgradeTo("/")
				c.nc.Write(valid[:n])
				start := time.Now()
				c.wantClosed()
				if took := time.Since(start); took != 3*time.Second {
					t.Errorf("%d octets of the preface: closed after %v, want 3s", n, took)
				}
				synctest.Wait()
				ts.wantFailed(h2c.ReasonPrefaceTimeout, 1)
			})
		}
	})
}

func TestUpgrade_U19_prefaceMissing(t *testing.T) {
	ts := serve(t, configured, text("x"))
	c := ts.dial()
	c.upgradeTo("/")
	io.WriteString(c.nc, http2.ClientPreface[:5])
	c.nc.Close()
	ts.wantFailed(h2c.ReasonPrefaceMissing, 1)
}

// A whole exchange in one stream of octets, split in two at every place.
func TestUpgrade_U20_anySplit(t *testing.T) {
	var script bytes.Buffer
	script.WriteString(crlf("POST / HTTP/1.1\nHost: h\n"+offerFields+"Content-Length: 4\n\n") + "body" + http2.ClientPreface)
	fr := http2.NewFramer(&script, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 1})
	block := headerBlock(":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/3")
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndHeaders: true, EndStream: true})

	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.URL.Path, body)
	})
	check := func(t *testing.T, ts *server, parts ...[]byte) {
		t.Helper()
		c := ts.dial()
		sent := make(chan struct{})
		go func() {
			defer close(sent)
			for _, p := range parts {
				c.nc.Write(p)
				time.Sleep(time.Millisecond) // of the bubble
			}
		}()
		c.wantSwitch()
		got := c.responses(1, 3)
		<-sent
		if got[1].Body != "/ body" || got[3].Body != "/3 " {
			t.Errorf("got %+v", got)
		}
		c.nc.Close()
	}
	all := script.Bytes()
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, configured, handler)
		for i := range all {
			check(t, ts, all[:i], all[i:])
		}
	})
	synctest.Test(t, func(t *testing.T) {
		check(t, serve(t, configured, handler, withNetwork(memnet.Options{MaxRead: 1})), all)
	})
}

func TestUpgrade_U21_laterRequest(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, http.HandlerFunc(see))
		c := ts.dial()
		for range 3 {
			c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 1\n\nx")
			c.want1(200)
		}
		c.upgradeTo("/")
		c.preface()
		if r := c.response(1); r.Status != "200" {
			t.Errorf("got %+v", r)
		}
	})
}

func TestUpgrade_U22_pipelined(t *testing.T) {
	var second atomic.Bool
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/2" {
			second.Store(true)
		}
	}))
	c := ts.dial()
	request := "GET /%d HTTP/1.1\nHost: h\n" + offerFields + "\n"
	c.send(fmt.Sprintf(request, 1) + fmt.Sprintf(request, 2))
	c.wantSwitch()
	c.wantClosed()
	ts.wantFailed(h2c.ReasonPrefaceInvalid, 1)
	if second.Load() {
		t.Error("the second request was served")
	}
}

func TestUpgrade_U23_responses(t *testing.T) {
	handler := http.NewServeMux()
	handler.HandleFunc("/head", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "5")
		io.WriteString(w, "hello")
	})
	handler.HandleFunc("/204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	handler.HandleFunc("/304", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(304) })
	handler.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-T")
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-T", "t")
	})
	handler.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		io.WriteString(w, "late")
	})
	ts := serve(t, configured, handler)
	exchange := func(method, target string) response {
		c := ts.dial()
		c.send(method + " " + target + " HTTP/1.1\nHost: h\n" + offerFields + "\n")
		c.wantSwitch()
		c.preface()
		r := c.response(1)
		r.Header = http.Header{"Content-Length": r.Header["Content-Length"]}
		return r
	}
	for _, tt := range []struct {
		method, target string
		want           response
	}{
		{"HEAD", "/head", response{Status: "200", Header: http.Header{"Content-Length": {"5"}}}},
		{"GET", "/204", response{Status: "204"}},
		{"GET", "/304", response{Status: "304"}},
		{"GET", "/trailers", response{Status: "200", Body: "body", Trailer: http.Header{"X-T": {"t"}}}},
		{"GET", "/early", response{Status: "200", Body: "late", Interim: []string{"103"}, Header: http.Header{"Content-Length": {"4"}}}},
		{"OPTIONS", "*", response{Status: "200", Header: http.Header{"Content-Length": {"0"}}}},
		{"OPTIONS", "http://h", response{Status: "200", Header: http.Header{"Content-Length": {"0"}}}},
	} {
		if tt.want.Header == nil {
			tt.want.Header = http.Header{"Content-Length": nil}
		}
		if diff := cmp.Diff(tt.want, exchange(tt.method, tt.target)); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", tt.method, tt.target, diff)
		}
	}
}

// The client's view of the connection window is the engine's: whatever the length of the
// upgrade's body, the client may use all of its window, and no more is granted.
func TestUpgrade_U24_bodyCredit(t *testing.T) {
	for _, n := range []int{0, 1, 4095, 4096, 5000, 65535, 65536} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			proceed := make(chan struct{})
			ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/wait" {
					<-proceed
				}
				m, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, m, err)
			}), withHTTP(func(hs *http.Server) { hs.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerConnection: 1 << 20} }))
			c := ts.dial()
			c.send(fmt.Sprintf("POST /wait HTTP/1.1\nHost: h\n%sContent-Length: %d\n\n", offerFields, n))
			c.nc.Write(bytes.Repeat([]byte("x"), n))
			c.wantSwitch()
			c.preface()
			for c.acks == 0 {
				if _, err := c.frame(); err != nil {
					t.Fatal(err)
				}
			}
			// Stream 1 holds n of it.
			if want := int64(1<<20 - n); c.window != want {
				t.Errorf("window before the body is read: %d, want %d", c.window, want)
			}
			close(proceed)
			if r := c.response(1); r.Body != fmt.Sprint(n, nil) {
				t.Errorf("got %+v", r)
			}
			if len(c.streamWindows) > 0 {
				t.Errorf("WINDOW_UPDATE for streams %v", c.streamWindows)
			}

			// Send all that the window allows on stream 3: the engine can take it.
			spend := c.window
			block := headerBlock(":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
			c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: block, EndHeaders: true})
			for left := spend; left > 0; left -= min(left, 16384) {
				c.fr.WriteData(3, left <= 16384, bytes.Repeat([]byte("y"), int(min(left, 16384))))
			}
			if r := c.response(3); r.Body != fmt.Sprint(spend, nil) {
				t.Errorf("stream 3: got %+v", r)
			}
		})
	}
}

func TestUpgrade_U25_concurrentStreams(t *testing.T) {
	first := make(chan struct{})
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/first" {
			<-first
		}
		io.WriteString(w, r.URL.Path)
	}))
	c := ts.dial()
	c.upgradeTo("/first")
	c.preface()
	for id := uint32(3); id <= 11; id += 2 {
		c.request(id, fmt.Sprint("/", id))
	}
	got := c.responses(3, 5, 7, 9, 11)
	for id, r := range got {
		if r.Body != fmt.Sprint("/", id) {
			t.Errorf("stream %d: %+v", id, r)
		}
	}
	close(first)
	if r := c.response(1); r.Body != "/first" {
		t.Errorf("stream 1: %+v", r)
	}
}

func TestUpgrade_U26_websocketUntouched(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		ts := serve(t, role, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Upgrade") != "websocket" || r.Header.Get("Connection") != "Upgrade" {
				t.Errorf("handler sees %v", r.Header)
			}
			nc, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer nc.Close()
			rw.WriteString("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			rw.Flush()
		}))
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: h\nConnection: Upgrade\nUpgrade: websocket\n\n")
		if line, err := c.br.ReadString('\n'); err != nil || !strings.Contains(line, "101") {
			t.Errorf("got %q, %v", line, err)
		}
		if got := ts.s.Stats(); len(got.Declined) > 0 {
			t.Errorf("counted: %+v", got)
		}
	})
}

func TestUpgrade_U27_manyFields(t *testing.T) {
	for _, tt := range []struct {
		name   string
		fields string
		want   string // sum of the lengths of X- values
	}{
		{"one of 900,000 octets", "X-Big: " + strings.Repeat("b", 900_000) + "\n", "900000"},
		{"400 of 2,000 octets", strings.Repeat("X-Many: "+strings.Repeat("m", 2000)+"\n", 400), "800000"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				n := 0
				for _, v := range append(r.Header["X-Big"], r.Header["X-Many"]...) {
					n += len(v)
				}
				fmt.Fprint(w, n)
			}))
			c := ts.dial()
			go io.WriteString(c.nc, crlf("GET / HTTP/1.1\nHost: h\n"+offerFields+tt.fields+"\n"))
			c.wantSwitch()
			c.preface()
			if r := c.response(1); r.Body != tt.want {
				t.Errorf("got %+v", r)
			}
		})
	}
	// HTTP/2 counts 32 octets more for each field, so that this many fit HTTP/1.1 only.
	t.Run("declined", func(t *testing.T) {
		ts := serve(t, configured, text("ok"), withHTTP(func(hs *http.Server) { hs.MaxHeaderBytes = 4096 }))
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + strings.Repeat("A: b\n", 300) + "\n")
		c.want1(200)
		ts.wantDeclined(h2c.ReasonHeaderTooLarge, 1)
	})
}

// Clients whose first own header block fills the dynamic table, and uses it.
func TestUpgrade_U29_tablesInStep(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Same", "same")
		io.WriteString(w, r.Header.Get("X-Custom")+r.Header.Get("X-Offer"))
	}))
	c := ts.dial()
	c.send("GET / HTTP/1.1\nHost: h\nX-Offer: offer\nX-Custom: 1\n" + offerFields + "\n")
	c.wantSwitch()
	c.preface()
	if r := c.response(1); r.Body != "1offer" {
		t.Fatalf("got %+v", r)
	}
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block) // indexes
	for id := uint32(3); id < 9; id += 2 {
		block.Reset()
		for _, f := range []string{":method GET", ":scheme http", ":path /", ":authority h", "x-custom 2", "x-offer other"} {
			name, value, _ := strings.Cut(f, " ")
			enc.WriteField(hpack.HeaderField{Name: name, Value: value})
		}
		c.fr.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: true})
		if r := c.response(id); r.Body != "2other" || r.Header.Get("X-Same") != "same" {
			t.Errorf("stream %d: %+v", id, r)
		}
	}
}
