package engine

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// sendHeader sends HEADERS for a body that begins with p.
func (w *response) sendHeader(p []byte, end bool) error {
	st := w.st
	c := st.c
	c.mu.Lock()
	if err := st.room(); err != nil {
		c.mu.Unlock()
		w.err = err
		return err
	}
	w.appendHeader(p, end)
	if len(p) > 0 || end {
		c.mu.Unlock() // the DATA comes at once, or the end of the handler
		return nil
	}
	c.flush()
	return nil
}

// sendWhole sends a response whose body is buffered.
func (w *response) sendWhole() {
	st := w.st
	c := st.c
	p := w.buffered()
	c.mu.Lock()
	if st.room() != nil {
		c.mu.Unlock()
		return
	}
	w.appendHeader(p, false)
	o := &c.out
	if n := int64(len(p)); n > min(o.window, st.window) || len(p) > c.peer.maxFrame || len(o.buf)+len(p) > outSize {
		c.mu.Unlock()
		w.send(true)
		return
	}
	o.earn(len(p))
	o.buf = appendHeader(o.buf, len(p), http2.FrameData, http2.FlagDataEndStream, st.id)
	o.buf = append(o.buf, p...)
	o.window -= int64(len(p))
	st.window -= int64(len(p))
	st.endLocally()
	c.mu.Unlock() // done writes it
}

// appendHeader appends the HEADERS frame for a body that begins with p. mu is held.
func (w *response) appendHeader(p []byte, end bool) {
	st := w.st
	c := st.c
	o := &c.out
	o.begin()
	o.earn(0)
	if w.status == http.StatusOK {
		o.field(":status", "200")
	} else {
		o.field(":status", strconv.Itoa(w.status))
	}
	var hasType, hasEncoding, hasDate bool
	for i := range w.snap {
		f := &w.snap[i]
		switch f.name {
		case "Content-Length":
			if w.declared >= 0 {
				o.field("content-length", f.values[0])
			}
			continue
		case "Content-Type":
			hasType = true
		case "Content-Encoding":
			hasEncoding = len(f.values) > 0 && f.values[0] != ""
		case "Date":
			hasDate = true
		case "Connection":
			if httpguts.HeaderValuesContainsToken(f.values, "close") {
				go c.shutdown()
			}
		}
		o.fields(f.name, f.values)
	}
	if bodyAllowed(w.status) {
		if !hasType && !hasEncoding && len(p) > 0 {
			o.field("content-type", http.DetectContentType(p))
		}
		// The length of a body that is known in whole.
		if w.declared < 0 && !w.noLength && w.finished && (w.written > 0 || !w.isHead()) {
			o.field("content-length", strconv.FormatInt(w.written, 10))
		}
	}
	if !hasDate {
		o.field("date", httpDate())
	}
	o.finish(st.id, end, c.peer.maxFrame)
	w.sent = true
	if end {
		st.endLocally()
	}
}

// fields appends a field with its values to the header block, unless HTTP/2 has no such.
func (o *writer) fields(name string, values []string) {
	_, lower := commonNames()
	low, ok := lower[name]
	if !ok {
		low = strings.ToLower(name)
		switch low {
		case "connection", "proxy-connection", "transfer-encoding", "upgrade", "keep-alive":
			// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.2.2
			return
		}
		if !validName(low) {
			return // so are names with http.TrailerPrefix
		}
	}
	for _, v := range values {
		if httpguts.ValidHeaderFieldValue(v) {
			o.field(low, v)
		}
	}
}

// headerTooLarge answers a request whose fields are above the limit.
func (w *response) headerTooLarge() {
	w.WriteHeader(http.StatusRequestHeaderFieldsTooLarge)
	io.WriteString(w, "<h1>HTTP Error 431</h1><p>Request Header Field(s) Too Large</p>")
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

// dates is the value of Date, which is made once a second.
var dates atomic.Pointer[date]

type date struct {
	second int64
	text   string
}

func httpDate() string {
	now := time.Now()
	d := dates.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		dates.Store(d)
	}
	return d.text
}
