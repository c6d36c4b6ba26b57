package interop

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

// raw is a connection on which a test says each octet itself.
type raw struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, s *server) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(30 * time.Second))
	return &raw{nc, bufio.NewReader(nc)}
}

func (c *raw) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads a response to an HTTP/1 request.
func (c *raw) answer(t *testing.T) (*http.Response, []byte) {
	t.Helper()
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

const goodSettings = "AAMAAABkAAQCAAAAAAIAAAAA" // those of curl

// offerLines are the fields of a good offer, by which the bad ones differ.
const (
	connectionLine = "Connection: Upgrade, HTTP2-Settings\r\n"
	upgradeLine    = "Upgrade: h2c\r\n"
	settingsLine   = "HTTP2-Settings: " + goodSettings + "\r\n"
	goodOffer      = connectionLine + upgradeLine + settingsLine
)

func TestOfferIsDeclined(t *testing.T) {
	settings := func(value string) string {
		return connectionLine + upgradeLine + "HTTP2-Settings:" + value + "\r\n"
	}
	eachWay(t, func(t *testing.T, w way) {
		for _, tc := range []struct {
			name, fields string
			reason       h2c.Reason
		}{
			{"U-07 settings of 4 octets", settings(" AAMAAA"), h2c.ReasonSettingsMalformed},
			{"U-06 padding after 4 octets", settings(" AAMAAA=="), h2c.ReasonSettingsMalformed},
			{"U-06 padding where none is due", settings(" " + goodSettings + "=="), h2c.ReasonSettingsMalformed},
			{"U-06 space inside", settings(" AAMAAABk AAQCAAAAAAIAAAAA"), h2c.ReasonSettingsMalformed},
			{"U-06 tab inside", settings(" AAMAAABk\tAAQCAAAAAAIAAAAA"), h2c.ReasonSettingsMalformed},
			{"U-04 no HTTP2-Settings in Connection", "Connection: Upgrade\r\n" + upgradeLine + settingsLine, h2c.ReasonConnectionTokens},
			{"U-04 no Upgrade in Connection", "Connection: HTTP2-Settings\r\n" + upgradeLine + settingsLine, h2c.ReasonConnectionTokens},
			{"U-04 no Connection", upgradeLine + settingsLine, h2c.ReasonConnectionTokens},
			{"U-05 two HTTP2-Settings", goodOffer + settingsLine, h2c.ReasonSettingsCount},
			{"U-05 a list of two HTTP2-Settings", settings(" " + goodSettings + ", " + goodSettings), h2c.ReasonSettingsCount},
			{"U-05 no HTTP2-Settings", connectionLine + upgradeLine, h2c.ReasonSettingsCount},
			{"U-10 Via", goodOffer + "Via: 1.1 proxy\r\n", h2c.ReasonForwarded},
			{"U-10 Forwarded", goodOffer + "Forwarded: for=192.0.2.1\r\n", h2c.ReasonForwarded},
			{"U-10 X-Forwarded-For", goodOffer + "X-Forwarded-For: 192.0.2.1\r\n", h2c.ReasonForwarded},
		} {
			t.Run(tc.name, func(t *testing.T) {
				wantDeclined(t, w, "HTTP/1.1", tc.fields+"Content-Length: 11\r\n", string(payload(11)), tc.reason)
			})
		}
		t.Run("U-09 chunked body", func(t *testing.T) {
			body := "4\r\n" + string(payload(11)[:4]) + "\r\n7\r\n" + string(payload(11)[4:]) + "\r\n0\r\n\r\n"
			wantDeclined(t, w, "HTTP/1.1", goodOffer+"Transfer-Encoding: chunked\r\n", body, h2c.ReasonBodyUnsized)
		})
		t.Run("U-01 HTTP/1.0", func(t *testing.T) {
			fields := "Connection: keep-alive, Upgrade, HTTP2-Settings\r\n" + upgradeLine + settingsLine
			wantDeclined(t, w, "HTTP/1.0", fields+"Content-Length: 11\r\n", string(payload(11)), h2c.ReasonHTTPVersion)
		})
	})
}

// wantDeclined sends a POST of 11 octets of payload with an offer. The handler must answer
// it over HTTP/1, without having seen the offer, and the next one on the connection too.
func wantDeclined(t *testing.T, w way, version, fields, body string, reason h2c.Reason) {
	s := start(t, w)
	c := dialRaw(t, s)
	c.say(t, "POST /echo?1 "+version+"\r\nHost: example.com\r\n"+fields+"\r\n"+body)
	resp, got := c.answer(t)
	if resp.StatusCode != 200 || resp.Proto != version {
		t.Fatalf("answer is %s %s, want %s 200\n%s", resp.Proto, resp.Status, version, got)
	}
	rep := wantEcho(t, s, 0, got)
	for _, name := range []string{"Upgrade", "Http2-Settings"} { // U-28
		if v, ok := rep.Header[name]; ok {
			t.Errorf("handler saw %s: %q", name, v)
		}
	}
	if v := strings.Join(rep.Header["Connection"], ","); strings.Contains(v, "Upgrade") || strings.Contains(v, "HTTP2-Settings") {
		t.Errorf("handler saw Connection: %q", v)
	}

	c.say(t, "GET /echo?2 HTTP/1.1\r\nHost: example.com\r\n\r\n")
	if resp, _ := c.answer(t); resp.StatusCode != 200 {
		t.Errorf("next answer on the connection is %s", resp.Status)
	}
	s.wantSeen(t, "POST /echo?1 "+version+" by http/1.1, 11 octets", "GET /echo?2 HTTP/1.1 by http/1.1")
	s.wantConnections(t, 1)
	s.wantNegotiated(t, 0, 0, reason)
}
