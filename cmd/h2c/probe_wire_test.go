package main

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	probe101 = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
	probe200 = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
)

// probeFrames returns what f writes.
func probeFrames(f func(*http2.Framer)) string {
	var b bytes.Buffer
	f(http2.NewFramer(&b, nil))
	return b.String()
}

var (
	probeEmptySettings = probeFrames(func(fr *http2.Framer) { fr.WriteSettings() })
	probePing          = probeFrames(func(fr *http2.Framer) { fr.WritePing(false, [8]byte{}) })
)

// probeHeaders is HEADERS on stream 1.
func probeHeaders(end bool, fields ...string) string {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		enc.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return probeFrames(func(fr *http2.Framer) {
		fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndHeaders: true, EndStream: end})
	})
}

// probeReadHead reads a request head, or the first line of a preface.
func probeReadHead(conn net.Conn) {
	var head []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(head, []byte("\r\n\r\n")) {
		if _, err := conn.Read(b); err != nil {
			break
		}
		head = append(head, b...)
	}
}

// probeReadRequest reads a request head, and then all that comes.
func probeReadRequest(conn net.Conn) (drained chan struct{}) {
	probeReadHead(conn)
	drained = make(chan struct{})
	go func() {
		defer close(drained)
		io.Copy(io.Discard, conn)
	}()
	return drained
}

// Whatever a server does, the probe comes to its end, and says what it was.
func TestProbeBadServers(t *testing.T) {
	const (
		once  = iota // answer, then end the connection
		hold         // answer, then wait for the other end
		again        // answer without an end
	)
	h2 := probe101 + probeEmptySettings
	tests := map[string]struct {
		how    int
		answer string // to each request
		get    string // verdict on an upgrade, and pattern
	}{
		"closes":           {once, "", "no closed$"},
		"half a head":      {once, "HTTP/1.1 200 OK\r\nServer: x", "no closed$"},
		"half a line":      {once, "HT", "no closed$"},
		"garbage":          {once, "SSH-2.0-x\x1b[31m\r\n", `no not HTTP: "SSH-2.0-x\\x1b\[31m\\r\\n"$`},
		"little garbage":   {once, "?", `no not HTTP: "\?"$`},
		"bad status line":  {once, "HTTP/1.1 OK\r\n\r\n", "no not HTTP: "},
		"bad header":       {once, "HTTP/1.1 200 OK\r\n\x00: x\r\n\r\n", "no not HTTP: "},
		"endless garbage":  {again, strings.Repeat("x", 1<<10), `no not HTTP: "x+"$`},
		"endless head":     {again, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: ", 1<<12), "no (not HTTP|more than 1 MiB without an end)"},
		"endless line":     {again, strings.Repeat("HTTP/", 1<<12), "no (not HTTP|more than 1 MiB without an end)"},
		"endless interim":  {again, "HTTP/1.1 100 Continue\r\n\r\n", "no 1xx responses without an end$"},
		"endless body":     {again, "HTTP/1.1 200 OK\r\n\r\n" + probe200, "no declined: HTTP/1.1 200, connection closed$"},
		"HTTP/1.0":         {once, "HTTP/1.0 200 OK\r\n\r\n", "no declined: HTTP/1.0 200, connection closed$"},
		"HTTP/2 only":      {once, probeEmptySettings, "no answered in HTTP/2 frames$"},
		"little of HTTP/2": {once, probeEmptySettings[:3], "no closed$"},
		"other protocol":   {hold, "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "no 101 to a protocol that is not h2c$"},

		"101, closes":          {once, probe101, "no 101, then closed"},
		"101, HTTP/1.1":        {once, probe101 + probe200, "no 101, then no HTTP/2, or a frame above 16384 octets$"},
		"101, no settings":     {once, probe101 + probePing, "no 101, then the first frame is PING, not SETTINGS$"},
		"101, acknowledgement": {once, probe101 + probeFrames(func(fr *http2.Framer) { fr.WriteSettingsAck() }), "no 101, then the first frame is an acknowledgement of SETTINGS, not SETTINGS$"},
		"101, GOAWAY": {once, probe101 + probeFrames(func(fr *http2.Framer) {
			fr.WriteGoAway(0, http2.ErrCodeProtocol, []byte("because\n"+strings.Repeat("x", 100)))
		}), `no 101, then GOAWAY PROTOCOL_ERROR "because\\nx+"\.\.\.$`},
		"101, reset":         {once, h2 + probeFrames(func(fr *http2.Framer) { fr.WriteRSTStream(1, http2.ErrCodeRefusedStream) }), "no 101, then RST_STREAM REFUSED_STREAM$"},
		"101, large frame":   {once, probe101 + "\x00\x40\x01\x04\x00\x00\x00\x00\x00" + strings.Repeat("\x00", 16385), "no 101, then no HTTP/2, or a frame above"},
		"101, bad settings":  {once, probe101 + "\x00\x00\x01\x04\x00\x00\x00\x00\x00\x00", "no 101, then a frame that is a FRAME_SIZE_ERROR$"},
		"101, DATA first":    {once, h2 + probeFrames(func(fr *http2.Framer) { fr.WriteData(1, true, nil) }), "no 101, then DATA before HEADERS$"},
		"101, bad HPACK":     {once, h2 + "\x00\x00\x01\x01\x05\x00\x00\x00\x01\x80", "no 101, then a frame that is a COMPRESSION_ERROR$"},
		"101, bad status":    {once, h2 + probeHeaders(true, ":status", "2oo"), `no 101, then :status "2oo"$`},
		"101, no status":     {once, h2 + probeHeaders(true, "server", "x"), `no 101, then :status ""$`},
		"101, bad field":     {once, h2 + probeHeaders(true, ":status", "200", "Server", "x"), "no 101, then a frame that is a PROTOCOL_ERROR$"},
		"101, large headers": {once, h2 + probeHeaders(true, ":status", "200", "x", strings.Repeat("x", 70<<10)), "no 101, then "},
		"101, endless settings": {again, h2 + strings.Repeat(probeFrames(func(fr *http2.Framer) {
			fr.WriteSettings(http2.Setting{ID: 0x100, Val: 1})
		}), 100), "no 101, then (more than 1 MiB without an end|no HTTP/2|closed)"},
		"101, endless PING":          {again, h2 + strings.Repeat(probePing, 1<<17), "no 101, then (more than 1 MiB without an end|closed)"},
		"101, endless interim":       {again, h2 + strings.Repeat(probeHeaders(false, ":status", "103"), 1<<17), "no 101, then 1xx responses without an end$"},
		"101, endless continuations": {again, h2 + "\x00\x00\x00\x01\x01\x00\x00\x00\x01" + strings.Repeat("\x00\x00\x00\x09\x00\x00\x00\x00\x01", 1<<17), "no 101, then (more than 1 MiB without an end|a frame that is a|closed)"},

		"no fields in the 101": {hold, "HTTP/1.1 101 \r\n\r\n" + probeEmptySettings + probeHeaders(true, ":status", "200"), "note 101, then 200 on stream 1; the 101 lacks Upgrade: h2c$"},
		"interim responses": {hold, "HTTP/1.1 100 x\r\n\r\nHTTP/1.1 103 x\r\n\r\n" + h2 + probeHeaders(false, ":status", "103") +
			probeHeaders(true, ":status", "204"), "ok 101, then 204 on stream 1$"},
		"graceful GOAWAY": {hold, h2 + probeFrames(func(fr *http2.Framer) { fr.WriteGoAway(1, http2.ErrCodeNo, nil) }) +
			probeHeaders(true, ":status", "200"), "ok 101, then 200 on stream 1$"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := probeListen(t, func(conn net.Conn) {
				conn.SetDeadline(time.Now().Add(patience))
				drained := probeReadRequest(conn)
				_, err := io.WriteString(conn, test.answer)
				for test.how == again && err == nil {
					_, err = io.WriteString(conn, test.answer)
				}
				if test.how == hold {
					<-drained
				}
				conn.(*net.TCPConn).CloseWrite()
				<-drained // no reset, which might overtake the answer
			})
			p := runProbe(t, "-timeout=20s", url)
			found := false
			for _, r := range p.Rows {
				if r.ID == "upgrade-get" {
					found = true
					verdict, pattern, _ := strings.Cut(test.get, " ")
					if r.Verdict != verdict || !regexp.MustCompile("^(?:"+pattern+")").MatchString(r.Evidence) {
						t.Errorf("%s %q, want %q", r.Verdict, r.Evidence, test.get)
					}
				}
				wantProbePrintable(t, r.Evidence)
			}
			if !found {
				t.Error("no row upgrade-get")
			}
		})
	}
}

// wantProbePrintable checks that evidence may be written to a terminal.
func wantProbePrintable(t *testing.T, evidence string) {
	t.Helper()
	if len(evidence) == 0 || len(evidence) > 2000 {
		t.Errorf("evidence of %d octets", len(evidence))
	}
	if strings.ContainsFunc(evidence, func(r rune) bool { return r < ' ' || r >= 0x7f }) {
		t.Errorf("evidence %q", evidence)
	}
}

// A server that says nothing is asked three times, not thirty.
func TestProbeSilentServer(t *testing.T) {
	url := probeListen(t, func(conn net.Conn) { io.Copy(io.Discard, conn) })
	const silence = "no no answer within 150ms$"
	runProbe(t, "-timeout=150ms", url).wantVerdicts(t, allVerdicts("note not asked: it does not answer", map[string]string{
		"keep-alive": "no HEAD: no answer within 150ms$", "upgrade-get": silence, "prior-knowledge": silence,
		"upgrade-":         "note not asked: it does not answer",
		"settings-upgrade": "no not known", "settings-prior": "no not known", "proxy-tunnel": "ok no upgrade",
	}))
}

// One that says a little and then nothing is asked for as long as the bound on all allows.
func TestProbeOverall(t *testing.T) {
	url := probeListen(t, func(conn net.Conn) {
		drained := probeReadRequest(conn)
		io.WriteString(conn, probe101+probeEmptySettings)
		<-drained
	})
	p := runProbe(t, "-timeout=100ms", url)
	last := p.Rows[len(p.Rows)-2]
	if last.ID != "forwarded-via" || last.Verdict != "note" || last.Evidence != "not asked: the time was up" {
		t.Errorf("%+v", last)
	}
}

// An answer to HEAD has no DATA.
func TestProbeDataAfterHead(t *testing.T) {
	url := probeListen(t, func(conn net.Conn) {
		drained := probeReadRequest(conn)
		io.WriteString(conn, probe101+probeEmptySettings+probeHeaders(false, ":status", "200")+
			probeFrames(func(fr *http2.Framer) { fr.WriteData(1, true, []byte("x")) }))
		<-drained
	})
	for _, r := range runProbe(t, probePatience, url).Rows {
		if want := "101, then 200 on stream 1; DATA in the answer to HEAD"; r.ID == "upgrade-head" && r.Evidence != want {
			t.Errorf("%q, want %q", r.Evidence, want)
		}
	}
}

// A server may answer before it has the body, and never read it.
func TestProbeBodyNotRead(t *testing.T) {
	release := make(chan struct{})
	url := probeListen(t, func(conn net.Conn) {
		probeReadHead(conn)
		io.WriteString(conn, "HTTP/1.1 413 Too Large\r\nConnection: close\r\n\r\n")
		<-release
	})
	defer close(release)
	p := runProbe(t, probePatience, url)
	p.wantVerdicts(t, allVerdicts("ok declined: HTTP/1.1 413, as without the offer, connection closed", map[string]string{
		"keep-alive": "no ", "upgrade-": "no HTTP/1.1 413", "upgrade-second": "no no keep-alive", "prior-knowledge": "no HTTP/1.1 413",
		"settings-upgrade": "no not known", "settings-prior": "no not known", "proxy-tunnel": "ok no upgrade",
	}))
}

func TestProbeHost(t *testing.T) {
	for rawURL, want := range map[string]string{
		"http://example.test":           "example.test",
		"http://example.test:8080/x":    "example.test:8080",
		"http://[::1]:80":               "[::1]:80",
		"http://[fe80::1%25eth0]:80/%5": "",
		"http://[fe80::1%25eth0]:80/":   "[fe80::1]:80",
		"http://[fe80::1%25e]":          "[fe80::1]",
	} {
		u, err := parseProbeURL(rawURL)
		if want == "" {
			if err == nil {
				t.Errorf("%s is taken", rawURL)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", rawURL, err)
			continue
		}
		if got := (&probeTarget{url: u}).host(); got != want {
			t.Errorf("%s: Host %q, want %q", rawURL, got, want)
		}
	}
}

// An octetsConn is a connection whose other end has sent some octets and then nothing.
type octetsConn struct {
	net.Conn
	r *bytes.Reader
}

func (c *octetsConn) Read(p []byte) (int, error) {
	if c.r.Len() == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	return c.r.Read(p)
}
func (c *octetsConn) Write(p []byte) (int, error) { return len(p), nil }
func (c *octetsConn) SetDeadline(time.Time) error { return nil }
func (c *octetsConn) Close() error                { return nil }

// Any octets at all are an answer of which something can be said.
func FuzzProbeAnswer(f *testing.F) {
	for _, seed := range []string{
		"", probe200, probe101, probeEmptySettings + probeHeaders(true, ":status", "200"),
		probe101 + probeEmptySettings + probeHeaders(true, ":status", "200", "via", "1.1 x"),
		"HTTP/1.1 103 x\r\n\r\n" + probe200, "HTTP/", "\x00\x00", "\x00\x00\x12\x04",
	} {
		f.Add([]byte(seed))
	}
	target := probeTarget{url: &url.URL{Scheme: "http", Host: "x"}, timeout: time.Second}
	f.Fuzz(func(t *testing.T, octets []byte) {
		open := func() *probeConn {
			return newProbeConn(t.Context(), &octetsConn{r: bytes.NewReader(octets)}, time.Now().Add(time.Hour))
		}
		p := &prober{target: target}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			c := open()
			p.upgrade = c.do(&p.target, probeRequest{method: method, fields: probeGoodOffer})
			c.close()
			wantProbeFinding(t, p.judgeUpgrade(p.upgrade))
			wantProbeFinding(t, p.judgeUnwanted(p.upgrade, true))
			wantProbeFinding(t, p.judgeSettings(p.upgrade, nil))
			wantProbeFinding(t, askTunnel(t.Context(), p))
			p.plain = p.upgrade.final
		}
		c := open()
		p.prior = c.priorKnowledge(&p.target)
		c.close()
		wantProbePrintable(t, p.evidence(p.prior))
		wantProbeFinding(t, p.judgeSettings(p.prior, p.upgrade))
	})
}

func wantProbeFinding(t *testing.T, f probeFinding) {
	t.Helper()
	wantProbePrintable(t, f.evidence)
	if f.verdict == "" {
		t.Error("no verdict")
	}
}
