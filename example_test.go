package h2c_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

// offerUpgrade sends a request that offers h2c, with more fields if there are any, and
// returns the status line of the answer.
func offerUpgrade(addr string, fields ...string) string {
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	request := append([]string{
		"GET / HTTP/1.1",
		"Host: " + addr,
		"Connection: Upgrade, HTTP2-Settings",
		"Upgrade: h2c",
		"HTTP2-Settings: " + h2c.EncodeSettings(),
	}, fields...)
	if _, err := io.WriteString(nc, strings.Join(request, "\r\n")+"\r\n\r\n"); err != nil {
		log.Fatal(err)
	}
	status, err := bufio.NewReader(nc).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(status)
}

// A server of one's own takes offers to upgrade and prior knowledge on one port.
func ExampleConfigureServer() {
	hs := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintln(w, r.Proto, "by", h2c.RequestVia(r))
		}),
	}
	if err := h2c.ConfigureServer(hs, nil); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go hs.Serve(l)

	// A client that offers to upgrade.
	addr := l.Addr().String()
	fmt.Println(offerUpgrade(addr))

	// A client with prior knowledge.
	tr := &http.Transport{Protocols: new(http.Protocols)}
	tr.Protocols.SetUnencryptedHTTP2(true)
	resp, err := (&http.Client{Transport: tr}).Get("http://" + addr)
	if err != nil {
		log.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(body))
	tr.CloseIdleConnections()

	// Shutdown drains connections of every kind.
	if err := hs.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// HTTP/2.0 by prior-knowledge
}

// A handler takes offers to upgrade behind a server that somebody else has made.
func ExampleNewHandler() {
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	s := new(h2c.Server)
	front := httptest.NewServer(h2c.NewHandler(hello, s))

	fmt.Println(offerUpgrade(front.Listener.Addr().String()))

	// The server in front does not wait for connections that were taken from it.
	front.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("upgraded:", s.Stats().Upgraded)
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// upgraded: 1
}

// A client upgrades with its first request. Later ones share the connection.
func ExampleTransport() {
	hs := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.Method, " by ", h2c.RequestVia(r))
		}),
	}
	if err := h2c.ConfigureServer(hs, nil); err != nil {
		log.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go hs.Serve(l)

	tr := &h2c.Transport{Base: new(http.Transport)} // no proxy from the environment
	client := &http.Client{Transport: tr}
	for _, method := range []string{"GET", "DELETE"} {
		req, err := http.NewRequest(method, "http://"+l.Addr().String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			log.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", resp.Proto, body)
	}
	fmt.Println("connections upgraded:", tr.Stats().Upgraded)

	if err := tr.Close(); err != nil {
		log.Fatal(err)
	}
	if err := hs.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// HTTP/2.0: GET by upgrade
	// HTTP/2.0: DELETE by upgrade
	// connections upgraded: 1
}

// Only clients on a loopback address may upgrade, and still not through a proxy.
func ExampleServer_allowUpgrade() {
	s := &h2c.Server{
		AllowUpgrade: func(r *http.Request) error {
			remote, err := netip.ParseAddrPort(r.RemoteAddr)
			if err != nil || !remote.Addr().IsLoopback() {
				return errors.New("not from this machine")
			}
			return h2c.DenyForwarded(r)
		},
	}
	hello := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	front := httptest.NewServer(h2c.NewHandler(hello, s))
	addr := front.Listener.Addr().String()

	fmt.Println(offerUpgrade(addr))
	fmt.Println(offerUpgrade(addr, "Via: 1.1 proxy")) // served over HTTP/1.1

	front.Close()
	if err := s.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("declined:", s.Stats().Declined)
	// Output:
	// HTTP/1.1 101 Switching Protocols
	// HTTP/1.1 200 OK
	// declined: map[forwarded:1]
}

// What curl sends, and a value with padding, which is an error.
func ExampleParseSettings() {
	settings, err := h2c.ParseSettings("AAMAAABkAAQCAAAAAAIAAAAA")
	fmt.Println(settings, err)

	_, err = h2c.ParseSettings("AAMAAABk====")
	var he *h2c.HandshakeError
	if errors.As(err, &he) {
		fmt.Println(he.Reason)
	}
	// Output:
	// [[MAX_CONCURRENT_STREAMS = 100] [INITIAL_WINDOW_SIZE = 33554432] [ENABLE_PUSH = 0]] <nil>
	// settings_malformed
}

func ExampleEncodeSettings() {
	fmt.Println(h2c.EncodeSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20},
	))
	// Output:
	// AAIAAAAAAAQAEAAA
}
