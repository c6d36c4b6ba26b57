package engine

import (
	"errors"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// A headerBlock is the fields of a HEADERS frame and of the CONTINUATION frames behind it.
type headerBlock struct {
	c   *conn
	dec *hpack.Decoder

	open   bool // CONTINUATION is to come
	stream uint32
	end    bool // END_STREAM
	size   int  // octets of the block so far
	frames int

	fields  []hpack.HeaderField // regular ones
	pseudo  [pseudoCount]string
	has     [pseudoCount]bool
	list    int    // size of the header list
	count   int    // fields
	wrong   string // why the request is malformed
	tooMuch bool   // the list is above the limit
	special bool   // a field among them means something to this package

	canonical map[string]string // names of fields, as http.Header has them
}

const (
	pseudoMethod = iota
	pseudoScheme
	pseudoAuthority
	pseudoPath
	pseudoProtocol
	pseudoCount
)

const (
	maxKeptFields = 64 // for the next block
	maxCanonical  = 64 // names that a connection remembers
	maxBlockExtra = 64 << 10
	maxBlockParts = 1000 // frames
)

func (h *headerBlock) init(c *conn) { h.c = c }

// recvHeaders begins a header block: of a request, or the trailers of one.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.2
func (c *conn) recvHeaders(f frameHeader) error {
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-5.1.1-2
	if f.stream%2 == 0 {
		return connError{http2.ErrCodeProtocol, "headers_even"}
	}
	pad, err := c.padding(f, http2.FlagHeadersPadded)
	if err != nil {
		return err
	}
	n := pad.rest
	var wrong error
	if f.flags.Has(http2.FlagHeadersPriority) {
		if n < 5 {
			return connError{http2.ErrCodeFrameSize, "headers_length"}
		}
		p, err := c.in.need(5)
		if err != nil {
			return err
		}
		wrong = checkDependency(f.stream, p)
		c.in.skip(5)
		n -= 5
	}
	if n -= pad.length; n < 0 {
		return connError{http2.ErrCodeProtocol, "headers_padding"}
	}
	h := &c.block
	h.begin(f.stream, f.flags.Has(http2.FlagHeadersEndStream))
	if wrong != nil {
		h.wrong = "priority_itself"
	}
	if err := h.take(n); err != nil {
		return err
	}
	if err := c.discard(pad.length); err != nil {
		return err
	}
	if f.flags.Has(http2.FlagHeadersEndHeaders) {
		return h.finish()
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.10
func (c *conn) recvContinuation(f frameHeader) error {
	h := &c.block
	if !h.open {
		return connError{http2.ErrCodeProtocol, "continuation_unexpected"}
	}
	if err := h.take(f.length); err != nil {
		return err
	}
	if f.flags.Has(http2.FlagContinuationEndHeaders) {
		return h.finish()
	}
	return nil
}

// padding is what is said of it in front of the payload.
type padding struct {
	length int
	rest   int // octets of the frame behind the field
}

func (c *conn) padding(f frameHeader, padded http2.Flags) (padding, error) {
	if !f.flags.Has(padded) {
		return padding{rest: f.length}, nil
	}
	if f.length == 0 {
		return padding{}, connError{http2.ErrCodeFrameSize, "padding_missing"}
	}
	b, err := c.in.need(1)
	if err != nil {
		return padding{}, err
	}
	n := int(b[0])
	c.in.skip(1)
	return padding{n, f.length - 1}, nil
}

// forget frees what only the next block would have use for.
func (h *headerBlock) forget() { h.fields, h.canonical = nil, nil }

func (h *headerBlock) decoder() *hpack.Decoder {
	if h.dec == nil {
		h.dec = hpack.NewDecoder(max(h.c.lim.decoderTable, defaultTable), nil)
		h.dec.SetEmitFunc(h.emit)
		// A longer string than the list may be is taken, so that the list can be answered 431.
		h.dec.SetMaxStringLength(h.c.lim.maxHeaderList + maxBlockExtra)
	}
	return h.dec
}

func (h *headerBlock) begin(stream uint32, end bool) {
	if cap(h.fields) > maxKeptFields {
		h.fields = nil
	}
	clear(h.fields[:cap(h.fields)])
	*h = headerBlock{
		c: h.c, dec: h.decoder(), canonical: h.canonical, fields: h.fields[:0],
		open: true, stream: stream, end: end,
	}
}

// take decodes n octets of the block.
//
// What is larger than it takes must still be decoded, or end the connection, as a flood does here:
// https://www.rfc-editor.org/rfc/rfc9113.html#section-4.3-11
func (h *headerBlock) take(n int) error {
	h.frames++
	if h.size += n; h.size > h.c.lim.maxHeaderList+maxBlockExtra || h.frames > maxBlockParts {
		return connError{http2.ErrCodeEnhanceYourCalm, "header_flood"}
	}
	for n > 0 {
		b, err := h.c.in.part(n)
		if err != nil {
			return err
		}
		if _, err := h.dec.Write(b); errors.Is(err, hpack.ErrStringLength) {
			return connError{http2.ErrCodeEnhanceYourCalm, "header_string"}
		} else if err != nil {
			return connError{http2.ErrCodeCompression, "header_compression"}
		}
		n -= len(b)
	}
	return nil
}

// emit takes a field.
func (h *headerBlock) emit(f hpack.HeaderField) {
	h.count++
	h.list += len(f.Name) + len(f.Value) + fieldOverhead
	if h.list > h.c.lim.maxHeaderList || h.c.lim.maxFields > 0 && h.count > h.c.lim.maxFields {
		h.tooMuch = true
		h.fields = h.fields[:0]
		return
	}
	if f.IsPseudo() {
		h.emitPseudo(f)
		return
	}
	h.fields = append(h.fields, f)
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.3
func (h *headerBlock) emitPseudo(f hpack.HeaderField) {
	i := -1
	switch f.Name {
	case ":method":
		i = pseudoMethod
	case ":scheme":
		i = pseudoScheme
	case ":authority":
		i = pseudoAuthority
	case ":path":
		i = pseudoPath
	case ":protocol":
		i = pseudoProtocol
	}
	switch {
	case i < 0:
		h.fault("pseudo_unknown")
	case h.has[i]:
		h.fault("pseudo_twice")
	case len(h.fields) > 0:
		h.fault("pseudo_late")
	default:
		h.pseudo[i], h.has[i] = f.Value, true
	}
}

// fault notes what is wrong first.
func (h *headerBlock) fault(wrong string) {
	if h.wrong == "" {
		h.wrong = wrong
	}
}

// finish does what the block says.
func (h *headerBlock) finish() error {
	h.open = false
	if err := h.dec.Close(); err != nil {
		return connError{http2.ErrCodeCompression, "header_compression"}
	}
	c := h.c
	if h.stream <= c.lastSeen {
		c.mu.Lock()
		st := c.streams[h.stream]
		c.mu.Unlock()
		switch {
		case st != nil:
			return st.recvTrailers(h)
		case c.wasReset(h.stream):
			return nil
		}
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-5.1-7.14
		return connError{http2.ErrCodeStreamClosed, "headers_closed"}
	}
	c.lastSeen = h.stream
	for i := range h.fields {
		h.check(&h.fields[i])
	}
	if h.wrong == "" && !h.tooMuch {
		h.checkPseudo()
	}
	if h.wrong != "" {
		c.mu.Lock()
		gone := c.draining && h.stream > c.goneAt
		c.mu.Unlock()
		if gone {
			return nil
		}
		return streamError{h.stream, http2.ErrCodeProtocol, h.wrong}
	}
	return c.open(h)
}

// check says what is wrong with a regular field.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.2.1
func (h *headerBlock) check(f *hpack.HeaderField) {
	if !validName(f.Name) {
		h.fault("field_name")
		return
	}
	if !httpguts.ValidHeaderFieldValue(f.Value) || strings.Trim(f.Value, " \t") != f.Value {
		h.fault("field_value")
	}
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.2.2
	switch f.Name {
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		h.fault("field_connection")
	case "te":
		if f.Value != "trailers" {
			h.fault("field_te")
		}
	case "host", "expect", "trailer", "content-length", "priority":
		h.special = true
	}
}

// checkPseudo says what is wrong with the pseudo-header fields of a request.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.3.1
func (h *headerBlock) checkPseudo() {
	method, path := h.pseudo[pseudoMethod], h.pseudo[pseudoPath]
	switch {
	case !h.has[pseudoMethod] || !validMethod(method):
		h.fault("method")
	case method == http.MethodConnect && !h.has[pseudoProtocol]:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.5
		if h.has[pseudoPath] || h.has[pseudoScheme] || h.pseudo[pseudoAuthority] == "" {
			h.fault("connect")
		}
	case h.has[pseudoProtocol] && (method != http.MethodConnect || extendedConnect() == 0):
		// https://www.rfc-editor.org/rfc/rfc8441.html#section-4
		h.fault("protocol")
	case path == "" || path[0] != '/' && path != "*":
		h.fault("path")
	case h.pseudo[pseudoScheme] != "http" && h.pseudo[pseudoScheme] != "https":
		h.fault("scheme")
	}
	if !httpguts.ValidHostHeader(h.pseudo[pseudoAuthority]) {
		h.fault("authority")
	}
}

func validMethod(m string) bool {
	switch m {
	case http.MethodGet, http.MethodPost, http.MethodHead, http.MethodPut:
		return true
	}
	return m != "" && httpguts.ValidHeaderFieldName(m)
}

// validName reports whether a name is a token without capitals.
func validName(name string) bool {
	if name == "" {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c >= 0x80 || !lowerToken[c] {
			return false
		}
	}
	return true
}

var lowerToken = func() (t [128]bool) {
	for c := range t {
		t[c] = httpguts.IsTokenRune(rune(c)) && (c < 'A' || c > 'Z')
	}
	return t
}()
