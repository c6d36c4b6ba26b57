package engine

import (
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

// A requestBody is what the client has sent of a body and the handler has not read.
type requestBody struct {
	st *stream

	mu       sync.Mutex
	cond     sync.Cond
	chunks   []*chunk
	size     int64 // octets in them
	used     int64 // octets of the stream's window that the client has used and not got back
	window   int64 // that it has
	pending  int   // of those that it has used, what it is to get back with the next frame
	err      error // what comes after the chunks
	trailer  http.Header
	closed   bool // the handler wants no more
	asked    bool // 100 was sent, or is not wanted
	lent     bool // the connection may be lent to the handler
	reading  bool // Read reads from it
	deadline *time.Timer
}

const (
	chunkSize      = 16 << 10
	smallChunkSize = 1 << 10
)

// A chunk is a part of a body.
type chunk struct {
	r, w int
	b    []byte
}

var (
	chunks      = sync.Pool{New: func() any { return &chunk{b: make([]byte, chunkSize)} }}
	smallChunks = sync.Pool{New: func() any { return &chunk{b: make([]byte, smallChunkSize)} }}
)

func newChunk(small bool) *chunk {
	if small {
		return smallChunks.Get().(*chunk)
	}
	return chunks.Get().(*chunk)
}

// release gives the chunk back.
func (c *chunk) release() {
	c.r, c.w = 0, 0
	if len(c.b) == smallChunkSize {
		smallChunks.Put(c)
	} else {
		chunks.Put(c)
	}
}

func newRequestBody(st *stream) *requestBody {
	b := &requestBody{st: st}
	b.cond.L = &b.mu
	b.asked = !st.expects
	b.window = int64(st.c.lim.streamWindow)
	return b
}

// use notes that the client has used n octets of the stream's window. It reports whether it
// had them.
func (b *requestBody) use(n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used += int64(n)
	return b.used <= b.window
}

// free notes that n octets of the stream's window are free again. It returns how many the client is
// to get back now: at a quarter of the window, so that few frames tell of it and the client never
// waits. It does, even if the rest of the Content-Length fits: Apache's mod_proxy_http2 sends no more
// of a body until it hears from the server. mu is held.
func (b *requestBody) free(n int) (credit int) {
	b.pending += n
	if b.pending < int(b.st.c.lim.streamWindow)/4 {
		return 0
	}
	credit, b.pending = b.pending, 0
	b.used -= int64(credit)
	return credit
}

// skip gives back n octets that are not of the body.
func (b *requestBody) skip(n int) {
	b.mu.Lock()
	credit := b.free(n)
	b.mu.Unlock()
	c := b.st.c
	c.mu.Lock()
	b.st.credit(n, credit)
	c.flushLater()
}

// write takes p from the client, the first of rest octets of a frame.
func (b *requestBody) write(p []byte, rest int) {
	b.mu.Lock()
	if b.closed || b.err != nil {
		b.mu.Unlock()
		b.st.c.credit(len(p))
		return
	}
	// Streams of which each has little must not hold much more than the window of the connection.
	small := b.size < chunkSize && rest < chunkSize/2
	b.size += int64(len(p))
	for len(p) > 0 {
		var last *chunk
		if n := len(b.chunks); n > 0 {
			last = b.chunks[n-1]
		}
		if last == nil || last.w == len(last.b) {
			last = newChunk(small)
			b.chunks = append(b.chunks, last)
		}
		n := copy(last.b[last.w:], p)
		last.w += n
		p = p[n:]
	}
	b.cond.Signal()
	b.mu.Unlock()
}

// end notes what comes after the last octet.
func (b *requestBody) end(trailer http.Header, err error) {
	b.mu.Lock()
	if b.err == nil {
		b.err, b.trailer = err, trailer
	}
	b.cond.Broadcast()
	b.mu.Unlock()
}

// fail ends the body for err, after what has come, unless it is complete.
func (b *requestBody) fail(err error) {
	b.end(nil, err)
	b.mu.Lock()
	reading := b.reading
	b.mu.Unlock()
	if reading {
		b.st.c.askToRest() // so that Read looks at it
	}
}

// Read implements [io.Reader].
func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if !b.asked {
		b.asked = true
		b.mu.Unlock()
		b.st.resp.sendContinue()
		b.mu.Lock()
	}
	n := 0
	for n == 0 && b.size == 0 && b.err == nil && !b.closed {
		if b.lent && !b.reading && len(p) > 0 {
			n = b.readLent(p)
		} else {
			b.cond.Wait()
		}
	}
	switch {
	case n > 0:
	case b.closed:
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	case b.size == 0:
		err := b.err
		b.takeTrailer()
		b.mu.Unlock()
		return 0, err
	default:
		n = b.take(p)
	}
	credit := b.free(n)
	var err error
	if b.size == 0 && b.err == io.EOF {
		err = io.EOF
		b.takeTrailer()
	}
	ended := b.err != nil
	b.mu.Unlock()
	c := b.st.c
	if ended {
		c.credit(n)
		return n, err
	}
	c.mu.Lock()
	b.st.credit(n, credit)
	c.flush()
	return n, err
}

// take returns what has come. mu is held.
func (b *requestBody) take(p []byte) (n int) {
	for n < len(p) && len(b.chunks) > 0 {
		c := b.chunks[0]
		m := copy(p[n:], c.b[c.r:c.w])
		n += m
		if c.r += m; c.r == c.w {
			c.release()
			b.chunks[0] = nil
			b.chunks = b.chunks[1:]
		}
	}
	b.size -= int64(n)
	return n
}

// takeTrailer gives the trailers to the request. mu is held.
func (b *requestBody) takeTrailer() {
	if b.trailer == nil {
		return
	}
	for name, v := range b.trailer {
		if _, ok := b.st.req.Trailer[name]; ok {
			b.st.req.Trailer[name] = v
		}
	}
	b.trailer = nil
}

// Close implements [io.Closer].
func (b *requestBody) Close() error {
	b.discard()
	return nil
}

// discard drops what is there and what comes.
func (b *requestBody) discard() {
	b.mu.Lock()
	n := b.size // Read has given the connection back what it returned
	for _, c := range b.chunks {
		c.release()
	}
	b.chunks, b.size, b.pending, b.closed = nil, 0, 0, true
	if b.deadline != nil {
		b.deadline.Stop()
	}
	b.cond.Broadcast()
	reading := b.reading
	b.mu.Unlock()
	if reading {
		b.st.c.askToRest()
	}
	b.st.c.credit(int(n))
}

// setDeadline makes Read fail from then on. The zero time means never.
func (b *requestBody) setDeadline(at time.Time) {
	expire := func() { b.fail(os.ErrDeadlineExceeded) }
	b.mu.Lock()
	if b.deadline != nil {
		b.deadline.Stop()
		b.deadline = nil
	}
	expired := false
	if !at.IsZero() && !b.closed {
		wait := time.Until(at)
		if expired = wait <= 0; !expired {
			b.deadline = time.AfterFunc(wait, expire)
		}
	}
	b.mu.Unlock()
	if expired {
		expire()
	}
}
