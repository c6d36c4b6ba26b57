package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	goodOffer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
	forwarded = goodOffer + "Via: 1.1 other\r\n"
)

// exchange sends a request on conn and reads the response.
func exchange(t *testing.T, conn net.Conn, br *bufio.Reader, fields string) int {
	t.Helper()
	fmt.Fprintf(conn, "GET /echo HTTP/1.1\r\nHost: x\r\n%s\r\n", fields)
	resp, err := http.ReadResponse(br, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
	}
	return resp.StatusCode
}

// linesOf ends the server and returns what it logged about a connection.
func linesOf(s *server, conn net.Conn) []string {
	s.signal()
	<-s.exited
	about := regexp.MustCompile(`(?m)^\S+ \S+ ` + regexp.QuoteMeta(conn.LocalAddr().String()) + ` (.*)$`)
	var lines []string
	for _, m := range about.FindAllStringSubmatch(s.log(), -1) {
		lines = append(lines, m[1])
	}
	return lines
}

// A connection has another line only when something changes.
func TestVerboseOncePerConnection(t *testing.T) {
	s := start(t, "-v")
	conn := dial(t, s.url)
	br := bufio.NewReader(conn)
	for _, fields := range []string{"", "", forwarded, forwarded, "", goodOffer} {
		want := http.StatusOK
		if fields == goodOffer {
			want = http.StatusSwitchingProtocols
		}
		if got := exchange(t, conn, br, fields); got != want {
			t.Fatalf("status %d, want %d", got, want)
		}
	}
	fmt.Fprint(conn, "this is no client preface")
	io.Copy(io.Discard, br)

	got := linesOf(s, conn)
	want := []string{
		"http/1.1: no offer",
		"http/1.1: offer declined: forwarded: request has the field Via",
		"upgrade",
		"upgrade: failed: preface_invalid",
	}
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("lines %q, want %q", got, want)
	}
}

func TestVerboseRefusedPriorKnowledge(t *testing.T) {
	for _, upgrade := range []string{"-upgrade=true", "-upgrade=false"} {
		s := start(t, "-v", "-prior-knowledge=false", upgrade)
		conn := dial(t, s.url)
		// The preface, empty SETTINGS, and a request for / on stream 1.
		fmt.Fprint(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+
			"\x00\x00\x00\x04\x00\x00\x00\x00\x00"+
			"\x00\x00\x06\x01\x05\x00\x00\x00\x01"+"\x82\x86\x84\x41\x01x")
		io.Copy(io.Discard, conn)
		got := linesOf(s, conn)
		if want := []string{"prior-knowledge: failed: prior_knowledge"}; !slices.Equal(got, want) {
			t.Errorf("%s: lines %q, want %q", upgrade, got, want)
		}
	}
}
