package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	probeMaxFrame  = 16 << 10 // octets; what a peer may send without being told otherwise
	probeMaxHeader = 64 << 10 // octets of a header list
	probeMaxAcks   = 8        // SETTINGS frames that are acknowledged
	probeMaxListed = 16       // settings that a row lists
)

// probeSettings go into HTTP2-Settings and into the SETTINGS frame.
var probeSettings = []http2.Setting{
	{ID: http2.SettingEnablePush, Val: 0},
	{ID: http2.SettingMaxConcurrentStreams, Val: 100},
}

// probeError is what went wrong with HTTP/2.
type probeError string

func (e probeError) Error() string { return string(e) }

// A probeStream is the answer on stream 1.
type probeStream struct {
	settings map[http2.SettingID]uint32 // that the server sent; nil: none
	status   int
	header   http.Header
	interim  int
	data     bool // DATA that is not empty, where it was waited for
	err      error
}

// probePreface is what a client sends first.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4
func probePreface() []byte {
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	http2.NewFramer(&b, nil).WriteSettings(probeSettings...)
	return b.Bytes()
}

// probeGet is the preface and a GET on stream 1.
func (t *probeTarget) probeGet() []byte {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range []hpack.HeaderField{
		{Name: ":method", Value: http.MethodGet},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: t.host()},
		{Name: ":path", Value: t.url.RequestURI()},
		{Name: "user-agent", Value: "h2c-probe"},
		{Name: "accept", Value: "*/*"},
	} {
		enc.WriteField(f)
	}
	b := bytes.NewBuffer(probePreface())
	fr := http2.NewFramer(b, nil)
	fragment := block.Next(probeMaxFrame)
	fr.WriteHeaders(http2.HeadersFrameParam{
		StreamID: 1, BlockFragment: fragment, EndStream: true, EndHeaders: block.Len() == 0,
	})
	for block.Len() > 0 {
		fragment = block.Next(probeMaxFrame)
		fr.WriteContinuation(1, block.Len() == 0, fragment)
	}
	return b.Bytes()
}

// priorKnowledge asks by prior knowledge.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3
func (c *probeConn) priorKnowledge(t *probeTarget) *probeAnswer {
	first := t.probeGet()
	if start, _ := c.peekAfter(first); bytes.HasPrefix(start, []byte("HTTP/")) {
		resp, err := c.readHead(http.MethodGet)
		return &probeAnswer{final: resp, err: err}
	}
	return &probeAnswer{stream: c.readStream(http.MethodGet, nil)}
}

// peekAfter writes b and looks at what comes first.
func (c *probeConn) peekAfter(b []byte) ([]byte, error) {
	c.write(b)
	return c.br.Peek(5)
}

// readStream writes first, which may be nothing, and reads frames until the final response
// has come on stream 1.
func (c *probeConn) readStream(method string, first []byte) *probeStream {
	c.http2 = true
	s := new(probeStream)
	if len(first) > 0 {
		c.write(first)
	}
	fr := http2.NewFramer(c.nc, c.br)
	fr.SetMaxReadFrameSize(probeMaxFrame)
	fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	fr.MaxHeaderListSize = probeMaxHeader
	for acks := 0; s.err == nil; {
		f, err := fr.ReadFrame()
		if err != nil {
			s.err = probeFrameError(err)
			break
		}
		if settings, ok := f.(*http2.SettingsFrame); ok && !settings.IsAck() {
			s.addSettings(settings)
			if acks++; acks <= probeMaxAcks && c.written() == nil {
				fr.WriteSettingsAck() // a failure shows when reading
			}
			continue
		}
		if s.take(f, method) {
			break
		}
	}
	return s
}

// settings are those that the server sent. They are nil if it did not answer in HTTP/2:
// what a server sends before it closes a connection may come or be lost.
func (a *probeAnswer) settings() map[http2.SettingID]uint32 {
	if a == nil || a.stream == nil || a.stream.err != nil {
		return nil
	}
	return a.stream.settings
}

func (s *probeStream) addSettings(f *http2.SettingsFrame) {
	if s.settings == nil {
		s.settings = make(map[http2.SettingID]uint32)
	}
	f.ForeachSetting(func(v http2.Setting) error {
		s.settings[v.ID] = v.Val
		return nil
	})
}

// take takes a frame, and reports whether the answer is there.
func (s *probeStream) take(f http2.Frame, method string) (done bool) {
	if s.settings == nil {
		// "The server connection preface consists of a potentially empty SETTINGS frame
		// that MUST be the first frame the server sends in the HTTP/2 connection."
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4-6
		if _, ok := f.(*http2.GoAwayFrame); !ok {
			s.err = probeError("the first frame is " + probeFrameName(f) + ", not SETTINGS")
			return true
		}
	}
	switch f := f.(type) {
	case *http2.GoAwayFrame:
		if f.ErrCode != http2.ErrCodeNo || f.LastStreamID < 1 {
			text := "GOAWAY " + f.ErrCode.String()
			if debug := f.DebugData(); len(debug) > 0 {
				text += " " + probeQuote(string(debug))
			}
			s.err = probeError(text)
			return true
		}
	case *http2.RSTStreamFrame:
		if f.StreamID == 1 {
			s.err = probeError("RST_STREAM " + f.ErrCode.String())
			return true
		}
	case *http2.MetaHeadersFrame:
		if f.StreamID != 1 || s.status != 0 {
			break
		}
		status, err := strconv.Atoi(f.PseudoValue("status"))
		if err != nil || status < 100 || status > 999 {
			s.err = probeError(":status " + probeQuote(f.PseudoValue("status")))
			return true
		}
		if status < 200 {
			if s.interim++; s.interim > probeMaxInterim {
				s.err = errProbeInterim
				return true
			}
			break
		}
		s.status, s.header = status, make(http.Header)
		for _, hf := range f.RegularFields() {
			s.header.Add(hf.Name, hf.Value)
		}
		return method != http.MethodHead || f.StreamEnded()
	case *http2.DataFrame:
		if f.StreamID != 1 {
			break
		}
		if s.status == 0 {
			s.err = probeError("DATA before HEADERS")
			return true
		}
		s.data = s.data || len(f.Data()) > 0
		return s.data || f.StreamEnded()
	}
	return false
}

func probeFrameName(f http2.Frame) string {
	if _, ok := f.(*http2.SettingsFrame); ok {
		return "an acknowledgement of SETTINGS"
	}
	return f.Header().Type.String()
}

// probeFrameError says what is wrong with a frame. Errors of the connection stay.
func probeFrameError(err error) error {
	var conn http2.ConnectionError
	var stream http2.StreamError
	switch {
	case errors.Is(err, http2.ErrFrameTooLarge):
		return probeError(fmt.Sprintf("no HTTP/2, or a frame above %d octets", probeMaxFrame))
	case errors.As(err, &conn):
		return probeError("a frame that is a " + http2.ErrCode(conn).String())
	case errors.As(err, &stream):
		return probeError("a frame that is a " + stream.Code.String())
	}
	return err
}

// goAway tells the server that the connection was closed on purpose.
func (c *probeConn) goAway() {
	if c.written() == nil {
		http2.NewFramer(c.nc, nil).WriteGoAway(0, http2.ErrCodeNo, nil)
	}
}

// probeSettingIDs returns the identifiers of settings in their order.
func probeSettingIDs(settings map[http2.SettingID]uint32) []http2.SettingID {
	ids := make([]http2.SettingID, 0, len(settings))
	for id := range settings {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// probeDiffer lists the settings in which a and b differ. It is empty if either is not known.
func probeDiffer(a, b map[http2.SettingID]uint32) (names []string) {
	if a == nil || b == nil {
		return nil
	}
	for _, id := range probeSettingIDs(a) {
		if v, ok := b[id]; !ok || v != a[id] {
			names = append(names, id.String())
		}
	}
	for _, id := range probeSettingIDs(b) {
		if _, ok := a[id]; !ok {
			names = append(names, id.String())
		}
	}
	return names
}

func probeListSettings(settings map[http2.SettingID]uint32) string {
	if len(settings) == 0 {
		return "an empty SETTINGS frame"
	}
	var list []string
	ids := probeSettingIDs(settings)
	for _, id := range ids[:min(len(ids), probeMaxListed)] {
		list = append(list, fmt.Sprintf("%v %d", id, settings[id]))
	}
	if n := len(ids) - len(list); n > 0 {
		list = append(list, fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, ", ")
}
