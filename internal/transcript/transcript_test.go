package transcript

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/http2"
)

const text = `peer: example 1.0
role: client
entry: upgrade
case: GET
expect: GET /bytes/40: HTTP/2.0 200, 40 octets with SHA-256 ` + digest40 + `
---
connection: 127.0.0.1:1234
client:
  | GET /bytes/40 HTTP/1.1
  | HTTP2-Settings: AAIAAAAA
  |
  # ; [ENABLE_PUSH = 0]
server:
  | HTTP/1.1 101 Switching Protocols
  | Upgrade: h2c
  |
  # SETTINGS frame <length=0, flags=0x00, stream_id=0>
  000000 04 00 00000000
  # HEADERS frame <length=1, flags=0x04, stream_id=1>
  #   ; END_HEADERS
  #   :status: 200
  000001 01 04 00000001
  88
client: after head, settings, headers 1
  # client preface
  "PRI * HTTP/2.0\r\n"
  "\r\n"
  "SM\r\n"
  "\r\n"
  # SETTINGS frame <length=6, flags=0x00, stream_id=0>
  #   [INITIAL_WINDOW_SIZE = 1]
  000006 04 00 00000000
  000400000001
server:
  # DATA frame <length=40, flags=0x01, stream_id=1>
  #   ; END_STREAM
  000028 00 01 00000001
  payload 0 40
  # SETTINGS frame <length=0, flags=0x01, stream_id=0>
  #   ; ACK
  000000 04 01 00000000
client: after ack, end-stream 1
  closes
`

const digest40 = "cd433027a6b1798f0d2c1a7ad396a705cda03d271e19c02ec02bd113bc790d85"

func TestParse(t *testing.T) {
	tr, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tr.Encode(), []byte(text)) {
		t.Error("another text")
	}
	peer, library := tr.Said(tr.Conns[0])
	if !peer.Preface || library.Acks != 1 || string(library.Streams[1].Body) != string(Payload(40)) {
		t.Errorf("peer said %+v, library said %+v", peer, library)
	}
}

func TestParseIsStrict(t *testing.T) {
	for _, change := range [][2]string{
		{"peer: example 1.0\n", ""},
		{"role: client", "role: proxy"},
		{"case: GET", "case: "},
		{"case: GET", "case: GET\ncolour: red"},
		{"40 octets", "41 octets"},
		{"---\n", ""},
		{"connection: 127.0.0.1:1234\n", ""},
		{"after head, settings", "after head 1, settings"},
		{"after head, settings", "after head,settings"},
		{"after head", "after dinner"},
		{"headers 1", "headers"},
		{"end-stream 1", "end-stream one"},
		{"end-stream 1\n", "end-stream 1 1 1\n"},
		{"server:\n  | HTTP", "server: after head\n  | HTTP"},
		{"server:\n  | HTTP", "proxy:\n  | HTTP"},
		{"[ENABLE_PUSH = 0]", "[ENABLE_PUSH = 1]"},
		{"000001 01 04 00000001", "00000101 04 00000001"},
		{"000001 01 04 00000001", "000001 01 04 0000000"},
		{"000001 01 04 00000001", "000002 01 04 00000001"},
		{"payload 0 40", "payload 0 4294967296"},
		{"payload 0 40", "payload 0 20\n  payload 20 20"},
		{`"SM\r\n"`, `"SM\r\n`},
		{"  closes\n", "  closes\n  00\n"},
		{"  closes\n", "  closes\nclient:\n"},
		{"  closes\n", "  closes"},
	} {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("%q is not in the text", change[0])
		}
		if _, err := Parse([]byte(strings.Replace(text, change[0], change[1], 1))); err == nil {
			t.Errorf("no error with %q in place of %q", change[1], change[0])
		}
	}
}

// What a Recorder makes does not depend on how octets come in pieces, as long as their order
// is the same.
func TestRecorder(t *testing.T) {
	tr, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []int{1, 10, 1 << 20} {
		r := NewRecorder(Client, tr.Conns[0].Client)
		for _, p := range tr.Conns[0].Parts {
			for b := range slices.Chunk(p.Octets, piece) {
				if p.Client {
					r.Read(bytes.Clone(b))
				} else {
					r.Wrote(bytes.Clone(b))
				}
			}
			if p.Closes {
				r.Closed()
			}
		}
		conn, err := r.Conn()
		if err != nil {
			t.Fatal(err)
		}
		again := *tr
		again.Conns = []Conn{conn}
		if got := again.Encode(); string(got) != text {
			t.Errorf("in pieces of %d octets:\n%s", piece, got)
		}
	}
}

// Octets that need credit come after it was given.
func TestRecorderWaitsForCredit(t *testing.T) {
	frames := func(write func(*http2.Framer)) []byte {
		var b bytes.Buffer
		write(http2.NewFramer(&b, nil))
		return b.Bytes()
	}
	data := frames(func(fr *http2.Framer) {
		for range 4 {
			fr.WriteData(1, false, make([]byte, 16384))
		}
	})
	r := NewRecorder(Client, "client")
	r.Read([]byte(http2.ClientPreface))
	r.Wrote(frames(func(fr *http2.Framer) {
		fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 65536})
		fr.WriteWindowUpdate(0, 100_000)
	}))
	r.Read(data[:len(data)-16384])
	r.Read(data[len(data)-16384:])
	r.Wrote(frames(func(fr *http2.Framer) { fr.WriteWindowUpdate(1, 50_000) }))
	r.Read(data)
	var got []string
	for _, p := range r.conn.Parts {
		for _, f := range p.After {
			got = append(got, f.String())
		}
	}
	if want := []string{"settings", "credit", "credit 65537", "stream-credit 1 65536"}; !slices.Equal(got, want) {
		t.Errorf("after %q, want %q", got, want)
	}
}

func TestRecorderTightWindow(t *testing.T) {
	for _, credit := range []uint32{1 << 10, slack} {
		var b bytes.Buffer
		fr := http2.NewFramer(&b, nil)
		said := func(write func()) []byte {
			b.Reset()
			write()
			return bytes.Clone(b.Bytes())
		}
		r := NewRecorder(Client, "client")
		r.Read([]byte(http2.ClientPreface))
		r.Wrote(said(func() {
			fr.WriteWindowUpdate(0, 1)
			fr.WriteWindowUpdate(1, 1<<20)
		}))
		r.Read(said(func() { fr.WriteData(1, false, make([]byte, 65536)) }))
		r.Wrote(said(func() { fr.WriteWindowUpdate(0, 10+credit) }))
		r.Read(said(func() { fr.WriteData(1, true, make([]byte, 10)) }))
		_, err := r.Conn()
		if want := credit < slack; errors.Is(err, ErrTight) != want {
			t.Errorf("%d octets of credit are left: %v", credit, err)
		}
	}
}

func TestRecorderRejects(t *testing.T) {
	settings, ack := "\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
	for name, said := range map[string][2]string{
		"no acknowledgement": {http2.ClientPreface + settings, settings},
		"no answer to PING":  {http2.ClientPreface + "\x00\x00\x08\x06\x00\x00\x00\x00\x0012345678", settings},
		"a frame is cut":     {http2.ClientPreface + settings[:5], settings},
		"a stream is cut":    {http2.ClientPreface + settings, settings + ack + "\x00\x00\x01\x01\x04\x00\x00\x00\x01\x88"},
		"too large":          {strings.Repeat("x", maxRecorded), "x"},
	} {
		r := NewRecorder(Client, "client")
		r.Read([]byte(said[0]))
		r.Wrote([]byte(said[1]))
		if _, err := r.Conn(); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzParse checks that a text is accepted only if it is the one that Encode writes.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../../testdata/transcripts/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no transcripts: %v", err)
	}
	for i := 0; i < len(files); i += len(files)/10 + 1 {
		b, err := os.ReadFile(files[i])
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(text))
	f.Fuzz(func(t *testing.T, text []byte) {
		tr, err := Parse(text)
		if err == nil && !bytes.Equal(tr.Encode(), text) {
			t.Errorf("accepted:\n%s\nbut written:\n%s", text, tr.Encode())
		}
	})
}
