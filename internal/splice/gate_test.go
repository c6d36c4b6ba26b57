package splice

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A windowEngine is an engine that counts the connection window that it has given.
type windowEngine struct {
	t      testing.TB
	conn   *Conn
	fr     *http2.Framer
	window int    // what the client may still send
	data   int    // octets of DATA that have come, those injected included
	raw    []byte // what was read after the injected request
	inject int    // octets of that

	update func(unacked int) int // how much of what has come it gives back
	unsent int                   // what it has not given back
}

// openGate returns a connection that was upgraded by a request with a body of n octets.
func openGate(t testing.TB, n int, o memnet.Options, update func(unacked int) int) (*windowEngine, *memnet.Conn) {
	request := AppendRequest(nil, Request{
		Fields: []hpack.HeaderField{{Name: ":method", Value: "POST"}},
		Body:   bytes.Repeat([]byte("b"), n),
	})
	conn, client, _ := open(t, Config{Inject: request, InjectedData: n}, o)
	conn.Take()
	e := &windowEngine{t: t, conn: conn, window: initialWindow, update: update, inject: len(http2.ClientPreface) + len(request)}
	e.fr = http2.NewFramer(conn, e)
	e.fr.SetMaxReadFrameSize(1<<24 - 1)
	e.fr.AllowIllegalReads = true
	return e, client
}

// Read keeps what is read, for comparison.
func (e *windowEngine) Read(p []byte) (int, error) {
	n, err := e.conn.Read(p)
	skip := min(n, e.inject)
	e.inject -= skip
	e.raw = append(e.raw, p[skip:n]...)
	return n, err
}

// serve reads frames until the connection ends, and checks the window.
func (e *windowEngine) serve() error {
	if _, err := io.ReadFull(e, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	for {
		f, err := e.fr.ReadFrame()
		if err != nil {
			return err
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				e.fr.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				e.fr.WritePing(true, f.Data)
			}
		case *http2.DataFrame:
			n := int(f.Length)
			e.data += n
			e.unsent += n
			if e.window -= n; e.window < 0 {
				e.t.Errorf("client overran the window by %d octets", -e.window)
			}
			if e.update == nil {
				continue
			}
			if n := e.update(e.unsent); n > 0 {
				e.give(n)
			}
		}
	}
}

func (e *windowEngine) give(n int) {
	e.window += n
	e.unsent -= n
	e.fr.WriteWindowUpdate(0, uint32(n))
}

// dataFrames returns n octets of DATA on stream 3, in frames of so many octets.
func dataFrames(n, size int) []byte {
	var b bytes.Buffer
	fr := http2.NewFramer(&b, nil)
	for n > 0 {
		m := min(n, size)
		n -= m
		fr.WriteData(3, n == 0, bytes.Repeat([]byte("d"), m))
	}
	return b.Bytes()
}

// openStream3 is what a client sends after the 101, up to the body of its next request.
func openStream3() []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	fr := http2.NewFramer(&b, nil)
	fr.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 100})
	fr.WriteSettingsAck()
	fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, BlockFragment: headerBlock([]hpack.HeaderField{{Name: ":method", Value: "POST"}})})
	fr.WriteWindowUpdate(1, 1000)
	fr.WritePing(false, [8]byte{1})
	return b.Bytes()
}

// U-24: a client that uses up the window that it thinks it has does not overrun the engine's,
// however it cuts its DATA, and the engine gets all of it as it came.
func TestGate_U24_window(t *testing.T) {
	for _, n := range []int{1, 100, 16383, 16384, 32768, 65534, 65535} {
		for _, size := range []int{100, 4096, 16383, 16384} {
			for _, maxRead := range []int{0, 1000} {
				for name, update := range map[string]func(int) int{
					"at once":   func(unacked int) int { return unacked },
					"by half":   func(unacked int) int { return unacked / 2 },
					"a quarter": func(unacked int) int { return unacked / (initialWindow / 4) * unacked },
				} {
					t.Run(fmt.Sprint(n, size, maxRead, name), func(t *testing.T) {
						e, client := openGate(t, n, memnet.Options{MaxRead: maxRead}, update)
						after := dataFrames(initialWindow, size)
						client.Write(openStream3())
						client.Write(after)
						client.CloseWrite()
						if err := e.serve(); err != io.EOF {
							t.Errorf("engine: %v", err)
						}
						if e.data != n+initialWindow {
							t.Errorf("engine got %d octets of DATA, want %d", e.data, n+initialWindow)
						}
						want := append(openStream3()[len(http2.ClientPreface):], after...)
						wantSame(t, e.raw, want)
					})
				}
			}
		}
	}
}

// wantSame compares frames, but for the places where unpadded DATA is cut, and for those of PING
// and WINDOW_UPDATE.
func wantSame(t testing.TB, got, want []byte) {
	t.Helper()
	frames := func(b []byte) (inOrder, others []byte) {
		data := -1 // where the DATA frame begins that inOrder ends with
		for len(b) >= frameHeaderLen && len(b) >= frameHeaderLen+frameHeader(b).length() {
			header := frameHeader(b)
			frame := b[:frameHeaderLen+header.length()]
			b = b[len(frame):]
			switch {
			case header.frameType() == http2.FramePing, header.frameType() == http2.FrameWindowUpdate:
				others = append(others, frame...)
				continue
			case header.frameType() != http2.FrameData || header.flags().Has(http2.FlagDataPadded):
				data = -1
			case data >= 0 && frameHeader(inOrder[data:]).stream() == header.stream() && !frameHeader(inOrder[data:]).flags().Has(http2.FlagDataEndStream):
				first := inOrder[data:]
				n := frameHeader(first).length() + header.length()
				copy(first, appendFrameHeader(nil, n, http2.FrameData, header.flags(), header.stream()))
				inOrder = append(inOrder, frame[frameHeaderLen:]...)
				continue
			default:
				data = len(inOrder)
			}
			inOrder = append(inOrder, frame...)
		}
		return append(inOrder, b...), others
	}
	gotOrder, gotOthers := frames(got)
	wantOrder, wantOthers := frames(want)
	if !bytes.Equal(gotOrder, wantOrder) || !bytes.Equal(gotOthers, wantOthers) {
		t.Errorf("engine read %d octets, not the %d that the client sent", len(got), len(want))
	}
}

// A DATA frame that is larger than what is left of the window does not wait for credit that the
// engine gives back only when it has the half of it.
func TestGate_cutsLargeFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 1000, memnet.Options{}, func(unacked int) int {
			if unacked < initialWindow/2 {
				return 0
			}
			return unacked
		})
		done := make(chan error)
		go func() { done <- e.serve() }()
		sent := append(openStream3(), dataFrames(initialWindow, initialWindow)...)
		client.Write(sent)
		client.CloseWrite()
		if err := <-done; err != io.EOF || e.data != 1000+initialWindow {
			t.Errorf("got %v, %d octets of DATA", err, e.data)
		}
		wantSame(t, e.raw, sent[len(http2.ClientPreface):])
	})
}

// PING and WINDOW_UPDATE pass while DATA before them waits, and HEADERS do not; nor does a
// WINDOW_UPDATE that may be for the stream that these open.
func TestGate_overtakes(t *testing.T) {
	for _, maxRead := range []int{0, 1, 7} {
		synctest.Test(t, func(t *testing.T) {
			e, client := openGate(t, 65535, memnet.Options{MaxRead: maxRead}, nil)
			done := make(chan error)
			go func() { done <- e.serve() }()
			client.Write(openStream3())
			client.Write(dataFrames(300, 100))
			fr := http2.NewFramer(client, nil)
			fr.WriteWindowUpdate(1, 77)
			fr.WritePing(false, [8]byte{2})
			synctest.Wait()
			before := len(openStream3()) - len(http2.ClientPreface)
			if got, want := len(e.raw)-before, 13+17; got != want {
				t.Errorf("%d octets passed the DATA that waits, want %d", got, want)
			}
			fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 5, EndHeaders: true, EndStream: true})
			fr.WriteWindowUpdate(5, 77)
			fr.WritePing(false, [8]byte{3})
			synctest.Wait()
			if got, want := len(e.raw)-before, 13+17+17; got != want {
				t.Errorf("%d octets passed the HEADERS that wait, want %d", got, want)
			}
			e.give(65535)
			client.CloseWrite()
			if err := <-done; err != io.EOF || e.data != 65535+300 {
				t.Errorf("got %v, %d octets of DATA", err, e.data)
			}
		})
	}
}

// What the engine gives back lets DATA pass: no octet more, and none less than it pays for.
func TestGate_waitsForCredit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 1000
		e, client := openGate(t, n, memnet.Options{}, nil)
		done := make(chan error)
		go func() { done <- e.serve() }()
		client.Write(openStream3())
		client.Write(dataFrames(initialWindow, 100))
		pass := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := e.data - n; got > want || got <= want-100 {
				t.Errorf("%d octets of DATA passed, want %d in frames of 100", got, want)
			}
		}
		pass(initialWindow - n)
		for given := range 9 {
			e.give(100)
			pass(initialWindow - n + 100*(given+1))
		}
		e.give(100)
		pass(initialWindow)
		client.CloseWrite()
		if err := <-done; err != io.EOF {
			t.Error(err)
		}
		if e.conn.in.Load() != nil {
			t.Error("still filtering what is read")
		}
	})
}

// Frames that come before DATA that must wait pass, in any split.
func TestGate_controlPasses(t *testing.T) {
	for _, maxRead := range []int{0, 1, 10} {
		synctest.Test(t, func(t *testing.T) {
			e, client := openGate(t, 65535, memnet.Options{MaxRead: maxRead}, nil)
			go e.serve()
			client.Write(openStream3())
			client.Write(dataFrames(1, 1))
			synctest.Wait()
			if want := openStream3()[len(http2.ClientPreface):]; !bytes.Equal(e.raw, want) {
				t.Errorf("engine read %x, want %x", e.raw, want)
			}
			if e.data != 65535 {
				t.Errorf("%d octets of DATA passed, all but 65535 of them the client's", e.data)
			}
			e.conn.Close()
		})
	}
}

// An empty DATA frame needs no window.
func TestGate_emptyData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 65535, memnet.Options{}, nil)
		go e.serve()
		client.Write(openStream3())
		http2.NewFramer(client, nil).WriteData(3, true, nil)
		synctest.Wait()
		if n := len(openStream3()) - len(http2.ClientPreface) + frameHeaderLen; len(e.raw) != n {
			t.Errorf("engine read %d octets, want %d", len(e.raw), n)
		}
		e.conn.Close()
	})
}

func TestGate_close(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 65535, memnet.Options{}, nil)
		done := make(chan error)
		go func() { done <- e.serve() }()
		client.Write(openStream3())
		client.Write(dataFrames(1, 1))
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		default:
		}
		e.conn.Close()
		if err := <-done; err == nil {
			t.Error("no error")
		}
	})
}

// A client that goes while its DATA waits is noticed when the engine has room for it.
func TestGate_clientGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 65535, memnet.Options{}, nil)
		done := make(chan error)
		go func() { done <- e.serve() }()
		client.Write(openStream3())
		client.Write(dataFrames(1000, 100))
		client.CloseWrite()
		synctest.Wait()
		e.give(65535)
		if err := <-done; err != io.EOF || e.data != 65535+1000 {
			t.Errorf("got %v, %d octets of DATA", err, e.data)
		}
	})
}

// An engine that raises its window in its first frames, as that of net/http does, is in nobody's
// way: nothing is held, and the filter removes itself.
func TestGate_settledAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 65535, memnet.Options{}, nil)
		e.fr.WriteSettings()
		e.give(1<<20 - initialWindow)
		done := make(chan error)
		go func() { done <- e.serve() }()
		client.Write(openStream3())
		synctest.Wait()
		client.Write(dataFrames(initialWindow, 16384))
		synctest.Wait()
		if e.data != 2*initialWindow || e.conn.in.Load() != nil {
			t.Errorf("%d octets of DATA, still filtering: %v", e.data, e.conn.in.Load() != nil)
		}
		client.CloseWrite()
		<-done
	})
}

// A deadline of the engine, between octets of what the gate holds, loses none of them.
func TestGate_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, client := openGate(t, 1, memnet.Options{}, nil)
		e.conn.Write(answers)
		sent := append(openStream3(), dataFrames(300, 100)...)
		want := append([]byte(nil), sent[len(http2.ClientPreface):]...)
		io.ReadFull(e.conn, make([]byte, e.inject))
		var got []byte
		for len(sent) > 0 {
			n := min(7, len(sent))
			client.Write(sent[:n])
			sent = sent[n:]
			e.conn.SetReadDeadline(time.Now().Add(time.Second))
			for {
				buf := make([]byte, 100)
				n, err := e.conn.Read(buf)
				got = append(got, buf[:n]...)
				if err != nil {
					if !isTimeout(err) {
						t.Fatal(err)
					}
					break
				}
			}
		}
		if !bytes.Equal(got, want) {
			t.Errorf("got %x, want %x", got, want)
		}
	})
}

// FuzzGate (S-06) sends frames that a client may send, in any split and with any part of them
// read before the engine came. The engine gets them as they are, and never more DATA than it
// has given window for.
func FuzzGate(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5}, uint16(1), uint8(0), uint8(0), uint16(0))
	f.Add([]byte{3, 3, 3, 3, 3, 3}, uint16(65535), uint8(0), uint8(1), uint16(16383))
	f.Add([]byte{200, 3, 130, 255, 7, 9}, uint16(16383), uint8(70), uint8(7), uint16(1))
	f.Fuzz(func(t *testing.T, script []byte, data uint16, buffered, maxRead uint8, quota uint16) {
		var b bytes.Buffer
		b.Write(openStream3())
		fr := http2.NewFramer(&b, nil)
		window := initialWindow
		for _, op := range script[:min(len(script), 200)] {
			size := int(op) / 6 * 390
			switch op % 6 {
			case 0:
				fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(op)})
			case 1:
				fr.WritePing(false, [8]byte{op})
			case 2:
				fr.WriteRawFrame(http2.FrameType(0x80|op), 0, 3, bytes.Repeat([]byte{op}, size)) // unknown
			case 3:
				if size <= window {
					window -= size
					fr.WriteData(3, false, bytes.Repeat([]byte{op}, size))
				}
			case 4:
				if size+1+int(op) <= window {
					window -= size + 1 + int(op)
					fr.WriteDataPadded(3, false, bytes.Repeat([]byte{op}, size), make([]byte, op))
				}
			case 5:
				fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, EndHeaders: true, BlockFragment: bytes.Repeat([]byte{op}, size)})
			}
		}
		sent := b.Bytes()
		atOnce := int(maxRead)
		if atOnce > 0 {
			atOnce = max(atOnce, len(sent)/20_000) // more reads would take too long
		}
		want := bytes.Clone(sent[len(http2.ClientPreface):])
		n := min(int(buffered), len(sent))
		quota %= maxFrameLen // it may not keep more to itself than leaves room for a frame
		e, client := openGate(t, int(data), memnet.Options{MaxRead: atOnce}, func(unacked int) int {
			if unacked > int(quota) {
				return unacked
			}
			return 0
		})
		e.conn.in.Load().Buffered = bytes.Clone(sent[:n])
		go func() {
			client.Write(sent[n:])
			client.CloseWrite()
		}()
		go io.Copy(io.Discard, client)
		if err := e.serve(); err != io.EOF && err != io.ErrUnexpectedEOF {
			t.Errorf("engine: %v", err)
		}
		wantSame(t, e.raw, want)
	})
}
