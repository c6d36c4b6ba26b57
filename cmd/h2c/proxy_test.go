package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/seed78dc1b7f/h2c"
)

// dial opens a connection for octets that no HTTP client would send.
func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

func readResponse(t *testing.T, conn net.Conn) (*http.Response, string) {
	t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// seen starts a backend that tells of each request, and a proxy before it.
func seen(t *testing.T) (proxy *server, requests <-chan *http.Request) {
	ch := make(chan *http.Request, 16)
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		ch <- r
	}))
	t.Cleanup(backend.Close)
	return start(t, "-proxy", backend.URL+"/base"), ch
}

// What is left of offers must not reach the backend, which might accept them: then the
// connection would be a tunnel through the proxy (golang/go#80416).
func TestProxyDropsOffers(t *testing.T) {
	proxy, requests := seen(t)
	const offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
	tests := map[string]string{
		"forwarded":          offer + "X-Forwarded-For: 192.0.2.1\r\n",
		"via":                offer + "Via: 1.1 other\r\n",
		"no tokens":          "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
		"no settings token":  "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
		"settings alone":     "HTTP2-Settings: AAMAAABk\r\n",
		"malformed settings": "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n",
		"two settings":       offer + "HTTP2-Settings: AAMAAABk\r\n",
		"two offers":         offer + "Upgrade: h2c\r\nVia: 1.1 other\r\n",
		"listed with TLS":    "Connection: Upgrade\r\nUpgrade: TLS/1.0, h2c\r\n",
		"in capitals":        "Connection: upgrade\r\nUpgrade: H2C\r\n",
		"h2":                 "Connection: Upgrade\r\nUpgrade: h2\r\n",
		"not websocket":      "Connection: Upgrade\r\nUpgrade: websocket2\r\n",
	}
	for name, fields := range tests {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, proxy.url)
			fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: example.test\r\n%s\r\n", fields)
			if resp, body := readResponse(t, conn); resp.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", resp.StatusCode, body)
			}
			wantNoOffer(t, <-requests)
		})
	}
	t.Run("accepted", func(t *testing.T) {
		needCurl(t)
		c := client{h2c.ViaUpgrade, doCurl}
		c.wantStatus(t, c.do(t, call{url: proxy.url + "/x"}), http.StatusOK)
		wantNoOffer(t, <-requests)
	})
	t.Run("body too large", func(t *testing.T) {
		needCurl(t)
		r := doCurl(t, call{method: "POST", url: proxy.url + "/x", body: make([]byte, 1<<20)})
		if r.status != http.StatusOK || r.proto != "HTTP/1.1" {
			t.Errorf("%s %d", r.proto, r.status)
		}
		wantNoOffer(t, <-requests)
	})
}

func wantNoOffer(t *testing.T, r *http.Request) {
	t.Helper()
	for _, name := range []string{"Upgrade", "Http2-Settings", "Connection"} {
		if values := r.Header[name]; values != nil {
			t.Errorf("%s: %q reached the backend", name, values)
		}
	}
}

// An offer of websocket beside one of h2c is passed on alone.
func TestProxyWebsocketBesideOffer(t *testing.T) {
	proxy, requests := seen(t)
	for _, upgrade := range []string{"websocket, h2c", "h2c, WebSocket", "h2c\r\nUpgrade: websocket", "foo, websocket"} {
		conn := dial(t, proxy.url)
		fmt.Fprintf(conn, "GET /x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", upgrade)
		readResponse(t, conn)
		r := <-requests
		if !slices.Equal(r.Header["Upgrade"], []string{"websocket"}) || !slices.Equal(r.Header["Connection"], []string{"Upgrade"}) {
			t.Errorf("%q became Upgrade %q, Connection %q", upgrade, r.Header["Upgrade"], r.Header["Connection"])
		}
	}
}

func TestProxyWebsocket(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		for {
			kind, msg, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if err := c.Write(r.Context(), kind, append([]byte("echo "), msg...)); err != nil {
				t.Error(err)
				return
			}
		}
	}))
	defer backend.Close()
	proxy := start(t, "-proxy", backend.URL, "-v")

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws"+strings.TrimPrefix(proxy.url, "http")+"/chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for _, msg := range []string{"one", "two", strings.Repeat("x", 30_000)} {
		if err := c.Write(ctx, websocket.MessageText, []byte(msg)); err != nil {
			t.Fatal(err)
		}
		if _, got, err := c.Read(ctx); err != nil || string(got) != "echo "+msg {
			t.Fatalf("got %.20q, %v", got, err)
		}
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}

func TestProxyRequest(t *testing.T) {
	proxy, requests := seen(t)
	eachClient(t, func(t *testing.T, c client) {
		c.wantStatus(t, c.do(t, call{url: proxy.url + "/x%2Fy?a=%zz;b", body: []byte("hi"), method: "POST",
			header: map[string]string{"X-Test": "yes"}}), http.StatusOK)
		r := <-requests
		if want := "/base/x%2Fy?a=%zz;b"; r.RequestURI != want {
			t.Errorf("target %q, want %q", r.RequestURI, want)
		}
		want := map[string]string{
			"X-Test":            "yes",
			"X-Forwarded-For":   "127.0.0.1",
			"X-Forwarded-Host":  strings.TrimPrefix(proxy.url, "http://"),
			"X-Forwarded-Proto": "http",
			"Content-Length":    "2",
		}
		for name, value := range want {
			if got := r.Header.Get(name); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
	})
}

// Responses of every kind pass through as they are.
func TestProxyResponse(t *testing.T) {
	proxy := start(t, "-proxy", start(t).url)
	eachClient(t, func(t *testing.T, c client) {
		wantTrailer(t, c, proxy.url)
		wantEarly(t, c, proxy.url)
		c.wantStatus(t, c.do(t, call{url: proxy.url + "/status/418"}), 418)

		r := c.do(t, call{url: proxy.url + "/bytes/1048576"})
		c.wantStatus(t, r, http.StatusOK)
		if len(r.body) != 1<<20 {
			t.Errorf("%d octets", len(r.body))
		}

		drip, cancel := stream(t, c.via, proxy.url+"/drip?n=10&every=1m")
		scan(t, drip, "1 of 10")
		cancel()
	})
}

func TestProxyRefusesConnect(t *testing.T) {
	proxy, _ := seen(t)
	conn := dial(t, proxy.url)
	fmt.Fprint(conn, "CONNECT example.test:80 HTTP/1.1\r\nHost: example.test:80\r\n\r\n")
	if resp, _ := readResponse(t, conn); resp.StatusCode != http.StatusNotImplemented {
		t.Errorf("status %d", resp.StatusCode)
	}
}

func TestProxyBackendFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
	proxy := start(t, "-proxy", "http://"+l.Addr().String())
	eachClient(t, func(t *testing.T, c client) {
		c.wantStatus(t, c.do(t, call{url: proxy.url + "/"}), http.StatusBadGateway)
	})
}
