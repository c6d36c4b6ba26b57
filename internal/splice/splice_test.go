package splice

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const accept = "ACCEPT"

// inject stands for an injected request, of which only the SETTINGS frame matters here.
var inject = string(AppendRequest(nil, Request{Settings: []http2.Setting{{ID: http2.SettingHeaderTableSize, Val: 100}}}))

var settings = string(appendFrameHeader(nil, 6, http2.FrameSettings, 0, 0)) + "\x00\x03\x00\x00\x00\x64"

var settingsAck = appendFrameHeader(nil, 0, http2.FrameSettings, http2.FlagSettingsAck, 0)

var markerAck = append(appendFrameHeader(nil, len(marker), http2.FramePing, http2.FlagPingAck, 0), marker...)

// answers are what an engine writes when it has read the injected SETTINGS, HEADERS and PING.
var answers = append(bytes.Clone(settingsAck), markerAck...)

// open returns both ends of a connection that nobody refuses.
func open(t testing.TB, cfg Config, o memnet.Options) (engine *Conn, client *memnet.Conn, closed *error) {
	client, server := memnet.Pipe(o, 1)
	closed = new(error)
	cfg.Accept = []byte(accept)
	cfg.Take = func() bool { return true }
	cfg.Open = func() {}
	cfg.Closed = func(err error) { *closed = err }
	engine = New(server, cfg)
	t.Cleanup(func() {
		engine.Close()
		client.Close()
	})
	return engine, client, closed
}

func readAll(t *testing.T, r io.Reader, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got[:n], err, want)
	}
}

func TestEngineReads(t *testing.T) {
	for _, buffered := range []int{0, 1, 23, 24, 30, 33, 39, 41} {
		for _, maxRead := range []int{0, 1, 7} {
			sent := http2.ClientPreface + settings + "and more"
			engine, client, closed := open(t, Config{Inject: []byte(inject), Buffered: []byte(sent[:buffered])}, memnet.Options{MaxRead: maxRead})
			engine.Write(answers)
			io.WriteString(client, sent[buffered:])
			readAll(t, iotest.OneByteReader(engine), http2.ClientPreface+inject+settings+"and more")
			if engine.in.Load() == nil {
				continue
			}
			io.WriteString(client, "!")
			readAll(t, engine, "!")
			if engine.in.Load() != nil {
				t.Errorf("still filtering what is read")
			}
			engine.Close()
			if *closed != nil {
				t.Error(*closed)
			}
		}
	}
}

// The engine's answer to its second SETTINGS frame must not be taken for that to the first.
func TestClientSettingsWaitForAck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, client, _ := open(t, Config{Inject: []byte(inject)}, memnet.Options{})
		engine.Write(markerAck)
		io.WriteString(client, http2.ClientPreface+settings)
		readAll(t, engine, http2.ClientPreface+inject)
		read := make(chan struct{})
		go func() {
			readAll(t, engine, settings)
			close(read)
		}()
		synctest.Wait()
		select {
		case <-read:
			t.Error("the client's SETTINGS were read before the injected ones were acknowledged")
		default:
		}
		engine.Write(settingsAck)
		<-read
	})
}

func TestDropTableSize(t *testing.T) {
	const tableSize, window = http2.SettingHeaderTableSize, http2.SettingInitialWindowSize
	for _, tt := range []struct {
		inForce    []http2.Setting
		sent, want []http2.Setting
	}{
		{nil, nil, nil},
		{nil, []http2.Setting{{ID: window, Val: 1}}, []http2.Setting{{ID: window, Val: 1}}},
		{nil, []http2.Setting{{ID: tableSize, Val: 4096}, {ID: window, Val: 1}}, []http2.Setting{{ID: window, Val: 1}}},
		{[]http2.Setting{{ID: tableSize, Val: 16384}}, []http2.Setting{{ID: window, Val: 1}, {ID: tableSize, Val: 16384}}, []http2.Setting{{ID: window, Val: 1}}},
		{[]http2.Setting{{ID: tableSize, Val: 0}}, []http2.Setting{{ID: tableSize, Val: 4096}}, []http2.Setting{{ID: tableSize, Val: 4096}}},
		{nil, []http2.Setting{{ID: tableSize, Val: 4096}, {ID: window, Val: 1}, {ID: tableSize, Val: 1}}, []http2.Setting{{ID: tableSize, Val: 4096}, {ID: window, Val: 1}, {ID: tableSize, Val: 1}}},
	} {
		inForce := tableSizeAfter(tt.inForce)
		got, want := dropTableSize(settingsFrame(tt.sent), inForce), settingsFrame(tt.want)
		if !bytes.Equal(got, want) {
			t.Errorf("%v, with %d in force: %x, want %x", tt.sent, inForce, got, want)
		}
	}
}

func tableSizeAfter(s []http2.Setting) uint32 {
	return tableSize(AppendRequest(nil, Request{Settings: s}))
}

func settingsFrame(s []http2.Setting) []byte {
	var b bytes.Buffer
	http2.NewFramer(&b, nil).WriteSettings(s...)
	return b.Bytes()
}

func TestPriorKnowledge(t *testing.T) {
	engine, client, closed := open(t, Config{Buffered: []byte("buffered ")}, memnet.Options{})
	io.WriteString(client, "frames")
	engine.Write(settingsAck) // passes: the client has sent what it answers
	readAll(t, engine, http2.ClientPreface+"buffered frames")
	readAll(t, client, accept+string(settingsAck))
	if engine.out.Load() != nil {
		t.Error("still filtering what is written")
	}
	engine.Close()
	if *closed != nil {
		t.Error(*closed)
	}
}

func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(memnet.Options{}, 1)
		var closed error
		engine := New(server, Config{
			Inject:  []byte(inject),
			Refusal: []byte("no"),
			Take:    func() bool { return false },
			Open:    func() { t.Error("opened") },
			Closed:  func(err error) { closed = err },
		})
		readErr := make(chan error)
		go func() {
			_, err := io.ReadAll(engine)
			readErr <- err
		}()
		if _, err := engine.Write([]byte("frame")); !errors.Is(err, ErrRefused) {
			t.Errorf("Write: %v", err)
		}
		if b, err := io.ReadAll(client); string(b) != "no" || err != nil {
			t.Errorf("client got %q, %v", b, err)
		}
		if err := <-readErr; !errors.Is(err, ErrRefused) || !errors.Is(closed, ErrRefused) {
			t.Errorf("Read: %v, Closed: %v", err, closed)
		}
		if err := engine.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
}

// The engine gives up a connection that is being refused: the client gets its answer.
func TestCloseDoesNotCutRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := memnet.Pipe(memnet.Options{}, 1)
		closed := 0
		engine := New(server, Config{
			Inject:  []byte(inject),
			Refusal: bytes.Repeat([]byte("no"), 1<<20), // more than is sent at once
			Take:    func() bool { return false },
			Closed:  func(error) { closed++ },
		})
		go engine.Refuse()
		synctest.Wait()
		if err := engine.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Close: %v", err)
		}
		engine.SetReadDeadline(time.Time{})
		if b, err := io.ReadAll(client); len(b) != 2<<20 || err != nil {
			t.Errorf("client got %d octets, %v", len(b), err)
		}
		time.Sleep(lingerTimeout) // the client stays: the end comes by itself
		synctest.Wait()
		if closed != 1 {
			t.Errorf("Closed was called %d times", closed)
		}
	})
}

// Nothing reaches the client until the engine is known to answer the request, and nothing
// but the refusal if it is not going to.
func TestAccepted(t *testing.T) {
	goAway := func(last byte) []byte {
		return append(appendFrameHeader(nil, 8, http2.FrameGoAway, 0, 0), 0, 0, 0, last, 0, 0, 0, 0)
	}
	for _, tt := range []struct {
		name   string
		writes [][]byte
		want   string
	}{
		{"closed before", [][]byte{[]byte(settings)}, "refused"},
		{"accepted", [][]byte{[]byte(settings), markerAck}, accept + settings},
		{"accepted, then going away", [][]byte{markerAck, goAway(1)}, accept + string(goAway(1))},
		{"accepted, then told of another connection's stream", [][]byte{markerAck, goAway(0)}, accept + string(goAway(0))},
		{"going away after the request", [][]byte{goAway(1), markerAck}, accept + string(goAway(1))},
		{"going away before the request", [][]byte{[]byte(settings), goAway(0), markerAck}, "refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opened := false
				client, server := memnet.Pipe(memnet.Options{}, 1)
				engine := New(server, Config{
					Inject: []byte(inject), Accept: []byte(accept), Refusal: []byte("refused"),
					Take: func() bool { return true }, Open: func() { opened = true }, Closed: func(error) {},
				})
				for _, b := range tt.writes {
					for i := range b {
						engine.Write(b[i : i+1])
					}
				}
				engine.Close()
				if got, _ := io.ReadAll(client); string(got) != tt.want {
					t.Errorf("client got %q, want %q", got, tt.want)
				}
				client.Close()
				synctest.Wait()
				if want := strings.HasPrefix(tt.want, accept); opened != want {
					t.Errorf("opened: %v, want %v", opened, want)
				}
			})
		})
	}
}

// What waits for the client's preface ends with the connection.
func TestCloseEndsWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, _, closed := open(t, Config{Inject: []byte(inject)}, memnet.Options{})
		errs := make(chan error, 2)
		go func() {
			_, err := engine.Write(append(bytes.Clone(answers), make([]byte, 100<<10)...))
			errs <- err
		}()
		go func() {
			_, err := io.ReadAll(engine)
			errs <- err
		}()
		synctest.Wait()
		engine.Close()
		for range 2 {
			if err := <-errs; err == nil {
				t.Error("no error")
			}
		}
		if !errors.Is(*closed, ErrPrefaceMissing) {
			t.Errorf("Closed: %v", *closed)
		}
	})
}

// A read deadline of the engine does not lose octets of the preface.
func TestDeadlineInPreface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, client, _ := open(t, Config{Inject: []byte(inject)}, memnet.Options{})
		engine.Write(answers)
		readAll(t, engine, http2.ClientPreface+inject)
		for _, part := range []string{http2.ClientPreface[:5], http2.ClientPreface[5:] + settings[:3], settings[3:]} {
			engine.SetReadDeadline(time.Now().Add(time.Second))
			if n, err := engine.Read(make([]byte, 100)); n != 0 || !isTimeout(err) {
				t.Fatalf("got %d, %v", n, err)
			}
			io.WriteString(client, part)
		}
		engine.SetReadDeadline(time.Time{})
		readAll(t, engine, settings)
	})
}

func TestAppendRequest(t *testing.T) {
	fields := []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":path", Value: "/"}, {Name: "x-big", Value: strings.Repeat("~", 40_000)}}
	for _, n := range []int{0, 1, 126, 127, 128, 254, 255, 16509, 16510, 16511} { // where the length takes another octet
		fields = append(fields, hpack.HeaderField{Name: "x", Value: strings.Repeat("v", n)})
	}
	b := AppendRequest([]byte("before"), Request{
		Settings: []http2.Setting{{ID: 3, Val: 1}, {ID: 4, Val: 2}, {ID: 3, Val: 3}},
		Fields:   fields,
		Body:     bytes.Repeat([]byte("b"), 40_000),
	})
	b, ok := bytes.CutPrefix(b, []byte("before"))
	if !ok {
		t.Fatal("did not append")
	}
	fr := http2.NewFramer(io.Discard, bytes.NewReader(b))
	dec := hpack.NewDecoder(0, nil) // without a dynamic table
	dec.SetAllowedMaxDynamicTableSize(0)
	fr.ReadMetaHeaders = dec
	f, err := fr.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	var got []http2.Setting
	f.(*http2.SettingsFrame).ForeachSetting(func(s http2.Setting) error {
		got = append(got, s)
		return nil
	})
	if diff := cmp.Diff([]http2.Setting{{ID: 4, Val: 2}, {ID: 3, Val: 3}}, got); diff != "" {
		t.Errorf("settings (-want +got)\n%s", diff)
	}
	f, err = fr.ReadFrame()
	if err != nil {
		t.Fatal(err)
	}
	for i := range fields {
		fields[i].Sensitive = true
	}
	if diff := cmp.Diff(fields, f.(*http2.MetaHeadersFrame).Fields); diff != "" {
		t.Errorf("fields (-want +got)\n%s", diff)
	}
	if f, err := fr.ReadFrame(); err != nil || f.Header().Type != http2.FramePing {
		t.Errorf("got %v, %v, want the marker", f, err)
	}
	body, ended := 0, false
	for !ended {
		f, err := fr.ReadFrame()
		if err != nil {
			t.Fatal(err)
		}
		d := f.(*http2.DataFrame)
		body, ended = body+len(d.Data()), d.StreamEnded()
	}
	if body != 40_000 {
		t.Errorf("body of %d octets", body)
	}
}

// FuzzInbound (S-06) sends any octets as the client's, in any split, and with any part of them
// read before the engine came.
func FuzzInbound(f *testing.F) {
	f.Add([]byte(http2.ClientPreface+settings+"rest"), uint8(0), uint8(0))
	f.Add([]byte(http2.ClientPreface+settings), uint8(24), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint8(3), uint8(0))
	f.Add(append([]byte(http2.ClientPreface), settingsFrame([]http2.Setting{{ID: 1, Val: 100}, {ID: 4, Val: 1}})...), uint8(0), uint8(0))
	f.Add(append([]byte(http2.ClientPreface), 0, 64, 1, 4, 0, 0, 0, 0, 0), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, sent []byte, buffered, maxRead uint8) {
		n := min(int(buffered), len(sent))
		engine, client, closed := open(t, Config{Inject: []byte(inject), Buffered: bytes.Clone(sent[:n])}, memnet.Options{MaxRead: int(maxRead)})
		engine.Write(answers)
		client.Write(sent[n:])
		client.CloseWrite()
		got, err := io.ReadAll(engine)
		engine.Close()

		want := http2.ClientPreface + inject
		rest, valid := validPreface(sent)
		switch {
		case valid:
			n := frameHeaderLen + frameHeader(rest).length()
			want += string(dropTableSize(bytes.Clone(rest[:n]), 100)) + string(rest[n:])
			if err != nil || *closed != nil {
				t.Errorf("error %v, closed %v", err, *closed)
			}
		case !errors.Is(err, ErrPrefaceInvalid) && !errors.Is(err, ErrPrefaceMissing) || !errors.Is(*closed, err):
			t.Errorf("error %v, closed %v", err, *closed)
		}
		if string(got) != want {
			t.Errorf("engine read %q, want %q", got, want)
		}
	})
}

// validPreface returns what follows the 24 octets of a preface, if SETTINGS do.
func validPreface(b []byte) (rest []byte, ok bool) {
	rest, ok = bytes.CutPrefix(b, []byte(http2.ClientPreface))
	if !ok || len(rest) < frameHeaderLen {
		return nil, false
	}
	h := frameHeader(rest)
	return rest, h.isSettings(false) && h.length() <= maxFrameLen && len(rest) >= frameHeaderLen+h.length()
}

// FuzzOutbound (S-06) lets the engine write any frames, in any split. Once it has accepted the
// request, the client gets all but the first acknowledgement of SETTINGS, the answer to the
// marker, credit that was withheld, and WINDOW_UPDATE for stream 1 up to then.
func FuzzOutbound(f *testing.F) {
	f.Add([]byte{0, 1, 6, 2, 3, 4, 5}, uint16(100), uint8(3))
	f.Add([]byte{6, 1, 1, 2, 2, 3}, uint16(0), uint8(1))
	f.Add([]byte{5, 2, 1, 3, 6, 3, 2, 6}, uint16(65535), uint8(200))
	f.Fuzz(func(t *testing.T, script []byte, data uint16, split uint8) {
		var written, want []byte
		owed, acked, accepted := int(data), false, false
		for _, op := range script[:min(len(script), 100)] {
			settled := acked && accepted && owed == 0
			frame, pass := []byte(nil), true
			switch op % 7 {
			case 0:
				frame = []byte(settings)
			case 1:
				frame = settingsAck
				pass, acked = acked, true
			case 2, 3:
				stream, increment := uint32(op%7-2), 1+int(op)*300
				frame = windowUpdate(stream, increment)
				if stream == 1 {
					pass = settled
				} else if withheld := min(owed, increment); withheld > 0 {
					written = append(written, frame...)
					owed -= withheld
					if increment > withheld {
						want = append(want, windowUpdate(0, increment-withheld)...)
					}
					continue
				}
			case 4:
				frame = appendFrameHeader(nil, int(op), http2.FrameData, 0, 1)
				frame = append(frame, bytes.Repeat([]byte{op}, int(op))...)
			case 5:
				frame = appendFrameHeader(nil, 8, http2.FramePing, http2.FlagPingAck, 0)
				frame = append(frame, "12345678"...)
			case 6:
				frame = markerAck
				pass, accepted = accepted, true
			}
			written = append(written, frame...)
			if pass {
				want = append(want, frame...)
			}
		}
		engine, client, _ := open(t, Config{Inject: []byte(inject), InjectedData: int(data)}, memnet.Options{})
		io.WriteString(client, http2.ClientPreface+settings)
		go io.Copy(io.Discard, engine)
		go func() {
			for b := written; len(b) > 0; {
				n := min(len(b), 1+int(split))
				if m, err := engine.Write(b[:n]); m != n || err != nil {
					t.Errorf("Write: %d, %v", m, err)
				}
				b = b[n:]
			}
			engine.Conn.(*memnet.Conn).CloseWrite()
		}()
		got, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		if want = append([]byte(accept), want...); !accepted {
			want = nil
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("client got (-want +got)\n%s", diff)
		}
	})
}

func windowUpdate(stream uint32, increment int) []byte {
	return binary.BigEndian.AppendUint32(appendFrameHeader(nil, 4, http2.FrameWindowUpdate, 0, stream), uint32(increment))
}
