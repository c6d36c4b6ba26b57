package engine

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// What follows are all of the differences between this engine and the one of net/http that the
// fuzzer lets pass. A conversation is compared up to there.

const (
	// net/http takes a setting that stands twice in a frame as an error; RFC 9113 §6.5.3 wants
	// the values processed in order (h2spec 6.5.3/1).
	knownTwice = "a setting twice"
	// SETTINGS_NO_RFC7540_PRIORITIES must be 0 or 1, RFC 9218 §2.1. net/http does not know it.
	knownSetting = "no RFC 7540 priorities above 1"
	// A request with them is malformed, RFC 9113 §8.2.2 and §8.1.1; net/http serves it, or
	// answers 400 (h2spec 8.1.2.2/1 and /2).
	// net/http passes on to the client a Keep-Alive that a handler sets; RFC 9113 §8.2.2 forbids
	// that. (The handler of scripts sets none.)
	knownConnection = "connection-specific field"
	// "A field value MUST NOT start or end with an ASCII whitespace", RFC 9113 §8.2.1; net/http
	// takes it.
	knownSpace = "space around a value"
	// It is absent from CONNECT, §8.5, of which net/http takes an empty one. Else:
	// :path starts with a slash, or is an asterisk: RFC 9113 §8.3.1. net/http takes an URL.
	knownPath = "path that is none"
	// Characters that no host has: RFC 9113 §8.3.1, RFC 3986 §3.2.2; net/http takes some.
	knownAuthority = "authority that is none"
	// (The body of an answer to HEAD, if above 4096 octets, is counted by this engine for a
	// Content-Length, and not by net/http: the handler of scripts sets it.)

	// Malformed: RFC 9113 §8.1.1; net/http takes what is no number for 0, and the first of two.
	knownContentLength = "Content-Length that is none"
	// So is a body that is shorter, which net/http tells the handler alone.
	knownShort = "a body shorter than its Content-Length"
	// Fields that are not allowed in trailers may be dropped, RFC 9110 §6.5.1; net/http resets the
	// stream, if the request has announced any.
	knownTrailer = "field that is no trailer"
	// net/http does not know PRIORITY_UPDATE, RFC 9218 §7.1.
	knownPriorityUpdate = "PRIORITY_UPDATE"
	// A header list above the limit is answered 431, also if it is malformed; net/http looks at that
	// first.
	knownLarge = "header list above the limit"
	// A WINDOW_UPDATE of nothing is an error, on a stream that is closed, too, for net/http; the RFC
	// lets it be ignored there, §5.1.
	knownZero = "WINDOW_UPDATE of nothing"
	// What comes on a stream that this engine has reset it ignores, RFC 9113 §5.1; net/http ends the
	// connection for HEADERS, and forgets a stream whose HEADERS were malformed: the client may open
	// it again. That is the variable before, in compare.

	// 100 (Continue) asks for content; net/http sends it for a request that has none, RFC 9110 §10.1.1.
	knownExpect = "expectation without content"
	// (net/http keeps Host among the fields of the request, against the documentation of
	// http.Request: the handler of scripts does not tell of it.)

	// A response with another length than Content-Length says is malformed, RFC 9113 §8.1.1; net/http
	// sends it, and this engine ends it with RST_STREAM.
	knownLength = "the handler's Content-Length is wrong"

	// (After Connection: close net/http names the last stream in its GOAWAY; this engine takes what is
	// on its way, and names it a second later: RFC 9113 §6.8. That is the variable closing.)
)

// knownField says how a field is known to be taken differently.
func knownField(name, value string) string {
	switch strings.ToLower(name) {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return knownConnection
	case "te":
		if value != "trailers" {
			return knownConnection
		}
	case ":authority", "host":
		if strings.ContainsAny(value, "@ \t") || !httpguts.ValidHostHeader(value) {
			return knownAuthority
		}
	case "content-length":
		if _, err := strconv.ParseUint(value, 10, 63); err != nil || value[0] == '+' {
			return knownContentLength
		}
	case ":path":
		if value == "" || value[0] != '/' && value != "*" {
			return knownPath
		}
		if strings.HasPrefix(value, "/length?") && value != "/length?5" {
			return knownLength
		}
	}
	if strings.Trim(value, " \t") != value {
		return knownSpace
	}
	return ""
}

// allowed says why two views may differ after an action, or nothing.
func allowed(a action, ours, theirs *view) string {
	switch {
	case ours.spent() && theirs.spent():
		// Which stream gets how much of the connection window is for the server to choose, RFC 9113
		// §5.2.1.
		return "the connection window is used up"
	case ours.over() && !ours.fatal() && !theirs.over():
		// After the client's GOAWAY, with no streams open, this engine closes at once, and net/http
		// in a second.
		return "closed sooner"
	case ours.fatal() && !theirs.fatal() && theirs.gone():
		// RFC 9113 §6.8 lets a server send more than one GOAWAY; net/http sends none for an error once
		// it has sent one without.
		return "error after a graceful GOAWAY"
	case ours.fatal() && !theirs.fatal() && strings.Contains(a.what, "INITIAL_WINDOW_SIZE"):
		// RFC 9113 §6.9.2 has a window that becomes too large be an error; net/http of Go 1.27
		// finds it when that window is next used.
		return "a window that is too large"
	case ours.gone() && theirs.gone() && !ours.fatal() && !theirs.fatal():
		// New streams are ignored after GOAWAY, §6.8, or reset when a frame is malformed: net/http
		// does that for HEADERS, this engine for PRIORITY.
		for _, v := range []*view{ours, theirs} {
			st := v.streams[a.stream]
			if st != nil && st.reset != nil && len(st.blocks) == 0 {
				return "malformed frame for a new stream after GOAWAY"
			}
		}
	case ours.fatal() && theirs.isClosed():
		// It should, RFC 9113 §5.4.1; net/http does not for a frame too short for its fields.
		return "closed without GOAWAY"
	case ours.fatal() && theirs.fatal() && (a.raw || strings.Contains(a.what, "SETTINGS")):
		return "which of two faults is found first"
	case ours.fatal() != theirs.fatal():
		// "an endpoint MAY choose to treat a stream error as a connection error": RFC 9113 §5.4.2.
		fatal, other := ours, theirs
		if theirs.fatal() {
			fatal, other = theirs, ours
		}
		if st := other.streams[a.stream]; st != nil && st.reset != nil && *st.reset != http2.ErrCodeNo && fatal.fatal() {
			return "connection error for a stream error"
		}
	}
	return ""
}

// FuzzDifferential has both engines answer the same client. After each action it waits until both
// have come to rest, and compares what the client has been sent: once as it is for connections that are
// no sockets, and once with these lent.
func FuzzDifferential(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 2000 {
			return
		}
		synctest.Test(t, func(t *testing.T) { compare(t, script, false) })
		synctest.Test(t, func(t *testing.T) { compare(t, script, true) })
	})
}

func compare(t *testing.T, script []byte, lent bool) {
	serve, seen := serveOurs, (*view).text
	if lent {
		serve = serveLent
		// A handler that is done with a body looks for the rest of it on sockets alone.
		seen = func(v *view, all bool) string { return strings.ReplaceAll(v.text(all), " reset=NO_ERROR", "") }
	}
	ours, theirs := newPeer(t, serve), newPeer(t, serveTheirs)
	defer ours.end()
	defer theirs.end()
	var log strings.Builder
	s := newScript(script)
	var closing, loose, raw, wrongLength bool
	hello := action{what: "SETTINGS", octets: appendSettingsAck(appendSettings(nil)), initialWindow: -1}
	for a, ok := hello, true; ok; a, ok = s.next() {
		fmt.Fprintf(&log, "  %s\n", a.what)
		// It may show later, when there is a window for the body.
		wrongLength = wrongLength || a.known == knownLength
		before := ours.view.wasReset(a.stream)
		loose = loose || before
		ours.send(a)
		theirs.send(a)
		if closing {
			return // see above
		}
		closing = strings.Contains(a.what, `"/close"`)
		s.pending = s.pending.after(a.octets)
		if s.pending.update {
			a.known = cmpOr(a.known, knownPriorityUpdate)
		}
		if s.desynced { // by garbage: an action is not the frames it says
			a.raw, a.stream = true, s.pending.stream
		}
		a.raw = a.raw || raw
		raw = a.raw && s.pending.part
		if s.pending.part {
			if ours.view.fatal() || theirs.view.fatal() {
				return
			}
			continue // this engine tells of some errors before a frame or header block is complete
		}
		x, y := seen(ours.view, false), seen(theirs.view, false)
		if x == y {
			if ours.view.fatal() {
				break
			}
			continue
		}
		// net/http does not see END_STREAM on DATA for a body that the handler has closed.
		unseen := strings.HasPrefix(a.what, "DATA") && strings.Contains(log.String(), `":path"="/writer"`)
		if a.known != "" || before || wrongLength || unseen || allowed(a, ours.view, theirs.view) != "" {
			return
		}
		t.Fatalf("after\n%sours:\n%snet/http:\n%s", log.String(), x, y)
	}
	if s.pending.part {
		return
	}
	// After a graceful GOAWAY net/http closes for an error that it does not tell of.
	loose = loose || ours.view.gone() && !ours.view.fatal()
	time.Sleep(3 * time.Second) // for the end of the connection
	synctest.Wait()
	if x, y := seen(ours.view, !loose), seen(theirs.view, !loose); x != y {
		t.Fatalf("at the end of\n%sours:\n%snet/http:\n%s", log.String(), x, y)
	}
}

// A peer is an engine, and what its client sees.
type peer struct {
	t    *testing.T
	nc   *memnet.Conn
	stop func()
	view *view
}

func newPeer(t *testing.T, serve func(*testing.T, *memnet.Conn) (stop func())) *peer {
	client, server := memnet.Pipe(memnet.Options{}, 1)
	p := &peer{t: t, nc: client, view: newView()}
	p.stop = serve(t, server)
	go p.view.read(client)
	io.WriteString(client, http2.ClientPreface)
	return p
}

func (p *peer) send(a action) {
	p.view.allow(a)
	p.nc.Write(a.octets)
	synctest.Wait()
	time.Sleep(3 * lendTime)
	synctest.Wait()
	p.view.mu.Lock()
	defer p.view.mu.Unlock()
	if p.view.wrong != "" {
		p.t.Errorf("%s: %s", a.what, p.view.wrong)
	}
}

func (p *peer) end() {
	p.nc.Close()
	p.stop()
	time.Sleep(3 * time.Second) // net/http waits until what it has written is read
	synctest.Wait()
}

func serveOurs(t *testing.T, nc *memnet.Conn) func() { return serveBy(New(peerServer()), t, nc) }

// serveLent lends the connection for all requests that come alone.
func serveLent(t *testing.T, nc *memnet.Conn) func() {
	s := New(peerServer())
	s.lends.any, s.lends.hot = true, time.Hour
	return serveBy(s, t, nc)
}

func serveBy(s *Server, t *testing.T, nc *memnet.Conn) func() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(nc, Options{Context: t.Context(), Handler: s.hs.Handler})
	}()
	return func() { <-done }
}

func serveTheirs(t *testing.T, nc *memnet.Conn) func() {
	hs := peerServer()
	hs.Protocols = new(http.Protocols)
	hs.Protocols.SetUnencryptedHTTP2(true)
	l := &oneConn{conns: make(chan net.Conn, 1), closed: make(chan struct{})}
	l.conns <- nc
	done := make(chan struct{})
	go func() {
		defer close(done)
		hs.Serve(l)
	}()
	return func() {
		hs.Close()
		<-done
	}
}

// oneConn is a listener for a connection.
type oneConn struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A view is what a client has been sent.
type view struct {
	mu      sync.Mutex
	streams map[uint32]*streamView
	pongs   []string
	acks    int
	goAways []http2.ErrCode
	closed  bool
	wrong   string // what no server may send

	dec      *hpack.Decoder
	block    []byte
	window   int64 // of the connection
	initial  int64 // the largest one so far
	maxFrame int
}

type streamView struct {
	blocks []string // of fields
	size   int
	sum    uint32
	start  []byte
	ended  bool
	reset  *http2.ErrCode
	window int64
}

func newView() *view {
	v := &view{streams: make(map[uint32]*streamView), dec: hpack.NewDecoder(4096, nil),
		window: initialWindow, initial: initialWindow, maxFrame: minMaxFrame}
	v.dec.SetAllowedMaxDynamicTableSize(1<<32 - 1)
	return v
}

// allow notes what a server may send after an action.
func (v *view) allow(a action) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.window += a.connCredit
	v.initial = max(v.initial, a.initialWindow)
	v.maxFrame = max(v.maxFrame, a.frameSize)
	if a.streamCredit > 0 {
		v.stream(a.stream).window += a.streamCredit
	}
}

func (v *view) stream(id uint32) *streamView {
	st := v.streams[id]
	if st == nil {
		st = new(streamView)
		v.streams[id] = st
	}
	return st
}

// wasReset reports whether the server has reset a stream.
func (v *view) wasReset(id uint32) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if st := v.streams[id]; st != nil {
		return st.reset != nil
	}
	for other, st := range v.streams {
		if other > id && st.reset != nil {
			return true // and the client may open one below it, for net/http
		}
	}
	return false
}

// spent reports whether the server has used all of the connection window.
func (v *view) spent() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.window == 0
}

// gone reports whether the server has sent GOAWAY.
func (v *view) gone() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.goAways) > 0
}

func (v *view) isClosed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closed
}

// over reports whether the connection has ended.
func (v *view) over() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.closed && len(v.goAways) > 0
}

// fatal reports whether the server has ended the connection with an error.
func (v *view) fatal() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.ContainsFunc(v.goAways, func(c http2.ErrCode) bool { return c != http2.ErrCodeNo })
}

// text tells of all of it. When a connection is closed differs; that it is, in the end, does not.
func (v *view) text(end bool) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(v.streams)) {
		st := v.streams[id]
		if len(st.blocks) == 0 && st.size == 0 && !st.ended && st.reset == nil {
			continue
		}
		fmt.Fprintf(&b, "  %d: %s body=%d %08x %q ended=%v", id, strings.Join(st.blocks, " | "), st.size, st.sum, st.start, st.ended)
		if st.reset != nil {
			fmt.Fprintf(&b, " reset=%v", class(*st.reset))
		}
		b.WriteByte('\n')
	}
	var goAways []http2.ErrCode
	for _, code := range v.goAways {
		goAways = append(goAways, class(code))
	}
	fmt.Fprintf(&b, "  pongs=%q acks=%d goaway=%v closed=%v\n", v.pongs, v.acks, slices.Compact(goAways), end && v.closed)
	return b.String()
}

// decode decodes a header block. Two changes of the table size may stand in front of it, RFC 7541
// §4.2, of which x/net's decoder wants the second one not to follow the first.
func (v *view) decode(block []byte) ([]hpack.HeaderField, error) {
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		n := 1
		if block[0] == 0x3f {
			for n < len(block) && block[n]&0x80 != 0 {
				n++
			}
			n++
		}
		if n > len(block) {
			break
		}
		if _, err := v.dec.DecodeFull(block[:n]); err != nil {
			return nil, err
		}
		block = block[n:]
	}
	return v.dec.DecodeFull(block)
}

// class puts codes together of which a frame that is wrong in two ways, or in a way that the RFC
// has two codes for, may get either.
func class(code http2.ErrCode) http2.ErrCode {
	switch code {
	case http2.ErrCodeFrameSize, http2.ErrCodeStreamClosed:
		return http2.ErrCodeProtocol
	}
	return code
}

func (v *view) read(r io.Reader) {
	for {
		var h [headerLen]byte
		_, err := io.ReadFull(r, h[:])
		f := parseHeader(h[:])
		p := make([]byte, f.length)
		if err == nil {
			_, err = io.ReadFull(r, p)
		}
		v.mu.Lock()
		if err != nil {
			v.closed = true
			if err == io.ErrUnexpectedEOF {
				v.wrong = "part of a frame"
			}
			v.mu.Unlock()
			return
		}
		v.frame(f, p)
		v.mu.Unlock()
	}
}

func (v *view) frame(f frameHeader, p []byte) {
	if f.length > v.maxFrame {
		v.wrong = fmt.Sprintf("%v of %d octets", f.kind, f.length)
	}
	if v.block != nil && f.kind != http2.FrameContinuation {
		v.wrong = "a frame within a header block"
	}
	st := &streamView{}
	if f.stream != 0 && f.kind != http2.FrameWindowUpdate {
		st = v.stream(f.stream)
		if st.ended && f.kind != http2.FrameRSTStream && f.kind != http2.FrameContinuation {
			v.wrong = fmt.Sprintf("%v on stream %d that has ended", f.kind, f.stream)
		}
	}
	switch f.kind {
	case http2.FrameHeaders, http2.FrameContinuation:
		v.block = append(append(v.block, p...), []byte{}...)
		if f.kind == http2.FrameHeaders {
			st.ended = f.flags.Has(http2.FlagHeadersEndStream)
		}
		if f.flags.Has(http2.FlagHeadersEndHeaders) {
			fields, err := v.decode(v.block)
			if err != nil {
				v.wrong = "header block: " + err.Error()
			}
			var list []string
			for _, field := range fields {
				if field.Name != "date" {
					list = append(list, fmt.Sprintf("%s: %s", field.Name, field.Value))
				}
			}
			slices.Sort(list)
			st.blocks = append(st.blocks, fmt.Sprintf("%q", list))
			v.block = nil
		} else if v.block == nil {
			v.block = []byte{}
		}
	case http2.FrameData:
		st.size += len(p)
		st.sum = crc32.Update(st.sum, crc32.IEEETable, p)
		st.start = append(st.start, p[:min(len(p), 600-len(st.start))]...)
		st.ended = f.flags.Has(http2.FlagDataEndStream)
		if v.window -= int64(len(p)); v.window < 0 || int64(st.size) > v.initial+st.window {
			v.wrong = fmt.Sprintf("DATA on stream %d above the window", f.stream)
		}
	case http2.FrameRSTStream:
		if st.reset == nil {
			code := http2.ErrCode(binary.BigEndian.Uint32(p))
			st.reset = &code
		}
	case http2.FrameSettings:
		if f.flags.Has(http2.FlagSettingsAck) {
			v.acks++
		}
	case http2.FramePing:
		if f.flags.Has(http2.FlagPingAck) {
			v.pongs = append(v.pongs, string(p))
		}
	case http2.FrameGoAway:
		v.goAways = append(v.goAways, http2.ErrCode(binary.BigEndian.Uint32(p[4:])))
	case http2.FrameWindowUpdate:
	default:
		v.wrong = fmt.Sprintf("%v", f.kind)
	}
}

// seeds are conversations of each kind, and those in which something was found.
func seeds() [][]byte {
	var seeds [][]byte
	for i := range 25 {
		// Without and with a body, on two streams, then PING.
		seeds = append(seeds, []byte{doRequest, byte(i), 0, 0, doRequest, byte(i), 3, 0, doData, 0, 8 | 1, doPing, 8, 'p', 'i', 'n', 'g'})
	}
	for i := range scriptFields {
		seeds = append(seeds, []byte{doHeaders, 0, 0, 0, 0, 0, 1, byte(i), 0, doRequest})
		seeds = append(seeds, []byte{doRequest, 0, 3, 0, doTrailers, 0, 1, byte(i), 0, 0, doRequest})
	}
	for i := range scriptPaths {
		seeds = append(seeds, []byte{doHeaders, 0, byte(i), 1, 0, 0, 0, 0, doPing})
	}
	for i := range scriptMethods {
		seeds = append(seeds, []byte{doHeaders, 0, 0, byte(i), 0, 0, 0, 0, doPing}, []byte{doHeaders, 1, 0, byte(i), 0x0a, 0, 0, 0, doData, 0, 9, doPing})
	}
	for i := range 256 {
		seeds = append(seeds, []byte{doHeaders, 0, 0, 0, byte(i), 0, 0, 0, doPing})
		seeds = append(seeds, []byte{doRequest, 18, 3, 0, doSettings, 1, 4, byte(i), 0, doPing})
	}
	for i := range 16 {
		b := byte(i)
		seeds = append(seeds,
			[]byte{doRequest, 19, 3, 0, doData, 0, b, doData, 0, 16 | b, 200, doData, 0, 8, doData, 0, 1, doPing},
			[]byte{doRequest, 8, 3, 0, doData, 0, b, doData, 0, 8, doPing},
			[]byte{doRequest, 18, b, 0, 1, 2, 3, doReset, b, 8, doRequest, 0, 0, doPing},
			[]byte{doRequest, 4, b, 0, 1, 2, 3, doWindow, b, 0, 1, 0, 0, 0, doWindow, 4, 0, 1, 0, 0, 1, doPing},
			[]byte{doRequest, 4, b, 0, 1, 2, 3, doWindow, b, 0, 0, 0, 0, 1, doWindow, 0, 0x7f, 0xff, 0xff, 0xff, 1, doPing},
			[]byte{doRequest, 19, 3, 0, doGoAway, 0, b, 0, doData, 0, 9, doRequest, 0, 0, doPing},
			[]byte{doRequest, 0, 3, 0, doInterrupt, b, doPing},
			[]byte{doRequest, 0, 3, 0, doPriority, b, 1, b, doPriority, b, 0, b, doPing},
			[]byte{doRequest, 0, 3, 0, doUnknown, b, 0, 0, 5, 1, 2, 3, 4, 5, doPing},
			[]byte{doRequest, 0, 3, 0, doUnknown, b, 8, 4, 5, 1, 2, 3, 4, 5, doPing},
			[]byte{doRequest, 0, 3, 0, doContinue, b, doPing},
			[]byte{doRequest, 0, 0x40 | b, 0, 1, 2, 10, 0xe0 + b, doPing},
			[]byte{doRequest, 0, 0xc0 | b, 0, 1, 2, 10, 4, 3, 0xe0 + b, doPing},
			[]byte{doRequest, 18, 0, 0, doRequest, 18, 0, 0, doRequest, 18, 0, 0, doRequest, 18, 0, 0, doRequest, 18, 0, 0, doRequest, 18, 1, 0, doRequest, 18, b, 0, doRequest, 0, 0, 0, doReset, b, 8, doRequest, 0, 0, 0, doPing},
			[]byte{doOverrun, b, doRequest, 0, 0, doPing},
			[]byte{doGarbage, 30, b, 0, b, b, 0, 0, 0, 0, 9, 9, 9, 9, 9, doPing},
		)
	}
	return append(seeds, found...)
}

// found are scripts in which the engines once differed, or which broke one.
var found = [][]byte{
	// A SETTINGS frame and a part of the next: the acknowledgement waited for the rest.
	{0xff, 0x80, 0x0, 0xf4, 0xb0, 0xe, 0x0, 0x28, 0x1c, 0x1c, 0x1c, 0x40},
	// Trailers, and no Content-Length although the whole body was known.
	{doRequest, 5, 0, 0, doPing},
	// HEAD, whose handler flushes and goes on: the response did not end.
	{doRequest, 19, 0x15, 0, 0, 0, doPing},
	{doRequest, 11, 4, 0, 0, 0, doPing},
	{doRequest, 7, 5, 0, 0, 0, doPing, doData, 0, 9},
	// Malformed requests after the client's GOAWAY were answered.
	{0x0, 0x12, 0x3, 0x0, 0x9, 0x9, 0x9, 0x5, 0x1, 0x9, 0xc5, 0x0, 0x6},
	// HEADERS on streams that were reset.
	{0x0, 0x53, 0x3, 0x0, 0xa, 0x0},
	{0x0, 0x40, 0x3, 0x0, 0xa, 0x0, 0x1, 0x6, 0x0, 0x0, 0x0},
	{0xa, 0x6, 0x5, 0x24, 0x4, 0x59, 0x0, 0xd9, 0x0, 0x0},
	{0x0, 0x12, 0x3, 0x0, 0x40, 0x25, 0x53, 0xfa, 0x4f, 0xe3, 0xdf, 0x59, 0x5, 0x1, 0x4, 0xa, 0x0, 0x6},
	// Frames too short, after GOAWAY and otherwise.
	{0x0, 0x12, 0x3, 0xff, 0xf9, 0x1, 0x4, 0x10, 0x92, 0x26, 0x25, 0x3f, 0x0, 0xe},
	{0xf2, 0xff, 0xe8, 0x80, 0xff, 0xff, 0x0, 0x6},
	{0xca, 0x46, 0xa0, 0x0, 0x0, 0x2, 0xfd, 0x4, 0x80, 0xb7, 0xaa, 0x8, 0x3, 0x0, 0xcb, 0xeb, 0x6},
	// Fields of all kinds, too many of them.
	{0x1, 0x0, 0x0, 0xff, 0x7f, 0x1f, 0x1f, 0x1f, 0x1f, 0xff, 0xff, 0x0, 0x0, 0xf6, 0xff, 0x0},
	{0x1, 0xff, 0x0, 0x0, 0x0, 0x0, 0x1b, 0x27, 0x27, 0x27, 0x5, 0x0, 0x1b, 0x27, 0x27, 0x0},
	// PRIORITY for a new stream after GOAWAY.
	{0x0, 0x12, 0x3, 0x0, 0x98, 0x45, 0xbc, 0xa1, 0xf9, 0x5, 0x1, 0xff, 0xf8, 0xfe, 0x3, 0x7f, 0xff, 0x0, 0x5, 0x6},
	// A block that is wrong in two ways.
	{0x0, 0x2c, 0x0, 0x0, 0x0, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0xf2, 0x0, 0x0, 0x12, 0x10, 0x0, 0x0,
		0x12, 0x1, 0x0, 0x0, 0x12, 0x0, 0x0, 0x0, 0x0, 0x8, 0x0, 0x7, 0x8, 0x7, 0xff, 0xec, 0x0, 0x0, 0x6},
	// CONNECT with an empty :path.
	{0x1, 0x4, 0xee, 0x5, 0x12, 0x0, 0x3, 0x1, 0x4, 0x59, 0x0, 0x5},
	// Three streams for one window.
	{0x0, 0x4, 0x3a, 0x3a, 0x3a, 0x3a, 0x0, 0x0, 0x80, 0x0, 0x0, 0x0, 0x4, 0x3a, 0x3a, 0x3a, 0x3a, 0x26, 0x4, 0x4, 0x0, 0x1,
		0x0, 0x4, 0x3a, 0x0, 0x3a, 0x0, 0x7f, 0x6},
	// A wrong Content-Length that shows when the window opens.
	{0x0, 0x4, 0x8, 0x0, 0x1, 0x0, 0x10, 0x0, 0x0, 0x0, 0x1, 0xa, 0x0, 0x0, 0x4, 0x4, 0x0, 0x1, 0x0, 0x0, 0x0, 0x1},
	// Two changes of the table size in front of a block.
	[]byte("PPPPPPPP\xb5\xb5\xb5\xb5\xb5\xb5\xb5\xb5\xb5\xb5ӵ\xb5\xad\xb5\xb5\xb5\xb5\xb5\xb5\xb5\xb5\xb5\x00\x10\x00\x01\x02\n\xe8\x06"),
	// Trailers that are not allowed.
	{0x0, 0x0, 0xe7, 0x28, 0xec, 0xed, 0xe6, 0x14, 0x42, 0xda, 0x8, 0xf3, 0xa, 0x1, 0x3, 0x0, 0x0, 0x0},
	// Frames of wrong lengths among garbage; two wrong settings in a frame.
	{0xff, 0xff, 0x0, 0x0, 0x0, 0x2, 0xa, 0x4, 0x3, 0xe4, 0x6},
	{0xff, 0xff, 0x0, 0x0, 0x0, 0x10, 0x46, 0x1, 0x0, 0x0, 0x6},
	{0xff, 0x80, 0x0, 0xf4, 0xb0, 0x0, 0x28, 0x1c, 0x1c, 0xb0, 0xb0, 0x40},
	{0x0, 0x12, 0x3, 0x0, 0x5, 0xae, 0xc3, 0x1, 0x4, 0x9d, 0x0, 0x6},
	{0x0, 0x12, 0xe9, 0xff, 0x27, 0x1, 0x4, 0x96, 0x0, 0x6},
	// RST_STREAM after the GOAWAY that ended the connection.
	{0x0, 0x9a, 0x1, 0x4, 0x0, 0x10, 0x12, 0x3, 0x0, 0xd, 0x1, 0x4, 0x0, 0x10, 0x70},
}
