package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// A tapped connection is one like any other.
func TestTappedConn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out bytes.Buffer
	tap := newWiretap(&out)
	nc, err := tap.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if tapped(nc) == nil || tapped(peer) != nil {
		t.Error("tapped does not tell connections apart")
	}
	fmt.Fprint(nc, "GET / HTTP/1.1\r\n\r\n")
	if err := nc.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(peer); err != nil || string(b) != "GET / HTTP/1.1\r\n\r\n" {
		t.Errorf("peer got %q, %v", b, err)
	}
	const answer = "HTTP/1.1 200 O\x1b[2JK\r\n\r\nx" // with a command to the terminal
	fmt.Fprint(peer, answer)
	peer.Close()
	if b, err := io.ReadAll(nc); err != nil || string(b) != answer {
		t.Errorf("got %q, %v", b, err)
	}
	nc.Close()
	fmt.Fprint(nc, "GET /late HTTP/1.1\r\n\r\n")
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tap.DialContext(canceled, "tcp", l.Addr().String()); err == nil {
		t.Error("dialed in a context that has ended")
	}
	tap.close()
	for _, want := range []string{"#1 connected to ", `HTTP/1.1 200 O\x1b[2JK`, "#1 recv body of 1 octets, until the connection ended", "#1 closed by the server", "#2 connect to "} {
		if strings.Count(out.String(), want) != 1 {
			t.Errorf("want %q once in:\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "late") {
		t.Errorf("what was not sent is in:\n%s", &out)
	}
}
