package h2c

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// A retryError says that the request may be tried again, and why.
type retryError struct {
	cause     error
	untouched bool // its body has not been read
	refused   bool // by a server that may take it in a while, on the same connection
}

func (e *retryError) Error() string { return e.cause.Error() }

// wait waits after an attempt that the server refused, the longer the more there were.
func (e *retryError) wait(ctx context.Context, attempt int) error {
	if !e.refused {
		return context.Cause(ctx)
	}
	wait := firstWait << (attempt - 1)
	timer := time.NewTimer(wait/2 + rand.N(wait)) // callers refused together do not come together again
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const firstWait = 100 * time.Millisecond

// explain turns an error of a connection into what the caller is to know. form is what was sent of req.
func (c *clientConn) explain(req, form *http.Request, err error) error {
	held, _ := form.Body.(*heldBody)
	switch {
	case req.Context().Err() != nil, held != nil && held.failed(err):
		return err
	case c.wire.err() != nil:
		err = c.wire.err()
		if errors.Is(err, errHTTP1Only) && c.origin.t.Mode == ModeAuto {
			return &retryError{cause: err} // it has changed since
		}
		return err
	case !c.wire.seen.Load() && c.cc.Err() != nil:
		err = c.origin.t.noAnswer(c, err)
		if c.origin.t.Mode == ModeAuto && mayRepeat(req) {
			return &retryError{cause: err}
		}
		return err
	case unprocessed(err), c.cc.Err() != nil && mayRepeat(req):
		return &retryError{cause: err, refused: refused(err)}
	}
	return err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// unprocessed reports whether the server has not processed a request that failed.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.7
func unprocessed(err error) bool {
	if refused(err) {
		return true
	}
	// net/http does not export these. The first one is about a stream above the last one
	// that GOAWAY names, the others about a stream that was never opened.
	switch err.Error() {
	case "http2: Transport received Server's graceful shutdown GOAWAY",
		"http2: client conn not usable",
		"http2: client conn could not be established":
		return true
	}
	return false
}

func refused(err error) bool {
	var se http2.StreamError
	return errors.As(err, &se) && se.Code == http2.ErrCodeRefusedStream
}

// mayRepeat reports whether a request may be sent again although the server may have
// processed it, by the rule of net/http.
func mayRepeat(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	_, key := req.Header["Idempotency-Key"]
	_, other := req.Header["X-Idempotency-Key"]
	return key || other
}

// replay returns req with its body as it was before it was sent.
func replay(req *http.Request) (*http.Request, error) {
	if !hasBody(req) {
		return req, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("h2c: the body cannot be replayed")
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := *req
	again.Body = body
	return &again, nil
}

// A heldBody is the body of a request that may be sent once more if nobody has read it. So it is
// not closed before that is settled, though net/http closes the body of any request that fails.
type heldBody struct {
	body io.ReadCloser

	mu       sync.Mutex
	closed   bool
	released bool   // it was read, or is not sent again: Close closes it
	taken    bool   // it is no longer the body of this request
	failure  error  // of Read, but for the end
	onClose  func() // called once, if set before that
}

func (b *heldBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	if b.taken || b.closed {
		b.mu.Unlock()
		return 0, http.ErrBodyReadAfterClose
	}
	b.released = true
	b.mu.Unlock()
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		b.mu.Lock()
		b.failure = err
		b.mu.Unlock()
	}
	return n, err
}

func (b *heldBody) Close() error {
	b.mu.Lock()
	first, closes := !b.closed, b.released
	b.closed = true
	onClose := b.onClose
	b.mu.Unlock()
	switch {
	case !first:
		return nil
	case onClose != nil:
		defer onClose()
	}
	if closes {
		return b.body.Close()
	}
	return nil
}

// failed reports whether a request failed with err because its body did, whatever kind of error that
// is.
func (b *heldBody) failed(err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failure != nil && errors.Is(err, b.failure)
}

// takeBack takes the body from the request, if it has not been read.
func (b *heldBody) takeBack() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = !b.released
	return b.taken
}

// release lets Close close the body, and closes it if it was to be closed already or is now.
func (b *heldBody) release(closes bool) {
	b.mu.Lock()
	held := b.closed && !b.released
	b.released = true
	b.mu.Unlock()
	switch {
	case held:
		b.body.Close()
	case closes:
		b.Close()
	}
}

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
