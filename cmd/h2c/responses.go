package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	maxBytes = 1 << 40 // of /bytes/N

	maxDrips        = 10_000
	maxDripInterval = time.Minute

	eventInterval = time.Second
)

// pattern is what /bytes repeats: octet i of the response is i modulo 251. That is a
// prime, so that an octet lost or repeated at a round offset shows.
var pattern = func() []byte {
	b := make([]byte, 251*512)
	for i := range b {
		b[i] = byte(i % 251)
	}
	return b
}()

func serveBytes(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || n < 0 || n > maxBytes {
		http.Error(w, fmt.Sprintf("want /bytes/N with N from 0 to %d", int64(maxBytes)), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
	if r.Method == http.MethodHead {
		return
	}
	for n > 0 {
		m, err := w.Write(pattern[:min(n, int64(len(pattern)))])
		if err != nil {
			return
		}
		n -= int64(m)
	}
}

func serveDrip(w http.ResponseWriter, r *http.Request) {
	n, every, err := dripParams(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if r.Method == http.MethodHead {
		return
	}
	for i := 1; i <= n; i++ {
		if i > 1 {
			select {
			case <-time.After(every):
			case <-r.Context().Done():
				return
			}
		}
		if writeFlushed(w, fmt.Sprintf("%d of %d\n", i, n)) != nil {
			return
		}
	}
}

func dripParams(query string) (n int, every time.Duration, err error) {
	n, every = 5, 200*time.Millisecond
	q, err := url.ParseQuery(query)
	if err != nil {
		return 0, 0, err
	}
	if q.Has("n") {
		if n, err = strconv.Atoi(q.Get("n")); err != nil || n < 1 || n > maxDrips {
			return 0, 0, fmt.Errorf("n is not a number from 1 to %d", maxDrips)
		}
	}
	if q.Has("every") {
		if every, err = time.ParseDuration(q.Get("every")); err != nil || every < 0 || every > maxDripInterval {
			return 0, 0, fmt.Errorf("every is not a duration from 0s to %v", maxDripInterval)
		}
	}
	return n, every, nil
}

func (d *diagnostics) serveEvents(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	tick := time.NewTicker(eventInterval)
	defer tick.Stop()
	for now, i := time.Now(), 1; ; i++ {
		event := fmt.Sprintf("id: %d\ndata: %s\n\n", i, now.UTC().Format(time.RFC3339))
		if writeFlushed(w, event) != nil {
			return
		}
		select {
		case now = <-tick.C:
		case <-r.Context().Done():
			return
		case <-d.draining:
			return
		}
	}
}

func serveStatus(w http.ResponseWriter, r *http.Request) {
	param := r.PathValue("code")
	code, err := strconv.Atoi(param)
	if err != nil || len(param) != 3 || code < 200 || code > 599 {
		http.Error(w, "want /status/CODE with CODE from 200 to 599", http.StatusBadRequest)
		return
	}
	switch code {
	case http.StatusNoContent, http.StatusResetContent, http.StatusNotModified:
		w.WriteHeader(code)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	fmt.Fprintln(w, code, http.StatusText(code))
}

func serveTrailers(w http.ResponseWriter, _ *http.Request) {
	const body = "The trailers have the SHA-256 of this body.\n"
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Trailer", "X-Checksum")
	if writeFlushed(w, body) != nil { // with a Content-Length, curl would not wait for the trailers
		return
	}
	sum := sha256.Sum256([]byte(body))
	w.Header().Set("X-Checksum", hex.EncodeToString(sum[:]))
}

func serveEarly(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Link", "</stats>; rel=preload; as=fetch")
	// "a server MUST NOT send a 1xx response to an HTTP/1.0 client"
	// https://www.rfc-editor.org/rfc/rfc9110.html#section-15.2-1
	if r.ProtoAtLeast(1, 1) {
		w.WriteHeader(http.StatusEarlyHints)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "103 came before this.\n")
}

func writeFlushed(w http.ResponseWriter, s string) error {
	if _, err := io.WriteString(w, s); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}
