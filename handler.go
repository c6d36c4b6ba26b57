package h2c

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
)

// handler is what ConfigureServer and NewHandler put before the user's handler.
type handler struct {
	s    *Server
	next http.Handler

	// Under ConfigureServer.
	hs            *http.Server
	direct        *direct // nil if net/http starts all connections
	conns         *conns
	answerOptions bool // in place of net/http

	// Under NewHandler.
	marks  *marks
	fronts sync.Map // weak.Pointer[http.Server] that requests came from
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isPreface(r):
		h.servePreface(w, r)
	case r.ProtoMajor >= 2:
		h.serveHTTP2(w, r)
	default:
		h.serveHTTP1(w, r)
	}
}

func (h *handler) serveHTTP2(w http.ResponseWriter, r *http.Request) {
	if c := publicConn(r); c != nil && r.TLS == nil && !c.priorKnowledge(h.s) {
		// net/http cannot refuse prior knowledge on one connection and take it on an
		// upgraded one, so the refusal comes with the first request.
		c.nc.Close()
		panic(http.ErrAbortHandler)
	}
	h.serveNext(w, r)
}

func (h *handler) serveHTTP1(w http.ResponseWriter, r *http.Request) {
	h.meet(r)
	if !offersH2C(r) {
		h.noteRequest(r)
		h.serveNext(w, r)
		return
	}
	if c := h.s.splitConnOf(r); c != nil && c.declined != nil {
		same := sameHead(r, c.declined) // another handler may have had that
		c.declined = nil
		if same {
			h.decline(w, r, c.verdict.reason, c.verdict.err)
			return
		}
	}
	e, ok := h.engine(r)
	if !ok || h.s.DisableUpgrade || h.s.noHTTP2.Load() {
		h.decline(w, r, ReasonDisabled, nil)
		return
	}
	if o := negotiate(r, h.s.AllowUpgrade, e.limits(h.s)); o.reason != "" {
		h.decline(w, r, o.reason, o.err)
	} else {
		h.upgrade(w, r, e, o)
	}
}

// sameHead reports whether two requests have the same head.
func sameHead(a, b *http.Request) bool {
	return a.Method == b.Method && a.RequestURI == b.RequestURI && a.Proto == b.Proto && a.Host == b.Host &&
		maps.EqualFunc(a.Header, b.Header, slices.Equal)
}

// decline serves a request as the HTTP/1.1 request that it also is.
//
// "A server MAY ignore a received Upgrade header field if it wishes to continue using the
// current protocol on that connection."
// https://www.rfc-editor.org/rfc/rfc9110.html#section-7.8-2
func (h *handler) decline(w http.ResponseWriter, r *http.Request, reason Reason, err error) {
	h.s.negotiated(Negotiation{Via: ViaHTTP1, Reason: reason, Err: err, RemoteAddr: r.RemoteAddr})
	h.noteRequest(r)
	removeOffer(r)
	h.serveNext(w, r)
}

func (h *handler) serveNext(w http.ResponseWriter, r *http.Request) {
	if h.answerOptions && r.Method == http.MethodOptions && r.RequestURI == "*" {
		serveOptions(w, r)
		return
	}
	h.next.ServeHTTP(w, r)
}

// serveOptions answers "OPTIONS *" the way that net/http does. net/http would do so before
// any handler, and the request could not upgrade.
func serveOptions(w http.ResponseWriter, r *http.Request) {
	const maxBody = 4 << 10
	w.Header().Set("Content-Length", "0")
	if r.ContentLength != 0 {
		io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBody))
	}
}

// noteRequest notes that a request was served over HTTP/1, so that its connection is past
// the first one.
func (h *handler) noteRequest(r *http.Request) {
	if c := publicConn(r); c != nil {
		c.hadRequest = true
	} else if h.marks != nil && !h.s.DisablePriorKnowledge {
		h.marks.set(localAddr(r))
	}
}

// hadRequest reports whether the connection of r had a request before.
func (h *handler) hadRequest(r *http.Request) bool {
	if c := publicConn(r); c != nil {
		return c.hadRequest
	}
	return h.marks != nil && h.marks.isSet(localAddr(r))
}
