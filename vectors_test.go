package h2c_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c"
)

// A vector is a request and the verdict on it. See testdata/vectors/README.md.
type vector struct {
	name    string
	expect  string // upgrade, declined or none
	reason  h2c.Reason
	server  *h2c.Server
	request string // with line ends as on the wire
}

func readVectors(t *testing.T) []vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no vectors: %v", err)
	}
	var vectors []vector
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		vectors = append(vectors, parseVector(t, filepath.Base(file), string(data)))
	}
	return vectors
}

func parseVector(t *testing.T, name, data string) vector {
	t.Helper()
	header, request, ok := strings.Cut(data, "---\n")
	if !ok {
		t.Fatalf("%s: no line ---", name)
	}
	v := vector{name: name, server: new(h2c.Server), request: crlf(request)}
	for line := range strings.Lines(header) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case !ok:
			t.Fatalf("%s: malformed line %q", name, line)
		case key == "id":
			if !strings.HasPrefix(name, strings.ToLower(value)+"-") {
				t.Fatalf("%s: named after another requirement than %s", name, value)
			}
		case key == "comment":
		case key == "expect":
			expect, reason, _ := strings.Cut(value, " ")
			v.expect, v.reason = expect, h2c.Reason(reason)
		case key == "max-body":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			v.server.MaxUpgradeBodyBytes = n
		case key == "allow" && value == "all":
			v.server.AllowUpgrade = h2c.AllowAll
		case key == "allow" && value == "none":
			v.server.AllowUpgrade = func(*http.Request) error { return errors.New("no") }
		default:
			t.Fatalf("%s: unknown %q", name, line)
		}
	}
	if (v.expect == "declined") != (v.reason != "") || !strings.Contains(" upgrade declined none ", " "+v.expect+" ") {
		t.Fatalf("%s: expect %q %q", name, v.expect, v.reason)
	}
	return v
}

func TestVectors(t *testing.T) {
	for _, v := range readVectors(t) {
		t.Run(v.name, func(t *testing.T) {
			eachRole(t, func(t *testing.T, role role) { testVector(t, role, v) })
		})
	}
}

func testVector(t *testing.T, role role, v vector) {
	options := v.server
	s := &h2c.Server{AllowUpgrade: options.AllowUpgrade, MaxUpgradeBodyBytes: options.MaxUpgradeBodyBytes}
	ts := serve(t, role, http.HandlerFunc(see), withH2C(s))
	c := ts.dial()
	if _, err := c.nc.Write([]byte(v.request)); err != nil {
		t.Fatal(err)
	}
	sent, err := http.ReadRequest(bufio.NewReader(strings.NewReader(v.request)))
	if err != nil {
		t.Fatal(err)
	}

	if v.expect == "upgrade" {
		c.wantSwitch()
		c.preface()
		if r := c.response(1); r.Status != "200" {
			t.Errorf("got %+v", r)
		}
		if got := s.Stats(); got.Upgraded != 1 || len(got.Declined) > 0 {
			t.Errorf("stats %+v", got)
		}
		return
	}

	_, body := c.want1(200)
	var got seen
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	wantBody := ""
	if sent.ContentLength != 0 {
		wantBody = "12345"[:min(5, max(sent.ContentLength, 0))]
		if sent.ContentLength < 0 && strings.Contains(v.request, "12345") {
			wantBody = "12345"
		} else if sent.ContentLength > 5 {
			wantBody = "123456"
		}
	}
	if got.Body != wantBody || got.ProtoMajor != 1 {
		t.Errorf("handler saw %+v", got)
	}
	counted := map[h2c.Reason]int64(nil)
	if v.expect == "declined" {
		counted = map[h2c.Reason]int64{v.reason: 1}
		wantNoOffer(t, got.Header)
	} else {
		for name, values := range sent.Header {
			if diff := cmp.Diff(values, got.Header[name]); diff != "" {
				t.Errorf("%s changed:\n%s", name, diff)
			}
		}
	}
	if diff := cmp.Diff(counted, s.Stats().Declined); diff != "" {
		t.Errorf("declined (-want +got)\n%s", diff)
	}

	if sent.Method == http.MethodConnect {
		return // Go 1.27 closes the connection after it
	}
	c.send("GET /again HTTP/1.1\nHost: h\n\n")
	c.want1(200)
}

// wantNoOffer checks that nothing of an offer is left, and all of the rest (U-28).
func wantNoOffer(t *testing.T, h http.Header) {
	t.Helper()
	has := func(name, token string) bool {
		for line := range strings.SplitSeq(strings.Join(h[name], ","), ",") {
			if strings.EqualFold(strings.TrimSpace(line), token) {
				return true
			}
		}
		return false
	}
	if h["Http2-Settings"] != nil || has("Connection", "HTTP2-Settings") || has("Upgrade", "h2c") ||
		h["Upgrade"] == nil && has("Connection", "Upgrade") {
		t.Errorf("U-28: handler sees %v", h)
	}
}

func TestUpgrade_U28_restOfOfferStays(t *testing.T) {
	ts := serve(t, configured, http.HandlerFunc(see))
	c := ts.dial()
	c.send("GET / HTTP/1.1\nHost: h\nConnection: close, Upgrade, HTTP2-Settings\nUpgrade: websocket, h2c, foo/1\nVia: x\nHTTP2-Settings: AAMAAABk\nX-A: 1\n\n")
	_, body := c.want1(200)
	var got seen
	json.Unmarshal([]byte(body), &got)
	want := http.Header{"Connection": {"close, Upgrade"}, "Upgrade": {"websocket, foo/1"}, "Via": {"x"}, "X-A": {"1"}}
	if diff := cmp.Diff(want, got.Header); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
