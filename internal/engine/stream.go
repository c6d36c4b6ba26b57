package engine

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"golang.org/x/net/http2"
)

// A stream is a request and its response. What stands before req belongs to the goroutine that
// reads; what is behind window is guarded by the mu of the connection.
type stream struct {
	c        *conn
	id       uint32
	tooLarge bool  // its fields are above the limit
	expects  bool  // 100
	declared int64 // Content-Length of the request, or -1
	got      int64 // octets of its body

	req  *http.Request
	url  url.URL
	ctx  requestContext
	resp response
	body *requestBody // nil if there is none

	window        int64 // for DATA to the client
	err           error // why nothing more can be sent
	remoteEnded   bool  // the client has sent all
	localEnded    bool  // END_STREAM or RST_STREAM is written, or on its way
	handled       bool  // the handler has returned
	priority      priority
	waiting       bool          // it has something to send, and may not
	forRoom       bool          // and that is not DATA
	forTurn       bool          // it waits until nobody writes
	wake          chan struct{} // receives when it may
	writeDeadline *time.Timer
}

// open begins a stream, and has its handler run.
func (c *conn) open(h *headerBlock) error {
	st := &stream{c: c, id: h.stream, priority: priority{urgency: defaultUrgency}}
	st.ctx.init(c.base)
	st.resp.st = st
	if err := h.request(st); err != nil {
		return err
	}
	st.tooLarge = h.tooMuch
	if !h.end {
		st.body = newRequestBody(st)
		st.req.Body = st.body
	}

	c.mu.Lock()
	switch {
	case c.err != nil || c.draining && h.stream > c.goneAt:
		// The client takes it as though it had never been created.
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
		c.mu.Unlock()
		return nil
	case c.opened >= int(c.lim.maxStreams):
		defer c.mu.Unlock()
		if c.unacked == 0 {
			// https://www.rfc-editor.org/rfc/rfc9113.html#section-5.1.2-3
			return streamError{h.stream, http2.ErrCodeProtocol, "over_max_streams"}
		}
		return streamError{h.stream, http2.ErrCodeRefusedStream, "over_max_streams_race"}
	case c.running >= 2*int(c.lim.maxStreams):
		// Streams that were reset, whose handlers still run: https://nvd.nist.gov/vuln/detail/CVE-2023-44487
		defer c.mu.Unlock()
		return streamError{h.stream, http2.ErrCodeRefusedStream, "over_max_handlers"}
	}
	c.out.lastStream = h.stream
	if st.body != nil && c.unacked > 0 {
		// The client may not know of our setting.
		st.body.window = max(st.body.window, initialWindow)
	}
	st.window = c.peer.initialWindow
	st.remoteEnded = h.end
	if c.streams == nil {
		c.streams = make(map[uint32]*stream)
	}
	c.streams[st.id] = st
	c.opened++
	c.running++
	first := len(c.streams) == 1
	if first && c.idleTimer != nil {
		c.idleTimer.Stop()
	}
	if c.lim.writeTimeout > 0 {
		st.writeDeadline = time.AfterFunc(c.lim.writeTimeout, st.writeExpired)
	}
	c.mu.Unlock()

	if c.lim.readTimeout > 0 && st.body != nil {
		st.body.setDeadline(time.Now().Add(c.lim.readTimeout))
	}
	if first {
		c.tellState()
	}
	c.opening = append(c.opening, st)
	if len(c.opening) == maxOpening {
		c.handle()
	}
	return nil
}

// maxOpening is how many streams are opened before their handlers run, if there is no wait for
// frames before that: a worker finds many to do then, and their responses leave together.
const maxOpening = 16

// handle has the handlers run of streams that have been opened.
func (c *conn) handle() {
	if len(c.opening) > 0 {
		c.s.workers.handle(c.opening)
		clear(c.opening)
		c.opening = c.opening[:0]
	}
}

// work runs the handler.
func (st *stream) work() {
	finished := false
	defer func() {
		if !finished {
			st.broken(recover())
		}
	}()
	if st.tooLarge {
		st.resp.headerTooLarge()
	} else {
		st.c.Handler.ServeHTTP(&st.resp, st.req)
	}
	st.resp.finish()
	finished = true
	st.done()
}

// broken ends a stream whose handler panicked, or ended its goroutine.
func (st *stream) broken(v any) {
	st.c.s.LogPanic("http2", st.c.remote, v)
	st.resetWith(http2.ErrCodeInternal)
	st.resp.abandon()
	st.done()
}

// done notes that the handler has returned.
func (st *stream) done() {
	c := st.c
	st.ctx.cancel()
	if form := st.req.MultipartForm; form != nil {
		form.RemoveAll()
	}
	if st.body != nil {
		st.body.leave()
		st.body.discard()
	}
	c.mu.Lock()
	st.handled = true
	if st.writeDeadline != nil {
		st.writeDeadline.Stop()
	}
	c.running--
	if !st.remoteEnded && st.err == nil && c.err == nil {
		// "RST_STREAM with an error code of NO_ERROR": what the client still sends is of no use.
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.1-11
		c.out.buf = appendReset(c.out.buf, st.id, http2.ErrCodeNo)
		st.err = errHandled
	}
	st.close()
	none := len(c.streams) == 0
	c.endIfDone()
	c.out.wakeNext()
	c.flush()
	if none {
		c.tellState()
	}
}

var errHandled = errors.New("http2: the handler has returned")

// close takes a stream that has ended out of the table. mu is held.
func (st *stream) close() {
	c := st.c
	if _, ok := c.streams[st.id]; !ok {
		return
	}
	if st.err == nil && !(st.remoteEnded && st.localEnded) {
		return
	}
	delete(c.streams, st.id)
	c.opened--
	if st.err != nil && !st.remoteEnded {
		c.noteReset(st.id)
	}
	if len(c.streams) == 0 {
		c.setIdle()
	}
}

// end ends a stream that the client has reset, or whose connection has ended.
func (st *stream) end(err error) {
	c := st.c
	c.mu.Lock()
	if st.err == nil {
		st.err = err
	}
	st.remoteEnded = true // nothing more comes
	st.close()
	st.rouse()
	none := len(c.streams) == 0
	c.endIfDone()
	c.flushLater()
	if none {
		c.tellState()
	}
	st.ctx.cancel()
	if st.body != nil {
		st.body.fail(err)
	}
}

// resetWith ends a stream by RST_STREAM.
func (st *stream) resetWith(code http2.ErrCode) {
	c := st.c
	c.mu.Lock()
	if st.err != nil || st.localEnded && st.remoteEnded {
		c.mu.Unlock()
		return
	}
	st.err = streamError{st.id, code, "reset"}
	if c.err == nil { // after a GOAWAY that ends all nothing is to follow
		c.out.buf = appendReset(c.out.buf, st.id, code)
	}
	st.close()
	st.rouse()
	c.flush()
}

// resetStream ends the stream that an error is about, if there is one, and tells the client.
func (c *conn) resetStream(se streamError) {
	c.mu.Lock()
	st := c.streams[se.id]
	if c.err == nil {
		c.out.buf = appendReset(c.out.buf, se.id, se.code)
	}
	if st != nil {
		if st.err == nil {
			st.err = se
		}
		st.close()
		st.rouse()
	} else {
		c.noteReset(se.id)
	}
	c.flushLater()
	if st != nil {
		st.ctx.cancel()
		if st.body != nil {
			st.body.fail(se)
		}
	}
}

// ended returns why nothing more can be sent, or nil. mu is held.
func (st *stream) ended() error {
	switch {
	case st.err != nil:
		return st.err
	case st.c.err != nil || st.c.out.dead:
		return errClosed
	}
	return nil
}

// rouse ends the wait of a stream that has something to send. mu is held.
func (st *stream) rouse() {
	if st.waiting {
		st.waiting = false
		st.wake <- struct{}{}
	}
}

// writeExpired ends a stream whose response took too long.
func (st *stream) writeExpired() {
	c := st.c
	c.mu.Lock()
	if st.err != nil || st.localEnded {
		c.mu.Unlock()
		return
	}
	st.err = os.ErrDeadlineExceeded
	c.out.buf = appendReset(c.out.buf, st.id, http2.ErrCodeInternal)
	st.close()
	st.rouse()
	c.flush()
	st.ctx.cancel()
	if st.body != nil {
		st.body.fail(os.ErrDeadlineExceeded)
	}
}

// A connection knows so many streams that it has reset, so that what the client had sent before it
// heard of that is no error: as many as are open at once, within bounds, since they are looked at one
// by one.
const (
	minResets = 64
	maxResets = 1000
)

// noteReset notes that the client may still send on a stream. mu is held.
func (c *conn) noteReset(id uint32) {
	if uint32(len(c.resets)) < min(max(minResets, c.lim.maxStreams), maxResets) {
		c.resets = append(c.resets, id)
		return
	}
	c.resets[c.nextReset] = id
	c.nextReset = (c.nextReset + 1) % len(c.resets)
}

// forgetReset notes that the client sends nothing more on a stream. mu is held.
func (c *conn) forgetReset(id uint32) {
	if i := slices.Index(c.resets, id); i >= 0 {
		c.resets[i] = 0
	}
}

// wasReset reports whether the client may still send on a stream that has ended.
func (c *conn) wasReset(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Contains(c.resets, id) || c.draining && id > c.goneAt
}

// endOfBody notes that the client has sent all of its request.
func (st *stream) endOfBody(trailer http.Header) error {
	if st.declared >= 0 && st.got != st.declared {
		return streamError{st.id, http2.ErrCodeProtocol, "content_length_body"}
	}
	c := st.c
	c.mu.Lock()
	st.remoteEnded = true
	st.close()
	c.mu.Unlock()
	st.body.end(trailer, io.EOF)
	return nil
}
