package engine

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// A response is the http.ResponseWriter of a stream.
type response struct {
	st     *stream
	header http.Header

	mu       sync.Mutex // goroutines may outlive their handler
	gone     chan bool  // of CloseNotify
	status   int        // 0 until WriteHeader
	declared int64      // Content-Length, or -1
	noLength bool       // and the handler wants none
	sent     bool       // the HEADERS frame
	finished bool       // the handler has returned
	written  int64      // octets of the body
	err      error      // why nothing more can be sent

	buf *[bufSize]byte
	n   int // octets in it

	snap     []field // header, at WriteHeader
	fields   [2]field
	trailers []string // names that were declared
}

type field struct {
	name   string // as http.Header has it
	values []string
	one    [1]string // values, if there is one: the handler may change its own
}

// bufSize is how much of a body waits for more, or for the end of the handler, in octets.
const bufSize = 4 << 10

var bufPool = sync.Pool{New: func() any { return new([bufSize]byte) }}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
)

// Header implements [http.ResponseWriter].
func (w *response) Header() http.Header {
	if w.header == nil {
		w.header = make(http.Header)
	}
	return w.header
}

// WriteHeader implements [http.ResponseWriter].
func (w *response) WriteHeader(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.writeHeader(status)
}

func (w *response) writeHeader(status int) {
	if w.finished || w.status != 0 {
		return // as net/http does, which says nothing of it in HTTP/2
	}
	if status < 100 || status > 999 {
		panic("invalid WriteHeader code " + strconv.Itoa(status))
	}
	if status < 200 {
		w.interim(status)
		return
	}
	w.status = status
	w.declared = -1
	if v, ok := w.header["Content-Length"]; ok {
		w.noLength = len(v) == 0 || v[0] == ""
		if !w.noLength {
			if n, err := strconv.ParseUint(v[0], 10, 63); err == nil {
				w.declared = int64(n)
			}
		}
	}
	// What the handler does to the header from now on is for trailers alone.
	w.snap = w.fields[:0]
	for name, values := range w.header {
		w.snap = append(w.snap, field{name: name})
		if f := &w.snap[len(w.snap)-1]; len(values) == 1 {
			f.one[0] = values[0]
			f.values = f.one[:]
		} else {
			f.values = slices.Clone(values)
		}
	}
	for _, v := range w.header["Trailer"] {
		w.declareTrailers(v)
	}
}

// interim sends a response of the class 1xx.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.1-4
func (w *response) interim(status int) {
	if status == http.StatusSwitchingProtocols {
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.6
		return
	}
	st := w.st
	c := st.c
	c.mu.Lock()
	if st.room() != nil {
		c.mu.Unlock()
		return
	}
	o := &c.out
	o.begin()
	o.field(":status", strconv.Itoa(status))
	for name, values := range w.header {
		if name != "Content-Length" {
			o.fields(name, values)
		}
	}
	o.finish(st.id, false, c.peer.maxFrame)
	c.flush()
}

// sendContinue asks for the body, unless the response has begun. It does not wait for room:
// another goroutine of the handler may be waiting for that, and a stream has one wait at a time.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-10.1.1
func (w *response) sendContinue() {
	st := w.st
	c := st.c
	c.mu.Lock()
	if w.sent || st.ended() != nil {
		c.mu.Unlock()
		return
	}
	o := &c.out
	o.ready()
	o.begin()
	o.field(":status", "100")
	o.finish(st.id, false, c.peer.maxFrame)
	c.flush()
}

// Write implements [http.ResponseWriter].
func (w *response) Write(p []byte) (int, error) {
	return w.write(len(p), p, "")
}

// WriteString implements [io.StringWriter].
func (w *response) WriteString(s string) (int, error) {
	return w.write(len(s), nil, s)
}

// write takes either p or s, of n octets.
func (w *response) write(n int, p []byte, s string) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return 0, errHandled
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	if !bodyAllowed(w.status) {
		return 0, http.ErrBodyNotAllowed
	}
	if w.declared >= 0 && w.written+int64(n) > w.declared {
		return 0, http.ErrContentLength
	}
	w.written += int64(n)
	if w.err != nil {
		return 0, w.err
	}
	if n <= bufSize-w.n || w.isHead() {
		w.keep(p, s)
		return n, nil
	}
	if p == nil {
		p = []byte(s)
	}
	if w.n > 0 {
		p = p[w.keep(p, ""):]
		if err := w.send(false); err != nil {
			return n - len(p), err
		}
	}
	if len(p) <= bufSize {
		w.keep(p, "")
		return n, nil
	}
	if err := w.large(p); err != nil {
		return n - len(p), err
	}
	return n, nil
}

// keep buffers as much as there is room for of p or s, and returns how much that is.
func (w *response) keep(p []byte, s string) int {
	if w.buf == nil {
		if len(p) == 0 && s == "" {
			return 0
		}
		w.buf = bufPool.Get().(*[bufSize]byte)
	}
	n := copy(w.buf[w.n:], p) + copy(w.buf[w.n:], s)
	w.n += n
	return n
}

func (w *response) isHead() bool { return w.st.req.Method == http.MethodHead }

// large sends p, before which nothing is buffered, without a copy of it.
func (w *response) large(p []byte) error {
	if !w.sent {
		if err := w.sendHeader(p, false); err != nil {
			return err
		}
	}
	if err := w.st.writeData(p, false, true); err != nil {
		w.err = err
		return err
	}
	return nil
}

// send sends what is buffered.
func (w *response) send(end bool) error {
	p := w.buffered()
	if !w.sent {
		if err := w.sendHeader(p, false); err != nil {
			return err
		}
	}
	w.n = 0
	if w.isHead() {
		p = nil
	}
	if err := w.st.writeData(p, end, false); err != nil {
		w.err = err
		return err
	}
	return nil
}

func (w *response) buffered() []byte {
	if w.buf == nil {
		return nil
	}
	return w.buf[:w.n]
}

// ReadFrom implements [io.ReaderFrom], with a buffer that makes for large frames.
func (w *response) ReadFrom(r io.Reader) (int64, error) {
	buf := outPool.Get().(*[outCap]byte)
	defer outPool.Put(buf)
	var total int64
	for {
		n, err := r.Read(buf[:])
		if n > 0 {
			m, werr := w.Write(buf[:n])
			total += int64(m)
			if werr != nil {
				return total, werr
			}
		}
		switch {
		case err == io.EOF:
			return total, nil
		case err != nil:
			return total, err
		}
	}
}

// Flush implements [http.Flusher].
func (w *response) Flush() { w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *response) FlushError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return errHandled
	}
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	if w.n == 0 && w.sent {
		w.st.c.mu.Lock()
		defer w.st.c.mu.Unlock()
		return w.st.ended()
	}
	if w.isHead() {
		return w.endHead()
	}
	if w.n == 0 {
		return w.sendHeader(nil, false)
	}
	return w.send(false)
}

// endHead ends the stream of a HEAD, when the handler flushes: the client has all that it gets,
// and does not wait for the handler. As in net/http the context of the request ends.
func (w *response) endHead() error {
	if w.sent {
		return nil
	}
	if err := w.sendHeader(w.buffered(), true); err != nil {
		return err
	}
	st := w.st
	c := st.c
	c.mu.Lock()
	if !st.remoteEnded && st.err == nil && c.err == nil {
		c.out.buf = appendReset(c.out.buf, st.id, http2.ErrCodeNo)
		st.err = errHandled
	}
	st.close()
	c.endIfDone()
	c.flush()
	st.ctx.cancel()
	if st.body != nil {
		st.body.fail(errHandled)
	}
	return nil
}

// SetReadDeadline is for [http.ResponseController].
func (w *response) SetReadDeadline(at time.Time) error {
	if w.st.body != nil {
		w.st.body.setDeadline(at)
	}
	return nil
}

// SetWriteDeadline is for [http.ResponseController].
func (w *response) SetWriteDeadline(at time.Time) error {
	st := w.st
	st.c.mu.Lock()
	if st.writeDeadline != nil {
		st.writeDeadline.Stop()
		st.writeDeadline = nil
	}
	wait := time.Until(at)
	past := !at.IsZero() && !st.handled && wait <= 0
	if !at.IsZero() && !st.handled && !past {
		st.writeDeadline = time.AfterFunc(wait, st.writeExpired)
	}
	st.c.mu.Unlock()
	if past {
		st.writeExpired()
	}
	return nil
}

// CloseNotify implements [http.CloseNotifier], which some frameworks still ask for.
func (w *response) CloseNotify() <-chan bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.gone == nil {
		gone := make(chan bool, 1)
		w.gone = gone
		w.st.ctx.AfterFunc(func() { gone <- true })
	}
	return w.gone
}

// EnableFullDuplex is for [http.ResponseController]; streams are always.
func (w *response) EnableFullDuplex() error { return nil }

// finish sends what is left when the handler has returned.
func (w *response) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.status == 0 {
		w.writeHeader(http.StatusOK)
	}
	w.finished = true
	defer w.release()
	if w.declared > w.written && bodyAllowed(w.status) && !w.isHead() {
		// The client must not take a part for the whole.
		w.send(false)
		w.st.resetWith(http2.ErrCodeInternal)
		return
	}
	trailer := w.trailer()
	if w.isHead() {
		trailer = nil
	}
	switch {
	case w.err != nil, w.sent && w.isHead():
	case !w.sent && (w.n == 0 || w.isHead()):
		w.sendHeader(w.buffered(), trailer == nil)
		if trailer != nil {
			w.sendTrailer(trailer)
		}
	case !w.sent && trailer == nil:
		w.sendWhole()
	case trailer != nil:
		if w.n > 0 {
			w.send(false)
		}
		if w.err == nil {
			w.sendTrailer(trailer)
		}
	default:
		w.send(true)
	}
}

// abandon is finish for a handler that did not return.
func (w *response) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
}

// release gives the buffer back. mu is held.
func (w *response) release() {
	w.finished = true
	if w.buf != nil {
		bufPool.Put(w.buf)
		w.buf, w.n = nil, 0
	}
}
