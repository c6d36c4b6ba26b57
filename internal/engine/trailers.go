package engine

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// maxTrailers is how many names of trailers of a request are noted: values that cost the client an
// octet each may list many.
const maxTrailers = 100

// declareTrailers notes the names that Trailer lists.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-6.6.2
func (h *headerBlock) declareTrailers(r *http.Request, values []string) {
	delete(r.Header, "Trailer")
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name = http.CanonicalHeaderKey(textproto.TrimString(name))
			switch name {
			case "", "Transfer-Encoding", "Trailer", "Content-Length":
				continue
			}
			if r.Trailer == nil {
				r.Trailer = make(http.Header)
			}
			if r.Trailer[name] = nil; len(r.Trailer) == maxTrailers {
				return
			}
		}
	}
}

// recvTrailers takes the fields that end a request.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.1-8
func (st *stream) recvTrailers(h *headerBlock) error {
	c := st.c
	c.mu.Lock()
	ended, failed := st.remoteEnded, st.err != nil
	c.mu.Unlock()
	switch {
	case failed:
		return nil
	case ended:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-5.1-7.12.2
		return streamError{st.id, http2.ErrCodeStreamClosed, "headers_half_closed"}
	case !h.end:
		return streamError{st.id, http2.ErrCodeProtocol, "trailers_not_last"}
	case h.wrong != "":
		return streamError{st.id, http2.ErrCodeProtocol, h.wrong}
	case h.tooMuch:
		return streamError{st.id, http2.ErrCodeEnhanceYourCalm, "trailers_too_large"}
	}
	for _, has := range h.has {
		if has {
			return streamError{st.id, http2.ErrCodeProtocol, "trailers_pseudo"}
		}
	}
	for i := range h.fields {
		h.check(&h.fields[i])
	}
	if h.wrong != "" {
		return streamError{st.id, http2.ErrCodeProtocol, h.wrong}
	}
	trailer := h.header()
	for name := range trailer {
		// https://www.rfc-editor.org/rfc/rfc9110.html#section-6.5.1
		if !httpguts.ValidTrailerHeader(name) {
			delete(trailer, name)
		}
	}
	return st.endOfBody(trailer)
}

// declareTrailers notes the names that a value of Trailer lists.
func (w *response) declareTrailers(value string) {
	for name := range strings.SplitSeq(value, ",") {
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		if httpguts.ValidTrailerHeader(name) && !slices.Contains(w.trailers, name) {
			w.trailers = append(w.trailers, name)
		}
	}
}

// trailer returns the fields that end the response, or nil.
func (w *response) trailer() http.Header {
	var trailer http.Header
	add := func(name string, values []string) {
		if trailer == nil {
			trailer = make(http.Header)
		}
		trailer[name] = append(trailer[name], values...)
	}
	for _, name := range w.trailers {
		if v, ok := w.header[name]; ok {
			add(name, v)
		}
	}
	for name, v := range w.header {
		if name, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			if name = http.CanonicalHeaderKey(name); httpguts.ValidTrailerHeader(name) {
				delete(trailer, name)
				add(name, v)
			}
		}
	}
	return trailer
}

// sendTrailer ends the stream with a header block.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.1-8
func (w *response) sendTrailer(trailer http.Header) {
	st := w.st
	c := st.c
	c.mu.Lock()
	if st.room() != nil {
		c.mu.Unlock()
		return
	}
	o := &c.out
	o.begin()
	for name, values := range trailer {
		o.fields(name, values)
	}
	o.finish(st.id, true, c.peer.maxFrame)
	st.endLocally()
	c.mu.Unlock()
}
