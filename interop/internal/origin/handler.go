package origin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A Report is what the handler saw of a request.
type Report struct {
	Method, Target, Host, Proto string

	Via           h2c.Via
	Remote        string // address of the client
	Header        http.Header
	Trailer       http.Header
	ContentLength int64
	BodyBytes     int
	BodySHA256    string
	BodyError     string
}

// String is the report in one line.
func (r Report) String() string {
	s := fmt.Sprintf("%s %s %s by %s", r.Method, r.Target, r.Proto, r.Via)
	if r.BodyBytes > 0 {
		s += fmt.Sprintf(", %d octets", r.BodyBytes)
		if r.BodySHA256 != peer.Digest(peer.Payload(r.BodyBytes)) {
			s += " damaged"
		}
	}
	if r.BodyError != "" {
		s += ", " + r.BodyError
	}
	return s
}

// A Handler answers what the cases ask for, and keeps a report of every request but those
// for /hello and /events.
//
//	/echo         the report as JSON
//	/bytes/N      N octets of payload
//	/trailers     "hello" and the trailer X-Check: done
//	/early        103 with a Link field, then 200 and "hello"
//	/status/CODE  that status and no body
//	/hello        "hello", after the body
//	/gate/N?NAME  half of N octets of payload, and the rest when the gate NAME opens
//	/events?NAME  server-sent events, each after the one before has passed the gate NAME
type Handler struct {
	mux http.ServeMux

	mu      sync.Mutex
	reports []Report
	gates   map[string]*Gate
}

// Events is how many /events sends: "data: 1", and so on.
const Events = 3

// A Gate holds a response up.
type Gate struct {
	reached   chan struct{} // receives when the handler waits
	open      chan struct{}
	cancelled chan struct{} // closed when the request's context ended before the gate opened
}

// Reached returns what receives each time the handler has come to the gate.
func (g *Gate) Reached() <-chan struct{} { return g.reached }

// Open lets the handler pass once.
func (g *Gate) Open() { g.open <- struct{}{} }

// Cancelled returns what is closed when the context of the request ended at the gate.
func (g *Gate) Cancelled() <-chan struct{} { return g.cancelled }

// pass waits at the gate, and reports whether it opened.
func (g *Gate) pass(r *http.Request) bool {
	g.reached <- struct{}{}
	select {
	case <-g.open:
		return true
	case <-r.Context().Done():
		close(g.cancelled)
		return false
	}
}

// Gate returns the gate of that name, which only one request passes.
func (h *Handler) Gate(name string) *Gate {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := h.gates[name]
	if g == nil {
		g = &Gate{make(chan struct{}, Events), make(chan struct{}, Events), make(chan struct{})}
		h.gates[name] = g
	}
	return g
}

// NewHandler returns a Handler.
func NewHandler() *Handler {
	h := &Handler{gates: make(map[string]*Gate)}
	h.mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := json.Marshal(h.report(r))
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	})
	h.mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		if n, ok := size(w, r); ok {
			w.Header().Set("Content-Length", strconv.Itoa(n))
			w.Write(peer.Payload(n))
		}
	})
	h.mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		w.Header().Set("Trailer", "X-Check")
		io.WriteString(w, "hello\n")
		// No Content-Length: curl does not wait for trailers after the last octet.
		http.NewResponseController(w).Flush()
		w.Header().Set("X-Check", "done")
	})
	h.mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hello\n")
	})
	h.mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil || code < 200 || code > 599 {
			code = http.StatusNotFound
		}
		w.WriteHeader(code)
	})
	h.mux.HandleFunc("/hello", func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "hello\n")
	})
	h.mux.HandleFunc("/gate/{n}", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		n, ok := size(w, r)
		if !ok {
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		w.Write(peer.Payload(n)[:n/2])
		http.NewResponseController(w).Flush()
		if h.Gate(r.URL.RawQuery).pass(r) {
			w.Write(peer.Payload(n)[n/2:])
		}
	})
	h.mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		gate, out := h.Gate(r.URL.RawQuery), http.NewResponseController(w)
		out.SetWriteDeadline(time.Now().Add(30 * time.Second))
		for i := range Events {
			fmt.Fprintf(w, "data: %d\n\n", i+1)
			out.Flush()
			if !gate.pass(r) {
				return
			}
		}
	})
	return h
}

// size returns the size that the path asks for, or answers 404.
func size(w http.ResponseWriter, r *http.Request) (int, bool) {
	n, err := strconv.Atoi(r.PathValue("n"))
	if err != nil || n < 0 || n > peer.MaxPayload {
		http.NotFound(w, r)
		return 0, false
	}
	return n, true
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// report reads the body of a request and keeps what there is to say of it.
func (h *Handler) report(r *http.Request) Report {
	rep := Report{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto,
		Via:           h2c.RequestVia(r),
		Remote:        r.RemoteAddr,
		Header:        r.Header.Clone(),
		ContentLength: r.ContentLength,
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(r.Body, peer.MaxPayload)); err != nil {
		rep.BodyError = err.Error()
	}
	rep.BodyBytes = body.Len()
	rep.BodySHA256 = peer.Digest(body.Bytes())
	rep.Trailer = r.Trailer.Clone()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, rep)
	return rep
}

// Seen returns the reports so far.
func (h *Handler) Seen() []Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Report(nil), h.reports...)
}
