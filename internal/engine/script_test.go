package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A script is what a client does, in a form for a fuzzer: octets, of which each action takes as
// many as it needs, the first one saying what it is. What is behind the end is zero.
type script struct {
	b []byte

	enc      *hpack.Encoder
	dec      *hpack.Decoder
	block    bytes.Buffer
	nextID   uint32
	opened   []uint32       // streams on which HEADERS were sent, in order
	sent     map[uint32]int // octets of DATA frames
	total    int            // of all streams
	initial  uint32         // SETTINGS_INITIAL_WINDOW_SIZE
	pending  pending
	desynced bool

	list     int            // size of its fields
	te       int            // fields in the last HEADERS
	ends     bool           // the last HEADERS ended the stream
	declared map[uint32]int // Content-Length of streams
	body     map[uint32]int // octets of them
}

// An action is some frames that are sent at once.
type action struct {
	what   string
	octets []byte
	stream uint32
	// known says why the engines may differ. If they do, what follows is not compared.
	known    string
	trailers bool
	raw      bool // any octets, which may be wrong in more than one way
	// what a client may now be sent
	connCredit, streamCredit int64
	initialWindow            int64
	frameSize                int
}

func newScript(b []byte) *script {
	s := &script{b: b, nextID: 1, sent: make(map[uint32]int), initial: initialWindow,
		declared: make(map[uint32]int), body: make(map[uint32]int)}
	s.enc = hpack.NewEncoder(&s.block)
	s.dec = hpack.NewDecoder(defaultTable, nil)
	return s
}

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	b := s.b[0]
	s.b = s.b[1:]
	return b
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.b))
	b := s.b[:n]
	s.b = s.b[n:]
	return b
}

// text takes a string with its length in front.
func (s *script) text() string { return string(s.bytes(int(s.byte()) % 64)) }

func (s *script) uint32() uint32 {
	var b [4]byte
	copy(b[:], s.bytes(4))
	return binary.BigEndian.Uint32(b[:])
}

// The kinds of action.
const (
	doRequest   = iota // a good one
	doHeaders          // with any fields
	doBlock            // HEADERS with any block
	doData             //
	doWindow           // WINDOW_UPDATE
	doSettings         //
	doPing             //
	doReset            //
	doPriority         //
	doGoAway           //
	doTrailers         //
	doUnknown          // a frame of any kind
	doContinue         // CONTINUATION
	doInterrupt        // a frame within a header block
	doOverrun          // more DATA than the window
	doGarbage          //
	doKinds
)

// stream chooses one.
func (s *script) stream() uint32 {
	b := s.byte()
	last := func(i int) uint32 {
		if i >= len(s.opened) {
			return 0
		}
		return s.opened[len(s.opened)-1-i]
	}
	switch b % 8 {
	case 0, 1:
		return last(0)
	case 2:
		return last(1)
	case 3:
		return last(2)
	case 4:
		return 0
	case 5:
		return 2 * uint32(b>>3)
	case 6:
		return s.nextID
	}
	return 2*uint32(b>>3) + 1
}

var (
	scriptPaths = []string{
		"/echo", "/size?100", "/size?5000", "/size?40000", "/size?70000", "/trailers", "/hints", "/parts", "/ignore", "/some",
		"/panic", "/abort", "/late", "/status?204", "/status?304", "/status?404", "/length?10", "/length?5", "/wait", "/duplex",
		"/fields", "/close", "/length?0", "/writer", "/readfrom?9000", "*", "/%zz", "//x/..?a=b#c", "", "http://h/p",
	}
	scriptMethods = []string{"GET", "POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get", "B\x00D", "", "DELETE"}
	scriptFields  = [][2]string{
		{"user-agent", "fuzz"}, {"cookie", "a=1"}, {"cookie", "b=2"}, {"te", "trailers"}, {"trailer", "X-End, x-other"}, {"x-one", "1"},
		{"x-one", "2"}, {"content-type", "text/plain"}, {"accept-encoding", "gzip"}, {"expect", "100-continue"}, {"host", "other.example"},
		{"content-length", "0"}, {"content-length", "5"}, {"content-length", "100"}, {"content-length", "x"}, {"content-length", "+5"},
		{"priority", "u=1, i"}, {"X-Capital", "1"}, {"x space", "1"}, {"x-value", "a\nb"}, {"x-value", " lead"}, {"x-value", "\x80\xff"},
		{"", "empty"}, {"connection", "close"}, {"te", "gzip"}, {"upgrade", "x"}, {":path", "/again"}, {":status", "200"},
		{":protocol", "websocket"}, {"x-value", ""}, {"transfer-encoding", "chunked"}, {"x-big", strings.Repeat("v", 1500)},
		{"proxy-connection", "x"}, {"keep-alive", "1"}, {"expect", "other"}, {"x-value", "a\x00b"}, {"x-valu\xe9", "1"},
		{"content-length", "-1"}, {"content-length", "18446744073709551616"}, {"content-length", ""}, {"trailer", "content-length"},
		{"host", "b@d/"}, {"range", "bytes=0-1"}, {"content-length", "05"}, {"x-value", "tail\t"}, {"expect", "100-Continue"},
	}
)

// next returns the next action.
func (s *script) next() (a action, ok bool) {
	if len(s.b) == 0 {
		return action{}, false
	}
	a.initialWindow = -1
	kind := s.byte() % doKinds
	a.raw = kind == doBlock || kind == doUnknown || kind == doGarbage
	switch kind {
	case doRequest:
		s.request(&a)
	case doHeaders:
		s.headers(&a)
	case doBlock:
		a.stream = s.stream()
		flags := http2.Flags(s.byte())
		if a.stream == s.nextID {
			s.opens(a.stream)
		}
		s.frame(&a, http2.FrameHeaders, flags, a.stream, s.bytes(int(s.byte())))
	case doData:
		s.data(&a)
	case doWindow:
		a.stream = s.stream()
		n := s.uint32()
		if s.byte()%4 == 0 {
			n >>= 12
		}
		if n&^(1<<31) == 0 {
			a.known = knownZero
		}
		if a.stream == 0 {
			a.connCredit = int64(n &^ (1 << 31))
		} else {
			a.streamCredit = int64(n &^ (1 << 31))
		}
		s.frame(&a, http2.FrameWindowUpdate, 0, a.stream, binary.BigEndian.AppendUint32(nil, n))
	case doSettings:
		s.settings(&a)
	case doPing:
		b := s.byte()
		p := make([]byte, 8)
		copy(p, s.bytes(int(b)%9))
		s.frame(&a, http2.FramePing, http2.Flags(b>>7), s.sometimes(0), p)
	case doReset:
		a.stream = s.stream()
		s.frame(&a, http2.FrameRSTStream, 0, a.stream, []byte{0, 0, 0, s.byte() % 16})
	case doPriority:
		a.stream = s.stream()
		s.frame(&a, http2.FramePriority, 0, a.stream, append(binary.BigEndian.AppendUint32(nil, s.dependency()), s.byte()))
	case doGoAway:
		last := s.stream()
		s.frame(&a, http2.FrameGoAway, 0, s.sometimes(0), []byte{0, 0, 0, byte(last), 0, 0, 0, s.byte() % 16})
	case doTrailers:
		a.trailers = true
		a.stream = s.stream()
		s.block.Reset()
		for range s.byte() % 4 {
			s.anyField(&a)
		}
		flags := http2.FlagHeadersEndHeaders
		if s.byte()%4 != 1 {
			flags |= http2.FlagHeadersEndStream
		}
		s.headerFrames(&a, a.stream, flags)
	case doUnknown:
		kind, flags := http2.FrameType(s.byte()), http2.Flags(s.byte())
		a.stream = s.stream()
		p := s.bytes(int(s.byte()))
		s.frame(&a, kind, flags, a.stream, p)
		switch kind {
		case http2.FrameData:
			s.sent[a.stream] += len(p)
			s.total += len(p)
		case http2.FrameSettings, http2.FrameWindowUpdate:
			a.connCredit, a.streamCredit, a.initialWindow, a.frameSize = 1<<40, 1<<40, 1<<31-1, maxMaxFrame
			a.known = s.duplicates(p)
		}
	case doContinue:
		a.stream = s.stream()
		s.frame(&a, http2.FrameContinuation, http2.FlagContinuationEndHeaders, a.stream, nil)
	case doInterrupt:
		s.interrupt(&a)
	case doOverrun:
		s.overrun(&a)
	case doGarbage:
		a.what = "garbage"
		s.desynced = true
		a.octets = s.bytes(1 + int(s.byte())%64)
	}
	return a, true
}

// sometimes is n, most of the time, or else a stream.
func (s *script) sometimes(n uint32) uint32 {
	if b := s.byte(); b >= 0xf0 {
		return uint32(b & 0xf)
	}
	return n
}

func (s *script) dependency() uint32 {
	b := s.byte()
	return uint32(b&0x7f) | uint32(b>>7)<<31
}

// frame appends a frame.
func (s *script) frame(a *action, kind http2.FrameType, flags http2.Flags, stream uint32, p []byte) {
	a.what += fmt.Sprintf("%v flags=%#x stream=%d len=%d; ", kind, flags, stream, len(p))
	a.octets = append(appendHeader(a.octets, len(p), kind, flags, stream), p...)
	s.observe(a, kind, flags, stream, p)
}

// opens notes that a stream is opened.
func (s *script) opens(id uint32) {
	s.opened = append(s.opened, id)
	if id >= s.nextID {
		s.nextID = id + 2 - (1 - id%2)
	}
}

func (s *script) field(a *action, name, value string) {
	s.enc.WriteField(hpack.HeaderField{Name: name, Value: value})
	if len(value) > 40 {
		value = value[:40]
	}
	a.what += fmt.Sprintf("%q=%q ", name, value)
}

func (s *script) anyField(a *action) {
	b := s.byte()
	if int(b) < len(scriptFields) {
		f := scriptFields[b]
		s.field(a, f[0], f[1])
		return
	}
	if b < 0x80 {
		f := scriptFields[int(b)%8]
		s.field(a, f[0], f[1])
		return
	}
	name, value := s.text(), s.text()
	s.field(a, name, value)
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// request is one without faults.
func (s *script) request(a *action) {
	id := s.nextID
	path := scriptPaths[int(s.byte())%25]
	b := s.byte()
	s.opens(id)
	a.stream = id
	s.block.Reset()
	s.field(a, ":method", scriptMethods[b>>1%4])
	s.field(a, ":scheme", "http")
	s.field(a, ":authority", "example.com")
	s.field(a, ":path", path)
	for i := range 3 {
		if b>>(3+i)&1 != 0 {
			f := scriptFields[int(s.byte())%9]
			s.field(a, f[0], f[1])
		}
	}
	flags := http2.FlagHeadersEndHeaders
	if b&1 == 0 {
		flags |= http2.FlagHeadersEndStream
	}
	if b&0x40 != 0 {
		flags |= http2.FlagHeadersPadded
	}
	if b&0x80 != 0 {
		flags |= http2.FlagHeadersPriority
	}
	s.headerFrames(a, id, flags)
}

// headers is a request with any faults.
func (s *script) headers(a *action) {
	a.stream = s.nextID
	b := s.byte()
	switch {
	case b&0xc0 == 0x40:
		a.stream += 2
	case b&0xe0 == 0x80:
		a.stream = s.stream()
	}
	path := scriptPaths[int(s.byte())%len(scriptPaths)]
	method := scriptMethods[int(s.byte())%len(scriptMethods)]
	s.opens(a.stream)
	which := s.byte()
	s.block.Reset()
	if which&1 == 0 {
		s.field(a, ":method", method)
	}
	if which&2 == 0 {
		s.field(a, ":scheme", []string{"http", "https", "ftp", ""}[which>>6])
	}
	if which&4 == 0 {
		s.field(a, ":authority", []string{"example.com", "u@h", "", "a b"}[which>>5&3])
	}
	for range s.byte() % 8 {
		s.anyField(a)
	}
	if which&8 == 0 {
		s.field(a, ":path", path)
	}
	for range s.byte() % 8 {
		s.anyField(a)
	}
	flags := http2.FlagHeadersEndHeaders
	if b&1 == 0 {
		flags |= http2.FlagHeadersEndStream
	}
	if b&2 != 0 {
		flags |= http2.FlagHeadersPadded
	}
	if b&4 != 0 {
		flags |= http2.FlagHeadersPriority
	}
	if s.block.Len() > minMaxFrame {
		a.known = "4.2/3"
	}
	s.headerFrames(a, a.stream, flags)
}

// headerFrames appends HEADERS, and CONTINUATION if the block is to be in parts.
func (s *script) headerFrames(a *action, id uint32, flags http2.Flags) {
	var p []byte
	pad := 0
	if flags.Has(http2.FlagHeadersPadded) {
		pad = int(s.byte())
		p = append(p, byte(pad))
	}
	if flags.Has(http2.FlagHeadersPriority) {
		p = append(binary.BigEndian.AppendUint32(p, s.dependency()), s.byte())
	}
	block := s.block.Bytes()
	parts := 0
	if b := s.byte(); b >= 0xe0 {
		parts = int(b & 3)
		flags &^= http2.FlagHeadersEndHeaders
	}
	n := len(block) / (parts + 1)
	p = append(p, block[:n]...)
	if parts == 0 {
		p = append(p[:len(p)-n], block...)
		block = nil
	} else {
		block = block[n:]
	}
	if pad > 0 && s.byte() >= 0xf8 {
		// Padding longer than what there is.
		p = []byte{byte(pad)}
		if pad == 255 {
			p = nil
		}
		s.frame(a, http2.FrameHeaders, flags, id, p)
		return
	}
	p = append(p, make([]byte, pad)...)
	s.frame(a, http2.FrameHeaders, flags, id, p)
	for i := range parts {
		m := len(block)
		var end http2.Flags = http2.FlagContinuationEndHeaders
		if i < parts-1 {
			m, end = n, 0
		}
		s.frame(a, http2.FrameContinuation, end, id, block[:m])
		block = block[m:]
	}
	if parts == 0 && !flags.Has(http2.FlagHeadersEndHeaders) {
		s.frame(a, http2.FrameContinuation, http2.FlagContinuationEndHeaders, id, nil)
	}
}

var scriptSizes = []int{0, 5, 1, 100, 4096, 16384, 10000, 16385}

// data sends a part of a body, not more than any window is sure to let through.
func (s *script) data(a *action) {
	a.stream = s.stream()
	b := s.byte()
	n := scriptSizes[b%8]
	var p []byte
	var flags http2.Flags
	if b&8 != 0 {
		flags |= http2.FlagDataEndStream
	}
	if b&16 != 0 {
		pad := int(s.byte())
		flags |= http2.FlagDataPadded
		p = append(p, byte(pad))
		n = min(n, 16384-1-pad)
		if pad == 255 && b&32 != 0 {
			n = -pad / 2 // padding longer than what there is
		}
		n += pad
	}
	if n += len(p); s.sent[a.stream]+n > peerWindow || s.total+n > 1<<19 {
		n = len(p)
		if flags.Has(http2.FlagDataPadded) {
			p[0] = 0
		}
	}
	for len(p) < n {
		p = append(p, byte('a'+len(p)%26))
	}
	s.sent[a.stream] += len(p)
	s.total += len(p)
	s.frame(a, http2.FrameData, flags, a.stream, p)
}

func (s *script) settings(a *action) {
	b := s.byte()
	if b >= 0xf8 {
		s.frame(a, http2.FrameSettings, http2.FlagSettingsAck, 0, make([]byte, b&1))
		return
	}
	var p []byte
	values := []uint32{0, 1, 2, 100, 4096, 16384, 65535, 65536, 100000, 1<<24 - 1, 1 << 24, 1<<31 - 1, 1 << 31, 1<<32 - 1, 16383, 5000}
	for range b % 4 {
		id, v := s.byte()%10, values[s.byte()%16]
		p = binary.BigEndian.AppendUint16(p, uint16(id))
		p = binary.BigEndian.AppendUint32(p, v)
		a.what += fmt.Sprintf("%v=%d ", http2.SettingID(id), v)
		switch http2.SettingID(id) {
		case http2.SettingInitialWindowSize:
			a.initialWindow = int64(v)
		case http2.SettingMaxFrameSize:
			a.frameSize = int(v)
		}
	}
	a.known = cmpOr(a.known, s.duplicates(p))
	if b&4 != 0 && b&8 != 0 && b&16 != 0 {
		p = append(p, 0)
	}
	s.frame(a, http2.FrameSettings, 0, s.sometimes(0), p)
}

// duplicates says whether a setting stands twice in the payload of SETTINGS.
func (s *script) duplicates(p []byte) string {
	seen := make(map[uint16]bool)
	for ; len(p) >= 6; p = p[6:] {
		id := binary.BigEndian.Uint16(p)
		if seen[id] {
			return knownTwice
		}
		seen[id] = true
		if v := binary.BigEndian.Uint32(p[2:]); id == 9 && v > 1 {
			return knownSetting
		}
	}
	return ""
}

// interrupt puts a frame between those of a header block.
func (s *script) interrupt(a *action) {
	id := s.nextID
	s.opens(id)
	a.stream = id
	s.block.Reset()
	for _, f := range [][2]string{{":method", "GET"}, {":scheme", "http"}, {":path", "/echo"}, {":authority", "example.com"}} {
		s.field(a, f[0], f[1])
	}
	b := s.block.Bytes()
	s.frame(a, http2.FrameHeaders, http2.FlagHeadersEndStream, id, b[:3])
	switch s.byte() % 8 {
	case 0:
		s.frame(a, http2.FramePing, 0, 0, make([]byte, 8))
	case 1:
		s.frame(a, http2.FrameData, 0, id, nil)
	case 2:
		s.frame(a, http2.FrameType(0x77), 0, id, nil)
	case 3:
		s.frame(a, http2.FrameContinuation, 0, id+2, nil)
	case 4:
		s.frame(a, http2.FrameHeaders, 0, id, nil)
	case 5:
		s.frame(a, http2.FramePriority, 0, id, make([]byte, 5))
	}
	s.frame(a, http2.FrameContinuation, http2.FlagContinuationEndHeaders, id, b[3:])
}

// overrun sends a handler that does not read more than the window of the stream.
func (s *script) overrun(a *action) {
	id := s.nextID
	s.opens(id)
	a.stream = id
	s.block.Reset()
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/wait"}, {":authority", "example.com"}} {
		s.field(a, f[0], f[1])
	}
	s.frame(a, http2.FrameHeaders, http2.FlagHeadersEndHeaders, id, s.block.Bytes())
	n := 4 + int(s.byte())%2
	for range n {
		s.frame(a, http2.FrameData, 0, id, make([]byte, 16384))
	}
	s.sent[id] += n * 16384
	s.total += n * 16384
}

// pending is what of the octets sent is not complete.
type pending struct {
	octets []byte
	block  bool // CONTINUATION is to come
	part   bool
	stream uint32 // of the last frame
	update bool   // there was a PRIORITY_UPDATE
}

func (p pending) after(octets []byte) pending {
	p.update = false
	p.octets = append(p.octets, octets...)
	for len(p.octets) >= headerLen {
		f := parseHeader(p.octets)
		p.stream = f.stream
		p.update = p.update || f.kind == http2.FramePriorityUpdate
		if f.length > minMaxFrame {
			p.octets = nil // no engine waits for the rest
			break
		}
		if len(p.octets) < headerLen+f.length {
			break
		}
		p.octets = p.octets[headerLen+f.length:]
		if f.kind == http2.FrameHeaders || f.kind == http2.FrameContinuation {
			p.block = !f.flags.Has(http2.FlagHeadersEndHeaders)
		}
	}
	p.part = len(p.octets) > 0 || p.block
	return p
}

// observe decodes header blocks as the engines do, to find in them what is known to be taken
// differently: blocks of any octets, too, may hold it.
func (s *script) observe(a *action, kind http2.FrameType, flags http2.Flags, id uint32, p []byte) {
	if kind == http2.FrameData || kind == http2.FrameHeaders {
		defer func() {
			declared, ok := s.declared[id]
			if ok && flags.Has(http2.FlagDataEndStream) && s.body[id] < declared {
				a.known = cmpOr(a.known, knownShort)
			}
		}()
	}
	switch kind {
	case http2.FrameHeaders:
		pad := 0
		if flags.Has(http2.FlagHeadersPadded) && len(p) > 0 {
			pad, p = int(p[0]), p[1:]
		}
		if flags.Has(http2.FlagHeadersPriority) && len(p) >= 5 {
			p = p[5:]
		}
		p = p[:max(0, len(p)-pad)]
		s.te, s.list = 0, 0
		s.ends = flags.Has(http2.FlagHeadersEndStream)
	case http2.FrameContinuation:
	case http2.FrameData:
		if flags.Has(http2.FlagDataPadded) && len(p) > 0 {
			p = p[1:max(1, len(p)-int(p[0]))]
		}
		s.body[id] += len(p)
		return
	default:
		return
	}
	var length string
	s.dec.SetEmitFunc(func(f hpack.HeaderField) {
		if s.list += int(f.Size()); s.list > 4096+10*fieldOverhead {
			a.known = cmpOr(a.known, knownLarge)
		}
		a.known = cmpOr(a.known, knownField(f.Name, f.Value))
		if f.Name == "content-length" {
			if length != "" && length != f.Value {
				a.known = cmpOr(a.known, knownContentLength)
			}
			length = f.Value
			n, _ := strconv.Atoi(length)
			if s.body[id] == 0 {
				s.declared[id] = n
			}
			if s.ends && n > 0 {
				a.known = cmpOr(a.known, knownShort)
			}
		}
		if (a.trailers || a.raw) && !httpguts.ValidTrailerHeader(http.CanonicalHeaderKey(f.Name)) {
			a.known = cmpOr(a.known, knownTrailer)
		}
		if f.Name == "te" {
			if s.te++; s.te > 1 {
				a.known = cmpOr(a.known, knownConnection) // net/http wants one of them at the most
			}
		}
		if f.Name == "expect" && s.ends {
			a.known = cmpOr(a.known, knownExpect)
		}
	})
	s.dec.Write(p)
	if flags.Has(http2.FlagHeadersEndHeaders) {
		s.dec.Close()
	}
}

// scriptHandler does what the path says.
func scriptHandler(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.RawQuery)
	rc := http.NewResponseController(w)
	switch r.URL.Path {
	case "/size":
		if r.Method == http.MethodHead { // see the differences
			w.Header().Set("Content-Length", r.URL.RawQuery)
		}
		w.Write(bytes.Repeat([]byte("0123456789abcdef"), n/16+1)[:n])
	case "/trailers":
		w.Header().Set("Trailer", "X-Declared, Content-Length")
		w.Header().Set("X-Early", "1")
		io.WriteString(w, "body")
		w.Header().Set("X-Declared", "yes")
		w.Header().Set("X-Undeclared", "no")
		w.Header().Set(http.TrailerPrefix+"X-Prefixed", "yes")
	case "/hints":
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		w.Header().Set("X-Final", "1")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "after hints")
	case "/parts":
		for i := range 4 {
			fmt.Fprintf(w, "part %d\n", i)
			rc.Flush()
		}
	case "/ignore":
		w.Header().Set("Content-Length", "7")
		io.WriteString(w, "ignored")
	case "/some":
		b := make([]byte, 4)
		m, err := io.ReadFull(r.Body, b)
		fmt.Fprintf(w, "%d %s", m, errText(err))
	case "/panic":
		panic("script")
	case "/abort":
		io.WriteString(w, "x")
		rc.Flush()
		panic(http.ErrAbortHandler)
	case "/late":
		io.WriteString(w, "early")
		w.WriteHeader(500)
		w.Header().Set("X-Late", "1")
	case "/status":
		w.Header().Set("X-Status", "1")
		w.WriteHeader(n)
		_, err := io.WriteString(w, "for "+r.URL.RawQuery)
		_ = err
	case "/length":
		w.Header().Set("Content-Length", strconv.Itoa(n))
		io.WriteString(w, "hello")
	case "/wait":
		<-r.Context().Done()
	case "/duplex":
		rc.EnableFullDuplex()
		rc.Flush()
		b := make([]byte, 3000)
		for {
			m, err := r.Body.Read(b)
			w.Write(b[:m])
			rc.Flush()
			if err != nil {
				return
			}
		}
	case "/fields":
		h := w.Header()
		h["Transfer-Encoding"] = []string{"chunked"}
		h["X-Two"] = []string{"a", "b"}
		h["lower-case"] = []string{"1"}
		h["bad name"] = []string{"1"}
		h["X-Bad-Value"] = []string{"a\nb"}
		h["Content-Type"] = nil
		h["X-Empty"] = []string{""}
		h.Set("Date", "")
		io.WriteString(w, "fields")
	case "/close":
		w.Header().Set("Connection", "close")
		io.WriteString(w, "closing")
	case "/writer":
		w.Header().Set("Content-Encoding", "x")
		m, err := w.Write(nil)
		io.WriteString(w, fmt.Sprint(m, err))
		r.Body.Close()
		_, err = r.Body.Read(make([]byte, 1))
		io.WriteString(w, errText(err))
	case "/readfrom":
		w.Header().Set("Content-Length", r.URL.RawQuery)
		io.Copy(w, io.LimitReader(zeros{}, int64(n)))
	default:
		echo(w, r)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func errText(err error) string {
	switch err {
	case nil, io.EOF, io.ErrUnexpectedEOF:
		return fmt.Sprint(err)
	}
	return "error"
}

// echo tells of the request.
func echo(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q url=%q host=%q proto=%s length=%d close=%v te=%v\n",
		r.Method, r.RequestURI, r.URL, r.Host, r.Proto, r.ContentLength, r.Close, r.TransferEncoding)
	fmt.Fprintf(&b, "body %d %08x %s\n", len(body), crc32.ChecksumIEEE(body), errText(err))
	tell := func(what string, h http.Header) {
		var names []string
		for name := range h {
			if name != "Host" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			values := h[name]
			if name == "Content-Length" { // net/http of Go 1.26 passes on all that are equal
				values = slices.Compact(values)
			}
			fmt.Fprintf(&b, "%s %q: %q\n", what, name, values)
		}
	}
	tell("field", r.Header)
	tell("trailer", r.Trailer)
	w.Header().Set("X-Echo", "1")
	io.WriteString(w, b.String())
}
