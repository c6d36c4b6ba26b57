package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// rawCells are those of which a case says each octet itself.
func rawCells() []matrix.Cell {
	declined := func(name string, offers []rawOffer, ids ...string) matrix.Cell {
		return eachWay(name, func(t *matrix.T, w origin.Way) {
			for _, o := range offers {
				t.Run(o.name, func(t *matrix.T) { o.wantDeclined(t, w) })
			}
		}, append(ids, "U-28")...)
	}
	return []matrix.Cell{
		declined("bad settings", rawSettings, "U-05", "U-06", "U-07"),
		declined("connection tokens", rawTokens, "U-04"),
		declined("forwarded", rawForwarded, "U-10"),
		declined("chunked body", rawChunked, "U-09"),
		declined("HTTP/1.0", rawHTTP10, "U-01"),
		eachWay("two upgrades pipelined", rawPipelined, "U-22"),
		eachWay("wrong preface", rawWrongPreface, "U-19"),
		{Case: "half a preface", IDs: []string{"P-02"}, Test: rawHalfPreface},
		{Case: "slow HTTP/1.1", IDs: []string{"P-02"}, Test: rawSlowHTTP1},
	}
}

const curlSettings = "AAMAAABkAAQCAAAAAAIAAAAA"

// The fields of a good offer, by which the bad ones differ.
const (
	connectionLine = "Connection: Upgrade, HTTP2-Settings\r\n"
	upgradeLine    = "Upgrade: h2c\r\n"
	settingsLine   = "HTTP2-Settings: " + curlSettings + "\r\n"
	goodOffer      = connectionLine + upgradeLine + settingsLine
)

// A rawOffer is in a POST of 11 octets of payload.
type rawOffer struct {
	name    string
	version string // "": HTTP/1.1
	fields  string
	chunked bool
	reason  h2c.Reason // for which it is declined
}

// withSettings is a good offer but for the value of HTTP2-Settings.
func withSettings(value string) string {
	return connectionLine + upgradeLine + "HTTP2-Settings: " + value + "\r\n"
}

var rawSettings = []rawOffer{
	{name: "4 octets", fields: withSettings("AAMAAA"), reason: h2c.ReasonSettingsMalformed},
	{name: "padding after 4 octets", fields: withSettings("AAMAAA=="), reason: h2c.ReasonSettingsMalformed},
	{name: "padding where none is due", fields: withSettings(curlSettings + "=="), reason: h2c.ReasonSettingsMalformed},
	{name: "space inside", fields: withSettings("AAMAAABk AAQCAAAAAAIAAAAA"), reason: h2c.ReasonSettingsMalformed},
	{name: "tab inside", fields: withSettings("AAMAAABk\tAAQCAAAAAAIAAAAA"), reason: h2c.ReasonSettingsMalformed},
	// Protocol::HTTP2 of Perl sends the header of an empty SETTINGS frame.
	{name: "frame header, as Perl's", fields: withSettings("AAAABAAAAAAA"), reason: h2c.ReasonSettingsMalformed},
	{name: "two fields", fields: goodOffer + settingsLine, reason: h2c.ReasonSettingsCount},
	{name: "list of two", fields: withSettings(curlSettings + ", " + curlSettings), reason: h2c.ReasonSettingsCount},
	{name: "none", fields: connectionLine + upgradeLine, reason: h2c.ReasonSettingsCount},
}

var rawTokens = []rawOffer{
	{name: "no HTTP2-Settings", fields: "Connection: Upgrade\r\n" + upgradeLine + settingsLine, reason: h2c.ReasonConnectionTokens},
	{name: "no Upgrade", fields: "Connection: HTTP2-Settings\r\n" + upgradeLine + settingsLine, reason: h2c.ReasonConnectionTokens},
	{name: "no Connection", fields: upgradeLine + settingsLine, reason: h2c.ReasonConnectionTokens},
}

var rawForwarded = []rawOffer{
	{name: "Via", fields: goodOffer + "Via: 1.1 proxy\r\n", reason: h2c.ReasonForwarded},
	{name: "Forwarded", fields: goodOffer + "Forwarded: for=192.0.2.1\r\n", reason: h2c.ReasonForwarded},
	{name: "X-Forwarded-For", fields: goodOffer + "X-Forwarded-For: 192.0.2.1\r\n", reason: h2c.ReasonForwarded},
}

var rawChunked = []rawOffer{
	{name: "two chunks", fields: goodOffer, chunked: true, reason: h2c.ReasonBodyUnsized},
}

var rawHTTP10 = []rawOffer{{
	name: "kept alive", version: "HTTP/1.0", reason: h2c.ReasonHTTPVersion,
	fields: "Connection: keep-alive, Upgrade, HTTP2-Settings\r\n" + upgradeLine + settingsLine,
}}

// wantDeclined sends the offer. The handler must answer the request over HTTP/1, without
// having seen the offer, and then the next one on the connection.
func (o rawOffer) wantDeclined(t *matrix.T, w origin.Way) {
	if o.version == "" {
		o.version = "HTTP/1.1"
	}
	payload := string(peer.Payload(11))
	fields, body := o.fields+"Content-Length: 11\r\n", payload
	if o.chunked {
		fields = o.fields + "Transfer-Encoding: chunked\r\n"
		body = "4\r\n" + payload[:4] + "\r\n7\r\n" + payload[4:] + "\r\n0\r\n\r\n"
	}
	s := origin.StartFor(t, w, origin.Config{})
	c := dialRaw(t, s)
	c.say("POST /echo?1 " + o.version + "\r\nHost: example.com\r\n" + fields + "\r\n" + body)
	resp, got := c.answer()
	if resp.StatusCode != 200 || resp.Proto != o.version {
		t.Fatalf("answer is %s %s, want %s 200\n%s", resp.Proto, resp.Status, o.version, got)
	}
	seen := s.Seen()[0]
	if want, _ := json.Marshal(seen); string(got) != string(want)+"\n" {
		t.Errorf("the client read\n%s\nbut the handler wrote\n%s", got, want)
	}
	for _, name := range []string{"Upgrade", "Http2-Settings"} {
		if v, ok := seen.Header[name]; ok {
			t.Errorf("handler saw %s: %q", name, v)
		}
	}
	if v := strings.Join(seen.Header["Connection"], ","); strings.Contains(v, "Upgrade") || strings.Contains(v, "HTTP2-Settings") {
		t.Errorf("handler saw Connection: %q", v)
	}

	c.say("GET /echo?2 HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if resp, _ := c.answer(); resp.StatusCode != 200 {
		t.Errorf("next answer on the connection is %s", resp.Status)
	}
	s.WantSeen(t, "POST /echo?1 "+o.version+" by http/1.1, 11 octets", "GET /echo?2 HTTP/1.1 by http/1.1")
	s.WantConnections(t, 1)
	s.WantNegotiated(t, 0, 0, o.reason)
}

// rawPipelined sends a second request with an offer in place of the preface.
func rawPipelined(t *matrix.T, w origin.Way) {
	wantPrefaceInvalid(t, w, "GET /echo?2 HTTP/1.1\r\nHost: example.com\r\n"+goodOffer+"\r\n")
}

// rawWrongPreface sends a preface of which one octet is another, or that no SETTINGS frame ends.
func rawWrongPreface(t *matrix.T, w origin.Way) {
	const settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	for _, i := range []int{0, 11, len(http2.ClientPreface) - 1} {
		wrong := []byte(http2.ClientPreface + settings)
		wrong[i] ^= 1
		t.Run(fmt.Sprintf("octet %d", i+1), func(t *matrix.T) { wantPrefaceInvalid(t, w, string(wrong)) })
	}
	t.Run("PING", func(t *matrix.T) {
		wantPrefaceInvalid(t, w, http2.ClientPreface+"\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678"+settings)
	})
}

// wantPrefaceInvalid sends a request with an offer, and then what is no preface.
func wantPrefaceInvalid(t *matrix.T, w origin.Way, after string) {
	s := origin.StartFor(t, w, origin.Config{Breaks: h2c.ReasonPrefaceInvalid})
	c := dialRaw(t, s)
	c.say("GET /echo?1 HTTP/1.1\r\nHost: example.com\r\n" + goodOffer + "\r\n" + after)
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("answer to the offer is %s", resp.Status)
	}
	// The connection may be closed or reset, but it may not stay.
	if _, err := io.Copy(io.Discard, c.r); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	t.Eventually("it is counted as preface_invalid", func() bool {
		return s.H2C.Stats().Failed[h2c.ReasonPrefaceInvalid] == 1
	})
	for i, r := range s.Seen() {
		if i > 0 || r.String() != "GET /echo?1 HTTP/2.0 by upgrade" {
			t.Errorf("handler saw %v", r)
		}
	}
}

// handshakeTimeout is short, and much shorter than slack, within which it must show.
const (
	handshakeTimeout = 300 * time.Millisecond
	slack            = 10 * time.Second
)

func rawHalfPreface(t *matrix.T) {
	for _, tc := range []struct {
		way  origin.Way
		from int // octets; of fewer NewHandler does not hear
	}{
		{origin.ByConfigureServer, 1},
		{origin.ByNewHandler, len("PRI * HTTP/2.0\r\n\r\n")},
	} {
		t.Run(string(tc.way), func(t *matrix.T) {
			s := origin.StartFor(t, tc.way, origin.Config{
				H2C:    &h2c.Server{HandshakeTimeout: handshakeTimeout},
				Breaks: h2c.ReasonPrefaceTimeout,
			})
			var wg sync.WaitGroup
			for n := tc.from; n < len(http2.ClientPreface); n++ {
				c := dialRaw(t, s)
				wg.Go(func() {
					began := time.Now()
					if _, err := io.WriteString(c, http2.ClientPreface[:n]); err != nil {
						t.Error(err)
					}
					c.SetDeadline(began.Add(slack))
					got, err := io.ReadAll(c)
					took := time.Since(began)
					switch {
					case errors.Is(err, os.ErrDeadlineExceeded):
						t.Errorf("%d octets of a preface: still open after %v", n, took)
					case took < handshakeTimeout:
						t.Errorf("%d octets of a preface: closed after only %v", n, took)
					case len(got) > 0:
						t.Errorf("%d octets of a preface: answered %q", n, got)
					}
				})
			}
			wg.Wait()
			want := int64(len(http2.ClientPreface) - tc.from)
			t.Eventually("each is counted as preface_timeout", func() bool {
				return s.H2C.Stats().Failed[h2c.ReasonPrefaceTimeout] == want
			})
			s.WantSeen(t)
		})
	}
}

// rawSlowHTTP1 sends requests that take longer than the handshake may.
func rawSlowHTTP1(t *matrix.T) {
	const request = " /echo HTTP/1.1\r\nHost: example.com\r\n\r\n"
	var wg sync.WaitGroup
	for name, parts := range map[string][2]string{
		"silence":         {"", "GET" + request},
		"first octet":     {"G", "ET" + request},
		"half a head":     {"GET" + request[:20], request[20:]},
		"all but the end": {"GET" + request[:len(request)-1], "\n"},
		// These begin like a preface, and then do not go on like one.
		"PO of POST":      {"PO", "ST" + request},
		"PRO of PROPFIND": {"PRO", "PFIND" + request},
		"PRI of PRINT":    {"PRIN", "T" + request},
	} {
		wg.Go(func() {
			t.Run(name, func(t *matrix.T) {
				s := origin.StartFor(t, origin.ByConfigureServer, origin.Config{
					H2C: &h2c.Server{HandshakeTimeout: handshakeTimeout},
				})
				c := dialRaw(t, s)
				c.say(parts[0])
				time.Sleep(3 * handshakeTimeout)
				c.say(parts[1])
				if resp, body := c.answer(); resp.StatusCode != 200 {
					t.Errorf("answer is %s: %s", resp.Status, body)
				}
				method, _, _ := strings.Cut(parts[0]+parts[1], " ")
				s.WantSeen(t, fmt.Sprintf("%s /echo HTTP/1.1 by http/1.1", method))
			})
		})
	}
	wg.Wait()
}

// A rawConn is a connection on which a case says each octet itself.
type rawConn struct {
	net.Conn
	r *bufio.Reader
	t *matrix.T
}

func dialRaw(t *matrix.T, s *origin.Server) *rawConn {
	nc, err := net.Dial("tcp", s.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &rawConn{nc, bufio.NewReader(nc), t}
}

func (c *rawConn) say(text string) {
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// answer reads a response to an HTTP/1 request.
func (c *rawConn) answer() (*http.Response, []byte) {
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp, body
}
