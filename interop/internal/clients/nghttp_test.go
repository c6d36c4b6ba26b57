package clients

import (
	"bytes"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// nghttpText is what nghttp printed, with fewer fields and another body.
func nghttpText(body []byte) string {
	half := len(body) / 2
	return `[  0.000] Connected
[  0.000] HTTP Upgrade request
GET /one HTTP/1.1` + "\r\nhost: 127.0.0.1:1\r\n\r\n" + `
[  0.000] HTTP Upgrade response
HTTP/1.1 101 Switching Protocols` + "\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + `
[  0.001] HTTP Upgrade success
[  0.001] recv SETTINGS frame <length=6, flags=0x00, stream_id=0>
          (niv=1)
          [SETTINGS_MAX_FRAME_SIZE(0x05):1048576]
[  0.001] send PRIORITY frame <length=5, flags=0x00, stream_id=3>
          (dep_stream_id=0, weight=201, exclusive=0)
[  0.001] send HEADERS frame <length=49, flags=0x25, stream_id=13>
          ; END_STREAM | END_HEADERS | PRIORITY
          ; Open new stream
          :method: GET
          :path: /two
[  0.001] recv (stream_id=1) :status: 103
[  0.001] recv (stream_id=1) link: </style.css>; rel=preload
[  0.001] recv HEADERS frame <length=43, flags=0x04, stream_id=1>
          ; END_HEADERS
[  0.001] recv (stream_id=1) :status: 200
[  0.001] recv (stream_id=1) x-two: 1
[  0.001] recv (stream_id=1) x-two: 2
[  0.001] recv HEADERS frame <length=43, flags=0x04, stream_id=1>
          ; END_HEADERS
[  0.001] recv (stream_id=13) :status: 204
[  0.001] recv HEADERS frame <length=43, flags=0x05, stream_id=13>
          ; END_STREAM | END_HEADERS
` + string(body[:half]) + `[  0.002] send WINDOW_UPDATE frame <length=4, flags=0x00, stream_id=0>
          (window_size_increment=34459)
` + string(body[half:]) + fmt.Sprintf(`[  0.002] recv DATA frame <length=%d, flags=0x00, stream_id=1>
`, len(body)) + `[  0.002] recv (stream_id=1) x-check: done
[  0.002] recv HEADERS frame <length=12, flags=0x05, stream_id=1>
          ; END_STREAM | END_HEADERS
[  0.002] send GOAWAY frame <length=8, flags=0x00, stream_id=0>
          (last_stream_id=0, error_code=NO_ERROR(0x00), opaque_data(0)=[])
`
}

func nghttpLogOf(t *testing.T, text string, step int) *nghttpLog {
	t.Helper()
	l := &nghttpLog{streams: make(map[int]*nghttpStream), bodies: map[string]*body{
		"/one": newBody(Request{}, nil),
		"/two": newBody(Request{}, nil),
	}}
	for begin := 0; begin < len(text); begin += step {
		if _, err := l.Write([]byte(text[begin:min(begin+step, len(text))])); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestNghttpLog(t *testing.T) {
	// A body that is much like the log.
	payload := []byte("] [ 0.001] \n          [  0.001][  0.1] " + string(peer.Payload(5000)) + "[  0")
	want := Response{
		Proto: "HTTP/2.0", Status: 200, Interim: []int{103},
		Header:  http.Header{"X-Two": {"1", "2"}},
		Trailer: http.Header{"X-Check": {"done"}},
		Early:   http.Header{"Link": {"</style.css>; rel=preload"}},
		Size:    int64(len(payload)), SHA256: peer.Digest(payload),
	}
	for _, step := range []int{1, 2, 7, 100, 4096, 1 << 20} {
		l := nghttpLogOf(t, nghttpText(payload), step)
		got := l.response("/one")
		if !bytes.Equal(got.Body, payload) {
			t.Errorf("by %d octets: the body is not the same", step)
		}
		if got.Body = nil; !reflect.DeepEqual(got, want) {
			t.Errorf("by %d octets: the response is\n%+v\nwant\n%+v", step, got, want)
		}
		if got := l.response("/two"); got.Status != 204 || got.Size != 0 || got.Err != "" {
			t.Errorf("by %d octets: the other response is %+v", step, got)
		}
		if want := (http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}); !reflect.DeepEqual(l.switched, want) {
			t.Errorf("by %d octets: fields of the 101 are %v", step, l.switched)
		}
	}
}

func TestNghttpFailures(t *testing.T) {
	good := nghttpText([]byte("hello\n"))
	for name, tc := range map[string]struct{ old, new, err string }{
		"lost data":    {"lo\n[", "l\n[", "a DATA frame of 6 octets came with 5"},
		"no end":       {"flags=0x05, stream_id=1>", "flags=0x04, stream_id=1>", "stream 1 did not end"},
		"another path": {"GET /one", "GET /three", "there is no stream for it"},
		"goaway":       {"NO_ERROR(0x00)", "COMPRESSION_ERROR(0x09)", "COMPRESSION_ERROR"},
		"reset": {
			"[  0.002] send GOAWAY",
			"[  0.002] recv RST_STREAM frame <length=4, flags=0x00, stream_id=1>\n          (error_code=CANCEL(0x08))\n[  0.002] send GOAWAY",
			"recv RST_STREAM on stream 1: (error_code=CANCEL(0x08))",
		},
		"declined": {"101 Switching Protocols", "200 OK", "the offer was declined"},
	} {
		text := strings.Replace(good, tc.old, tc.new, 1)
		if text == good {
			t.Fatalf("%s: %q is not in the text", name, tc.old)
		}
		if got := nghttpLogOf(t, text, 100).response("/one"); !strings.Contains(got.Err, tc.err) {
			t.Errorf("%s: error is %q, want %q", name, got.Err, tc.err)
		}
	}
}

func TestNghttpOptions(t *testing.T) {
	text := strings.Replace(nghttpText([]byte("hello\n")), "GET /one", "OPTIONS *", 1)
	if got := nghttpLogOf(t, text, 100).response("/two"); got.Status != 204 || got.Err != "" {
		t.Errorf("response after OPTIONS * is %+v", got)
	}
	text = strings.Replace(text, "(stream_id=1) :status: 200", "(stream_id=1) :status: 404", 1)
	if got := nghttpLogOf(t, text, 100).response("/two"); !strings.Contains(got.Err, "OPTIONS * was answered 404") {
		t.Errorf("response after a failed OPTIONS * is %+v", got)
	}
}
