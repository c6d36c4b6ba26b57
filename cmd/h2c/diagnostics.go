package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"html/template"
	"io"
	"net/http"
	"strings"

	"github.com/seed78dc1b7f/h2c"
)

// diagnostics is what serve serves by default: it shows a client what its connection and
// its requests look like from here, and gives it responses of every kind.
type diagnostics struct {
	stats    func() h2c.Stats
	draining <-chan struct{} // closed when responses without an end are to end
}

func newDiagnostics(stats func() h2c.Stats, draining <-chan struct{}) http.Handler {
	d := &diagnostics{stats, draining}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", serveIndex)
	mux.HandleFunc("/echo", serveEcho)
	mux.HandleFunc("/bytes/{n}", serveBytes)
	mux.HandleFunc("/drip", serveDrip)
	mux.HandleFunc("/events", d.serveEvents)
	mux.HandleFunc("/status/{code}", serveStatus)
	mux.HandleFunc("/trailers", serveTrailers)
	mux.HandleFunc("/early", serveEarly)
	mux.HandleFunc("/stats", d.serveStats)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		mux.ServeHTTP(w, r)
	})
}

// report is what a request looks like from here.
type report struct {
	Method    string      `json:"method"`
	Target    string      `json:"target"` // as in the request line, or :path
	Proto     string      `json:"proto"`
	Host      string      `json:"host"`
	Remote    string      `json:"remote"`
	Via       h2c.Via     `json:"via"`
	Headers   http.Header `json:"headers"`
	BodyBytes int64       `json:"body_bytes"`
}

// newReport reads the body of r into body, whatever its size.
func newReport(r *http.Request, body io.Writer) (report, error) {
	n, err := io.Copy(body, r.Body)
	return report{
		Method:    r.Method,
		Target:    r.RequestURI,
		Proto:     r.Proto,
		Host:      r.Host,
		Remote:    r.RemoteAddr,
		Via:       h2c.RequestVia(r),
		Headers:   r.Header,
		BodyBytes: n,
	}, err
}

//go:embed index.html
var indexHTML string

var indexPage = template.Must(template.New("index").Parse(indexHTML))

func serveIndex(w http.ResponseWriter, r *http.Request) {
	rep, err := newReport(r, io.Discard)
	if err != nil {
		badBody(w, err)
		return
	}
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html") {
		writeJSON(w, rep)
		return
	}
	var page bytes.Buffer
	if err := indexPage.Execute(&page, rep); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(page.Bytes())
}

func serveEcho(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	rep, err := newReport(r, sum)
	if err != nil {
		badBody(w, err)
		return
	}
	writeJSON(w, struct {
		report
		BodySHA256 string `json:"body_sha256"`
	}{rep, hex.EncodeToString(sum.Sum(nil))})
}

func (d *diagnostics) serveStats(w http.ResponseWriter, _ *http.Request) {
	s := d.stats()
	if s.Declined == nil {
		s.Declined = map[h2c.Reason]int64{} // {} rather than null
	}
	if s.Failed == nil {
		s.Failed = map[h2c.Reason]int64{}
	}
	writeJSON(w, s)
}

func badBody(w http.ResponseWriter, err error) {
	http.Error(w, "reading the body: "+err.Error(), http.StatusBadRequest)
}

func writeJSON(w http.ResponseWriter, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(b.Bytes())
}
