package engine

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A watch is a client that notes what the server sends.
type watch struct {
	*memConn

	mu     sync.Mutex
	got    []string
	window map[uint32]int64 // by WINDOW_UPDATE
	data   map[uint32][]int // sizes of DATA frames
}

func dialWatch(t *testing.T, hs *http.Server, h http.HandlerFunc) *watch {
	w := &watch{memConn: dialMem(t, hs, h)}
	w.begin()
	return w
}

// begin begins to read.
func (w *watch) begin() {
	w.window, w.data = make(map[uint32]int64), make(map[uint32][]int)
	w.fr.ReadMetaHeaders = hpack.NewDecoder(defaultTable, nil)
	go func() {
		for {
			f, err := w.fr.ReadFrame()
			if err != nil {
				w.note("EOF")
				return
			}
			h := f.Header()
			end := ""
			if (h.Type == http2.FrameData || h.Type == http2.FrameHeaders) && h.Flags.Has(http2.FlagDataEndStream) {
				end = " END"
			}
			switch f := f.(type) {
			case *http2.MetaHeadersFrame:
				text := ""
				for _, field := range f.Fields {
					switch field.Name {
					case ":status":
						text += " " + field.Value
					case "date", "content-type", "content-length":
					default:
						text += " " + field.Name + "=" + field.Value
					}
				}
				w.note("HEADERS %d%s%s", h.StreamID, text, end)
			case *http2.DataFrame:
				w.mu.Lock()
				w.data[h.StreamID] = append(w.data[h.StreamID], len(f.Data()))
				w.mu.Unlock()
				w.note("DATA %d %d%s", h.StreamID, len(f.Data()), end)
			case *http2.RSTStreamFrame:
				w.note("RST_STREAM %d %v", h.StreamID, f.ErrCode)
			case *http2.GoAwayFrame:
				w.note("GOAWAY %d %v", f.LastStreamID, f.ErrCode)
			case *http2.PingFrame:
				if f.IsAck() {
					continue
				}
				w.note("PING")
			case *http2.WindowUpdateFrame:
				w.mu.Lock()
				w.window[h.StreamID] += int64(f.Increment)
				w.mu.Unlock()
			}
		}
	}()
}

func (w *watch) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.got = append(w.got, fmt.Sprintf(format, args...))
}

// take returns what has come since the last time, but SETTINGS, WINDOW_UPDATE and answers to PING.
func (w *watch) take() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	got := strings.Join(w.got, "; ")
	w.got = nil
	return got
}

func data(id uint32, n int) (b []byte) {
	for ; n > 0; n -= minMaxFrame {
		b = append(b, frame(http2.FrameData, 0, id, make([]byte, min(n, minMaxFrame)))...)
	}
	return b
}

// padded is a frame of n octets, of which one is data.
func padded(id uint32, n int) []byte {
	p := make([]byte, n)
	p[0] = byte(n - 2)
	return frame(http2.FrameData, http2.FlagDataPadded, id, p)
}

func settingsAck() []byte { return appendSettingsAck(nil) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
