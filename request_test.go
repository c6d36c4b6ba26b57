package h2c_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// A request whose offer is declined is the one that net/http has made: it removes the files of its
// form, and puts trailers into it; and who is around the handler sees what a ServeMux put there.
func TestDeclined_U28_sameRequest(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	mux := http.NewServeMux()
	mux.HandleFunc("/form", func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseMultipartForm(1 << 10)
		files, _ := os.ReadDir(dir)
		fmt.Fprint(w, len(files), " ", err)
	})
	mux.HandleFunc("/trailer/{id}", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v %v", b, err, r.Trailer)
	})
	eachHandlerRole(t, func(t *testing.T, role role) {
		s := &h2c.Server{AllowUpgrade: func(*http.Request) error { return fmt.Errorf("no") }}
		var pattern atomic.Value
		around := func(hs *http.Server) {
			h := hs.Handler
			hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r)
				pattern.Store(r.Pattern + " " + r.PathValue("id"))
			})
		}
		ts := serve(t, role, mux, withH2C(s), func(ts *server) { ts.configured = around })
		c := ts.dial()
		body := crlf("--b\nContent-Disposition: form-data; name=\"f\"; filename=\"f\"\n\n") + strings.Repeat("x", 11<<20) + crlf("\n--b--\n")
		c.send(fmt.Sprintf("POST /form HTTP/1.1\nHost: h\nContent-Type: multipart/form-data; boundary=b\nContent-Length: %d\n%s\n", len(body), offerFields))
		io.WriteString(c.nc, body)
		if _, got := c.want1(200); got != "1 <nil>" {
			t.Errorf("form: got %q", got)
		}
		c.send("POST /trailer/7 HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n" + offerFields + "\n5\nhello\n0\nX-Sum: 1\n\n")
		if _, got := c.want1(200); got != "hello <nil> map[X-Sum:[1]]" {
			t.Errorf("trailers: got %q", got)
		}
		eventually(t, "the pattern is seen", func() bool { return pattern.Load() == "/trailer/{id} 7" })
		if files, _ := os.ReadDir(dir); len(files) > 0 {
			t.Errorf("%d files are left", len(files))
		}
	})
}

// Handlers around NewHandler may have read the body, or put another in its place: then it is not
// as long as Content-Length says, and the request is served as it is.
func TestDeclined_U09_bodyOfOthers(t *testing.T) {
	h := h2c.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.ParseForm()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, r.Proto, " ", r.Form, " ", n, " ", err)
	}), nil)
	for name, test := range map[string]struct {
		around func(*http.Request)
		want   string
	}{
		"read": {func(r *http.Request) { r.ParseForm() }, "HTTP/1.1 map[a:[bcd]] 0 <nil>"},
		"longer": {func(r *http.Request) {
			r.Body, r.Method = io.NopCloser(strings.NewReader(strings.Repeat("x", 1<<20))), "PURGE"
		}, "HTTP/1.1 map[] 1048576 <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			ts := serve(t, configured, nil, func(ts *server) {
				ts.configured = func(hs *http.Server) {
					hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						test.around(r)
						h.ServeHTTP(w, r)
					})
				}
			})
			c := ts.dial()
			c.send("POST / HTTP/1.1\nHost: h\nContent-Type: application/x-www-form-urlencoded\nContent-Length: 5\n" + offerFields + "\na=bcd")
			if _, got := c.want1(200); got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

// What a request costs grows with its size, and no faster.
func TestUpgrade_S01_longConnectionField(t *testing.T) {
	var head strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&head, "X%d:\n", i)
	}
	options := "Connection: Upgrade, HTTP2-Settings" + strings.Repeat(",a", 100_000) + "\n"
	ts := serve(t, configured, text("x"))
	c := ts.dial()
	began := time.Now()
	go io.WriteString(c.nc, crlf("GET / HTTP/1.1\nHost: h\nUpgrade: h2c\nHTTP2-Settings:\n"+options+head.String()+"\n"))
	if line, _, err := bufio.NewReader(c.nc).ReadLine(); err != nil || !strings.HasPrefix(string(line), "HTTP/1.1 ") {
		t.Errorf("got %q, %v", line, err)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// No client is told to come again with a request that a handler has seen.
func TestUpgrade_closeAfterHandler(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		for range 50 {
			var ts *server
			ran := false
			ts = serve(t, role, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
				ran = true
				ts.closeServer(role)
			}))
			c := ts.dial()
			c.send("POST / HTTP/1.1\nHost: h\nContent-Length: 1\n" + offerFields + "\nx")
			if b, _ := io.ReadAll(c.br); strings.Contains(string(b), " 503 ") {
				t.Fatalf("got %q; handler ran: %v", b, ran)
			}
		}
	})
}

// What the user has in TLSNextProto may be that of other servers, too.
func TestConfigureServerKeepsTLSNextProto(t *testing.T) {
	none := map[string]func(*http.Server, *tls.Conn, http.Handler){}
	for range 2 {
		hs := &http.Server{TLSNextProto: none}
		if err := h2c.ConfigureServer(hs, nil); err != nil {
			t.Fatal(err)
		}
		if hs.Protocols.HTTP2() {
			t.Error("HTTP/2 over TLS was switched off")
		}
	}
	if len(none) > 0 {
		t.Errorf("%d entries in the map of the user", len(none))
	}
}

type panickingHijacker struct{ http.ResponseWriter }

func (panickingHijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) { panic(http.ErrAbortHandler) }

// A hijack that panics leaves nothing that Shutdown would wait for.
func TestHijackPanics(t *testing.T) {
	s := new(h2c.Server)
	h := h2c.NewHandler(text("x"), s)
	ts := serve(t, configured, nil, func(ts *server) {
		ts.configured = func(hs *http.Server) {
			hs.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(panickingHijacker{w}, r) })
		}
	})
	c := ts.dial()
	c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
	c.wantClosed()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
}

// The rest of a preface is not waited for when the server ends.
func TestNewHandlerEndsHalfPreface(t *testing.T) {
	for name, end := range map[string]func(*h2c.Server) error{
		"Close":    (*h2c.Server).Close,
		"Shutdown": func(s *h2c.Server) error { return s.Shutdown(context.Background()) },
	} {
		t.Run(name, func(t *testing.T) {
			eachOf(t, []role{wrapped}, func(t *testing.T, role role) {
				ts := serve(t, role, text("x"), withH2C(&h2c.Server{HandshakeTimeout: -1}))
				c := ts.dial()
				c.send("PRI * HTTP/2.0\n\nS")
				c.send("M")                       // it has been read, or is in the same read:
				time.Sleep(20 * time.Millisecond) // either way there is an end to it
				if err := end(ts.s); err != nil {
					t.Error(err)
				}
				c.nc.SetReadDeadline(time.Now().Add(10 * time.Second))
				c.wantClosed()
			})
		})
	}
}

// BaseContext that expects a listener of its own costs HTTP/2, and nothing else.
func TestNewHandlerBaseContextPanics(t *testing.T) {
	ts := serve(t, wrapped, text("x"), withHTTP(func(hs *http.Server) {
		hs.BaseContext = func(l net.Listener) context.Context {
			_ = l.(*memnet.Listener)
			return context.Background()
		}
	}))
	for range 2 {
		c := ts.dial()
		c.send("GET / HTTP/1.1\nHost: h\n" + offerFields + "\n")
		if _, got := c.want1(200); got != "x" {
			t.Errorf("got %q", got)
		}
	}
	ts.wantDeclined(h2c.ReasonDisabled, 2)
	if err := ts.s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A deadline that ConnContext sets is no longer than the first request, as in net/http.
func TestUpgradeClearsDeadline(t *testing.T) {
	ts := serve(t, configured, text("x"), withHTTP(func(hs *http.Server) {
		hs.ConnContext = func(ctx context.Context, nc net.Conn) context.Context {
			nc.SetDeadline(time.Now().Add(100 * time.Millisecond))
			return ctx
		}
	}))
	c := ts.dial()
	c.upgradeTo("/")
	c.preface()
	c.response(1)
	time.Sleep(200 * time.Millisecond)
	c.request(3, "/")
	if r := c.response(3); r.Body != "x" {
		t.Errorf("got %+v", r)
	}
}

// A preface that has fields is none, wherever it comes.
func TestPriorKnowledge_P06_prefaceWithFields(t *testing.T) {
	eachHandlerRole(t, func(t *testing.T, role role) {
		for _, before := range []string{"", "GET / HTTP/1.1\nHost: h\n\n"} {
			ts := serve(t, role, text("x"))
			c := ts.dial()
			c.send(before + "PRI * HTTP/2.0\nHost: h\n\nSM\n\n")
			if before != "" {
				c.want1(200)
			}
			c.want1(400)
			c.wantClosed()
			if n := ts.s.Stats().PriorKnowledge; n != 0 {
				t.Errorf("%d connections by prior knowledge", n)
			}
		}
	})
}

// A head that begins like a preface and goes on like another is HTTP/1.1, which may be slow.
func TestPriorKnowledge_P02_slowPost(t *testing.T) {
	_, addr := serveTCP(t, configured, text("x"), withH2C(&h2c.Server{HandshakeTimeout: time.Second}))
	clients := make([]*client, 200) // how their octets come and are looked at differs
	for i := range clients {
		clients[i] = dialTCP(t, addr)
		clients[i].send("P")
	}
	time.Sleep(50 * time.Millisecond)
	for _, c := range clients {
		c.send("OST / HTTP/1.1\n")
	}
	time.Sleep(1500 * time.Millisecond)
	for _, c := range clients {
		c.send("Host: h\nContent-Length: 0\n\n")
		c.want1(200)
	}
}

type nobody struct{ net.Conn }

func (nobody) RemoteAddr() net.Addr { return nil }

type nobodies struct{ net.Listener }

func (l nobodies) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	return nobody{nc}, err
}

// A connection may have no address of its client, as in net/http.
func TestNoRemoteAddr(t *testing.T) {
	hs := &http.Server{Handler: text("x")}
	s := &h2c.Server{HandshakeTimeout: 100 * time.Millisecond}
	if err := h2c.ConfigureServer(hs, s); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go hs.Serve(nobodies{l})
	defer hs.Close()
	for _, begin := range []string{"", "PRI", http2.ClientPreface} {
		c := dialTCP(t, l.Addr().String())
		io.WriteString(c.nc, begin)
		if begin == http2.ClientPreface {
			c.prefaced = true
			c.fr.WriteSettings()
			c.request(1, "/")
			c.response(1)
			continue
		}
		c.toEnd()
	}
}

// A scrambled connection has a socket in it, which is not what is read from.
type scrambled struct{ *net.TCPConn }

func scramble(p []byte) []byte {
	q := make([]byte, len(p))
	for i := range p {
		q[i] = p[i] ^ 0x55
	}
	return q
}

func (c scrambled) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	copy(p, scramble(p[:n]))
	return n, err
}

func (c scrambled) Write(p []byte) (int, error) { return c.TCPConn.Write(scramble(p)) }

type scrambling struct{ net.Listener }

func (l scrambling) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return scrambled{nc.(*net.TCPConn)}, nil
}

func TestPriorKnowledge_P01_noPlainSocket(t *testing.T) {
	hs := &http.Server{Handler: text("x"), Protocols: new(http.Protocols)}
	hs.Protocols.SetUnencryptedHTTP2(true)
	if err := h2c.ConfigureServer(hs, nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go hs.Serve(scrambling{l})
	defer hs.Close()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, scrambled{nc.(*net.TCPConn)})
	defer nc.Close()
	io.WriteString(c.nc, http2.ClientPreface)
	c.prefaced = true
	c.fr.WriteSettings()
	c.request(1, "/")
	if r := c.response(1); r.Body != "x" {
		t.Errorf("got %+v", r)
	}
}

// Cookies in many fields are joined at once, and not one after the other.
func TestPriorKnowledge_S01_manyCookies(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, len(r.Header["Cookie"]), " ", len(r.Header.Get("Cookie")))
	}))
	c := ts.dial()
	c.preface()
	var fields []string
	for range 450 { // below the limit of Go 1.27
		fields = append(fields, "cookie", strings.Repeat("c", 30))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c.requestFields(1, append([]string{":method", "GET", ":scheme", "http", ":authority", "h", ":path", "/"}, fields...)...)
	if r := c.response(1); r.Body != fmt.Sprint("1 ", 450*32-2) {
		t.Errorf("got %+v", r)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("%d octets allocated", n)
	}
}

// A body that is not for an upgrade reaches the handler as it arrives.
func TestDeclined_U09_streamed(t *testing.T) {
	for _, head := range []string{"Transfer-Encoding: chunked\n", "Content-Length: 70000\n"} {
		got := make(chan string, 10)
		ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b := make([]byte, 3)
			io.ReadFull(r.Body, b)
			got <- string(b)
		}))
		c := ts.dial()
		c.send("POST / HTTP/1.1\nHost: h\n" + head + offerFields + "\n")
		if strings.HasPrefix(head, "T") {
			c.send("3\nabc\n")
		} else {
			c.send("abc")
		}
		select {
		case g := <-got:
			if g != "abc" {
				t.Error(g)
			}
		case <-time.After(3 * time.Second):
			t.Errorf("%s: the handler does not see what has come of the body", head)
		}
		c.nc.Close()
	}
}

// The deadline of the preface does not outlive it.
func TestPriorKnowledge_P02_deadlineEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ts := serve(t, wrapped, text("x"))
		c := ts.dial()
		c.nc.SetDeadline(time.Time{})
		c.preface()
		c.request(1, "/")
		c.response(1)
		time.Sleep(11 * time.Second)
		c.request(3, "/")
		if r := c.response(3); r.Body != "x" {
			t.Errorf("%+v", r)
		}
	})
}

// The bound holds for handlers that take their time as well.
func TestUpgrade_U13_slowHandler(t *testing.T) {
	for _, first := range []int{0, 10} {
		synctest.Test(t, func(t *testing.T) {
			ts := serve(t, configured, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				time.Sleep(time.Second)
				if first > 0 {
					w.Write(make([]byte, first))
					w.(http.Flusher).Flush()
					time.Sleep(time.Second)
				}
				w.Write(bytes.Repeat([]byte("x"), 1<<20))
			}))
			c := ts.dial()
			c.upgradeTo("/")
			time.Sleep(5 * time.Second)
			synctest.Wait()
			c.nc.SetReadDeadline(time.Now().Add(time.Nanosecond))
			before, _ := io.ReadAll(c.br)
			if len(before) != 16<<10 {
				t.Errorf("%d octets before the preface", len(before))
			}
			c.nc.Close()
		})
	}
}

// A handler sees of the target what it would see without the offer, whatever handlers around NewHandler
// made of that.
func TestDeclined_U28_changedURL(t *testing.T) {
	s := new(h2c.Server)
	h := h2c.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %q", r.Proto, r.URL, r.URL.Query().Encode(), r.PathValue("id"))
	}), s)
	mux := http.NewServeMux()
	mux.Handle("/strip/", http.StripPrefix("/strip", h))
	mux.Handle("/items/{id}", h)
	mux.Handle("/semicolons", http.AllowQuerySemicolons(h))
	mux.Handle("/as/", h)
	mux.Handle("/end/{$}", h)
	ts := serve(t, "", mux, withH2C(s))
	for target, want := range map[string]string{
		"/strip/7":          `HTTP/1.1 /7  ""`,
		"/items/7":          `HTTP/1.1 /items/7  "7"`,
		"/semicolons?a=1;b": `HTTP/1.1 /semicolons?a=1&b a=1&b= ""`,
	} {
		c := ts.dial()
		for _, offer := range []string{"", offerFields} {
			c.send("GET " + target + " HTTP/1.1\nHost: h\n" + offer + "\n")
			if _, got := c.want1(200); got != want {
				t.Errorf("%s: got %q, want %q", target, got, want)
			}
		}
	}
	ts.wantDeclined(h2c.ReasonTarget, 3)
	for target, want := range map[string]string{
		"/as/is?a=1&a=%3b": `HTTP/2.0 /as/is?a=1&a=%3b a=1&a=%3B ""`,
		"/as/%2f/%41":      `HTTP/2.0 /as/%2f/%41  ""`,
		"/end/":            `HTTP/2.0 /end/  ""`,
	} {
		c := ts.dial()
		c.upgradeTo(target)
		c.preface()
		if got := c.response(1).Body; got != want {
			t.Errorf("%s: got %q, want %q", target, got, want)
		}
	}
}

// A nilAddr has no addresses, as connections of some tunnels.
type nilAddr struct{ net.Conn }

func (nilAddr) LocalAddr() net.Addr  { return (*net.TCPAddr)(nil) }
func (nilAddr) RemoteAddr() net.Addr { return (*net.TCPAddr)(nil) }

// A wrappingListener yields connections that are wrapped.
type wrappingListener struct {
	net.Listener
	wrap func(net.Conn) net.Conn
}

func (l wrappingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.wrap(nc), nil
}

func TestNoAddresses(t *testing.T) {
	eachRole(t, func(t *testing.T, role role) {
		l := memnet.Listen(memnet.Options{})
		ts := serve(t, role, text("x"))
		var wrapping net.Listener = wrappingListener{l, func(nc net.Conn) net.Conn { return nilAddr{nc} }}
		if role == split {
			wrapping = ts.split(wrapping)
		}
		go ts.hs.Serve(wrapping)
		ts.l = l
		c := ts.dial()
		for range 2 {
			c.send("GET / HTTP/1.1\nHost: h\n\n")
			c.want1(200)
		}
		c = ts.dial()
		c.upgradeTo("/")
		c.preface()
		c.request(3, "/")
		c.responses(1, 3)
	})
}

// A handler of NewHandler does not keep the servers alive that were in front of it, nor those that
// serve HTTP/2 for them, once their connections have ended.
func TestNewHandlerForgetsServers(t *testing.T) {
	eachOf(t, []role{wrapped}, func(t *testing.T, _ role) {
		s := new(h2c.Server)
		if netHTTP {
			s.Engine = h2c.EngineNetHTTP
		}
		servers := make(chan weak.Pointer[http.Server], 1)
		h := h2c.NewHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			servers <- weak.Make(r.Context().Value(http.ServerContextKey).(*http.Server))
		}), s)
		var fronts, engines []weak.Pointer[http.Server]
		var clients []*client
		for range 10 {
			l := memnet.Listen(memnet.Options{})
			go http.Serve(l, h)
			dial := func() *client {
				nc, err := l.Dial()
				if err != nil {
					t.Fatal(err)
				}
				return newClient(t, nc)
			}
			c := dial()
			c.send("GET / HTTP/1.1\nHost: h\nConnection: close\n\n")
			c.want1(200)
			fronts = append(fronts, <-servers)
			c = dial()
			c.upgradeTo("/")
			c.preface()
			c.response(1)
			engines = append(engines, <-servers)
			clients = append(clients, c)
			l.Close()
		}
		for range 3 {
			runtime.GC()
			time.Sleep(10 * time.Millisecond) // for cleanups
		}
		for i, c := range clients {
			c.request(3, "/")
			c.response(3)
			if got := <-servers; got != engines[i] {
				t.Errorf("connection %d: another server", i)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Shutdown(ctx); err == nil {
			t.Error("Shutdown did not wait for connections whose servers are gone")
		}
		for _, c := range clients {
			c.nc.Close()
		}
		eventually(t, "all are garbage", func() bool {
			runtime.GC()
			for _, p := range append(fronts, engines...) {
				if p.Value() != nil {
					return false
				}
			}
			return true
		})
	})
}
