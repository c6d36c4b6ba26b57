package interop

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"

	"github.com/seed78dc1b7f/h2c"
)

// maxPayload is as much as payload can give.
const maxPayload = 16 << 20

var payloadBytes = sync.OnceValue(func() []byte {
	b := make([]byte, maxPayload)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
})

// payload returns the n octets that every body of that length consists of, in requests and
// in responses. They do not repeat, so what is lost, doubled or moved shows.
func payload(n int) []byte { return payloadBytes()[:n:n] }

// report is what a handler saw of a request.
type report struct {
	Method, Target, Host, Proto string

	Via           h2c.Via
	Remote        string // address of the client
	Header        http.Header
	ContentLength int64
	BodyBytes     int
	BodySHA256    string
	BodyError     string
}

// String is the report in one line.
func (r report) String() string {
	s := fmt.Sprintf("%s %s %s by %s", r.Method, r.Target, r.Proto, r.Via)
	if r.BodyBytes > 0 {
		s += fmt.Sprintf(", %d octets", r.BodyBytes)
		if r.BodySHA256 != digest(payload(r.BodyBytes)) {
			s += " damaged"
		}
	}
	if r.BodyError != "" {
		s += ", " + r.BodyError
	}
	return s
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// handler answers what the cases ask for, and keeps a report of every request.
//
//	/echo         the report as JSON
//	/bytes/N      N octets of payload
//	/trailers     a response with the trailer X-Check: done
//	/early        103 with a Link field, then 200
//	/status/CODE  that status and no body
//	/hello        a few octets, after the body; it is not reported
type handler struct {
	mux http.ServeMux

	mu      sync.Mutex
	reports []report
}

func newHandlerUnderTest() *handler {
	h := new(handler)
	h.mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		b, _ := json.Marshal(h.report(r))
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	})
	h.mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		h.report(r)
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n > maxPayload {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(n))
		w.Write(payload(n))
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
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// report reads the body of a request and keeps what there is to say of it.
func (h *handler) report(r *http.Request) report {
	rep := report{
		Method: r.Method, Target: r.RequestURI, Host: r.Host, Proto: r.Proto,
		Via:           h2c.RequestVia(r),
		Remote:        r.RemoteAddr,
		Header:        r.Header.Clone(),
		ContentLength: r.ContentLength,
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(io.LimitReader(r.Body, maxPayload)); err != nil {
		rep.BodyError = err.Error()
	}
	rep.BodyBytes = body.Len()
	rep.BodySHA256 = digest(body.Bytes())

	h.mu.Lock()
	defer h.mu.Unlock()
	h.reports = append(h.reports, rep)
	return rep
}

// seen returns the reports so far.
func (h *handler) seen() []report {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]report(nil), h.reports...)
}
