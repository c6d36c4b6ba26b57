package h2c

import (
	"errors"
	"net"
	"net/http"

	"golang.org/x/net/http2"
)

// A retryError says that the request may be tried again, and why.
type retryError struct {
	cause     error
	untouched bool // its body has not been read
}

func (e *retryError) Error() string { return e.cause.Error() }

// explain turns an error of a connection into what the caller is to know.
func (c *clientConn) explain(req *http.Request, err error) error {
	switch {
	case req.Context().Err() != nil:
		return err
	case c.wire.err() != nil:
		c.origin.forget(c)
		err = c.wire.err()
		if errors.Is(err, errHTTP1Only) && c.origin.t.Mode == ModeAuto {
			return &retryError{cause: err} // it has changed since
		}
		return err
	case !c.wire.seen.Load() && c.cc.Err() != nil:
		c.origin.forget(c)
		err = c.origin.t.noAnswer(c, err)
		if c.origin.t.Mode == ModeAuto && mayRepeat(req) {
			return &retryError{cause: err}
		}
		return err
	case unprocessed(err), c.cc.Err() != nil && mayRepeat(req):
		c.origin.forget(c)
		return &retryError{cause: err}
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
	var se http2.StreamError
	if errors.As(err, &se) {
		return se.Code == http2.ErrCodeRefusedStream
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

// mayRepeat reports whether a request may be sent again although the server may have
// processed it, by the rule of net/http.
func mayRepeat(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return len(req.Header["Idempotency-Key"]) > 0 || len(req.Header["X-Idempotency-Key"]) > 0
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

func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }

func closeBody(req *http.Request) {
	if req.Body != nil {
		req.Body.Close()
	}
}
