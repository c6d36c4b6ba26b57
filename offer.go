package h2c

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

// offeredSettings returns what is to be in force for stream 1. It does not allow more than
// the SETTINGS frame of net/http does, which follows the 101. The window is large where it
// may be, so that a response seldom waits.
//
// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1
func offeredSettings(conf *http.HTTP2Config) string {
	window := 4 << 20 // the default of net/http
	if conf != nil && conf.MaxReceiveBufferPerStream > 0 && conf.MaxReceiveBufferPerStream <= math.MaxInt32 {
		window = conf.MaxReceiveBufferPerStream
	}
	return EncodeSettings(
		http2.Setting{ID: http2.SettingEnablePush, Val: 0},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(window)},
	)
}

// offer sends a request that offers to switch to HTTP/2, and returns the answer to it, in
// whatever protocol it came. If the server cannot bear the offer, the request is repeated
// without it, where that is wanted and allowed.
func (t *Transport) offer(o *origin, req *http.Request, turn *turn, repeat bool) (*http.Response, error) {
	resp, nc, err := t.sendOffer(req)
	switch {
	case err != nil && errors.Is(err, errHTTP2Only):
		return nil, t.foundHTTP2Only(o, err)
	case err != nil && (nc == nil || gaveUp(req) || isTimeout(err)):
		turn.fail(req, err)
		return nil, err // nothing was sent, or nobody waits, or the server takes its time
	case errors.Is(err, errSwitch):
		return nil, t.failed(ViaUpgrade, ReasonSwitchInvalid, err, o.addr)
	case err != nil || rejected(resp.StatusCode):
		// The offer itself may be what the server cannot bear.
		return t.withoutOffer(o, req, resp, nc, err, turn, repeat)
	case resp.StatusCode != http.StatusSwitchingProtocols:
		t.declined(o, ReasonRefused, nil)
		return resp, nil
	}
	resp, err = t.switched(o, req, resp, nc, turn)
	if ended := (*endedError)(nil); errors.As(err, &ended) {
		if gaveUp(req) {
			return nil, cmp.Or(context.Cause(req.Context()), ended.cause)
		}
		return t.withoutOffer(o, req, nil, nc, ended.cause, turn, repeat)
	}
	return resp, err
}

// gaveUp reports whether nobody waits for the response to a request anymore.
func gaveUp(req *http.Request) bool {
	select {
	case <-req.Cancel: //lint:ignore SA1019 net/http honours it
		return true
	default:
		return req.Context().Err() != nil
	}
}

// declined notes that the origin does not take an offer.
func (t *Transport) declined(o *origin, reason Reason, cause error) {
	o.refuse()
	t.negotiated(Negotiation{Via: ViaHTTP1, Reason: reason, Err: cause, RemoteAddr: o.addr})
}

// An endedError says that a connection was switched, and ended before its first response.
type endedError struct{ cause error }

func (e *endedError) Error() string { return e.cause.Error() }

var errSwitch = errors.New("101 that does not switch to h2c")

func rejected(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge || status >= 500
}

// sendOffer sends req over HTTP/1.1 with the offer in it. The connection is the one that it was
// sent on; it is nil if nothing was sent.
func (t *Transport) sendOffer(req *http.Request) (*http.Response, *wire, error) {
	var used *wire
	var before int64     // octets written on it
	var wrote chan error // net/http may try more than one connection
	ctx := httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		GetConn: func(string) { used = nil },
		GotConn: func(info httptrace.GotConnInfo) {
			if used, _ = info.Conn.(*wire); used != nil {
				before = used.written.Load()
			}
			wrote = make(chan error, 1)
		},
		WroteRequest: func(info httptrace.WroteRequestInfo) { wrote <- info.Err },
	})
	offer := req.Clone(ctx)
	// One line, in the spelling of the RFC: some servers compare octets. A request with fields of
	// its own for Connection or Upgrade does not come here.
	maps.DeleteFunc(offer.Header, func(name string, _ []string) bool { return strings.EqualFold(name, "HTTP2-Settings") })
	offer.Header["Connection"] = []string{"Upgrade, HTTP2-Settings"}
	offer.Header["Upgrade"] = []string{"h2c"}
	offer.Header["HTTP2-Settings"] = []string{t.settings}
	resp, err := t.h1.RoundTrip(offer)
	if err != nil {
		switch {
		case used != nil && used.err() != nil:
			err = used.err()
		case used != nil && used.written.Load() == before:
			used = nil // there is something wrong with the request
		}
		return nil, used, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, used, nil
	}
	// It must say what it switches to.
	// https://www.rfc-editor.org/rfc/rfc9110.html#section-15.2.2
	_, writable := resp.Body.(io.Writer)
	if !writable || used == nil || !httpguts.HeaderValuesContainsToken(resp.Header["Upgrade"], "h2c") {
		resp.Body.Close()
		return nil, used, fmt.Errorf("%w: Upgrade is %q", errSwitch, resp.Header["Upgrade"])
	}
	select {
	case err = <-wrote: // a request must be whole before any frame
	case <-req.Context().Done():
		err = context.Cause(req.Context())
	}
	if err != nil {
		resp.Body.Close()
		return nil, used, err
	}
	return resp, used, nil
}

// switched makes an HTTP/2 connection of one that was switched by a 101, and returns the
// response that comes on stream 1.
func (t *Transport) switched(o *origin, req *http.Request, resp *http.Response, w *wire, turn *turn) (*http.Response, error) {
	bc := &bodyConn{wire: w, body: resp.Body}
	conn := newSettingsConn(bc)
	sc := splice.NewClient(conn)
	var silent atomic.Bool
	if timeout := t.handshakeTimeout(); timeout > 0 {
		bc.timer = time.AfterFunc(timeout, func() {
			silent.Store(true)
			sc.Close()
		})
	}
	ended := func(err error) error {
		if silent.Load() {
			err = os.ErrDeadlineExceeded
		}
		return &endedError{err}
	}
	t.speaksHTTP2(w, ViaUpgrade, o.addr)
	cc, err := t.newClient(req.Context(), sc, o.addr)
	if err != nil {
		sc.Close()
		return nil, ended(err)
	}
	c := &clientConn{origin: o, wire: w, settings: conn.processed, cc: cc, requests: 1}
	if err := sc.Ready(req.Context()); err != nil {
		c.cc.Close()
		return nil, ended(err)
	}
	// The server has the request; this is to say what kind of response it is. Nobody sees the
	// URL, and it is one that can always be encoded.
	first := &http.Request{
		Method: req.Method,
		Cancel: req.Cancel, //lint:ignore SA1019 net/http honours it
		URL:    &url.URL{Scheme: "http", Host: "stream1", Path: "/"},
		Header: make(http.Header),
	}
	for _, name := range []string{"Accept-Encoding", "Range"} {
		if v, ok := req.Header[name]; ok {
			first.Header[name] = v
		}
	}
	resp, err = c.begin(turn, func() (*http.Response, error) {
		return c.send(req, first.WithContext(untraced{req.Context(), true}))
	})
	if err == nil {
		return resp, nil
	}
	cause := err
	if again := (*retryError)(nil); errors.As(err, &again) {
		cause = again.cause
	}
	select {
	case <-c.settings:
		if c.cc.Err() == nil || unprocessed(cause) {
			return nil, err
		}
	default:
		if se := (http2.StreamError{}); errors.As(cause, &se) {
			return nil, err // the stream's own: they are in force by then
		}
	}
	return nil, ended(cause)
}

// bodyConn is a connection whose octets come from the body of a 101: those that came with
// it are there.
type bodyConn struct {
	*wire
	body  io.ReadCloser
	timer *time.Timer // for the first of them; nil if there is none, or it has come
}

func (c *bodyConn) Read(p []byte) (int, error) {
	n, err := c.body.Read(p)
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	return n, err
}

func (c *bodyConn) Close() error { return c.body.Close() }

var _ net.Conn = (*bodyConn)(nil)

// withoutOffer repeats a request whose offer was answered by an error, if it may be
// repeated, and remembers the origin as one that declines.
func (t *Transport) withoutOffer(o *origin, req *http.Request, resp *http.Response, w *wire, cause error, turn *turn, repeat bool) (*http.Response, error) {
	t.declined(o, ReasonRejected, cause)
	turn.end()
	if resp == nil {
		cause = &HandshakeError{Reason: ReasonRejected, Err: cause}
	}
	if !repeat || !mayRepeat(req) {
		return resp, cause
	}
	again, err := replay(req)
	if err != nil {
		return resp, cause
	}
	if resp != nil {
		discard(resp, func() { w.Close() })
	}
	return t.overHTTP1(o, again)
}

// offerFirst makes an offer with a request of its own, where req cannot carry it. net/http answers
// "OPTIONS *" before any handler, so that form would never switch there. It returns an error if req
// would fare no better, and otherwise when it is known whether the origin accepts HTTP/2. One that does
// not answer in time has declined.
func (t *Transport) offerFirst(o *origin, req *http.Request, turn *turn) (accepted bool, err error) {
	type answer struct {
		accepted bool
		err      error
	}
	answers := make(chan answer, 1)
	go func() {
		accepted, err := t.sendOptions(o, req, turn)
		answers <- answer{accepted, err}
	}()
	select {
	case a := <-answers:
		if a.err != nil && !gaveUp(req) && isClosed(turn.made) {
			return true, nil
		}
		return a.accepted, a.err
	case <-turn.made:
		return true, nil // whatever becomes of OPTIONS
	}
}

func (t *Transport) sendOptions(o *origin, req *http.Request, turn *turn) (accepted bool, err error) {
	u := *req.URL
	u.Path, u.RawPath, u.RawQuery, u.Opaque = "/", "", "", ""
	options := &http.Request{
		Method: http.MethodOptions,
		URL:    &u,
		Host:   req.Host,
		Header: make(http.Header),
		Cancel: req.Cancel, //lint:ignore SA1019 net/http honours it
	}
	if agent, ok := req.Header["User-Agent"]; ok {
		options.Header["User-Agent"] = agent
	}
	ctx, cancel := context.WithCancelCause(untraced{req.Context(), false})
	defer cancel(nil)
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if timeout := t.handshakeTimeout(); timeout > 0 {
			timer := time.AfterFunc(timeout, func() { cancel(os.ErrDeadlineExceeded) })
			context.AfterFunc(ctx, func() { timer.Stop() })
		}
	}})
	resp, err := t.offer(o, options.WithContext(traced), turn, false)
	var again *retryError
	var failed *HandshakeError
	switch {
	case errors.As(err, &again):
		return true, nil
	case err != nil && !gaveUp(req) && !isClosed(turn.made) &&
		(context.Cause(ctx) == os.ErrDeadlineExceeded || isTimeout(err) && !isDial(err)):
		t.declined(o, ReasonRejected, os.ErrDeadlineExceeded)
		return false, nil
	case errors.As(err, &failed) && failed.Reason == ReasonRejected:
		return false, nil // req itself may do better
	case err != nil:
		return false, err
	}
	discard(resp, func() { cancel(nil) })
	return resp.ProtoMajor == 2, nil
}

// discard reads a little of a body, if it comes soon, so that its connection may be used again,
// and closes it. What ends a Read is abort; Close may wait for one.
func discard(resp *http.Response, abort func()) {
	timer := time.AfterFunc(discardTimeout, abort)
	io.CopyN(io.Discard, resp.Body, 4<<10)
	timer.Stop()
	resp.Body.Close()
}

const discardTimeout = 50 * time.Millisecond

// bufferBody puts the body of a request, which is about to carry an offer, into memory: it is whole
// then, and can be replayed.
func bufferBody(req *http.Request) error {
	var body []byte
	read := make(chan error, 1)
	go func() {
		var err error
		body, err = io.ReadAll(io.LimitReader(req.Body, req.ContentLength+1))
		read <- err
	}()
	select {
	case err := <-read:
		if err != nil {
			return err
		}
	case <-req.Context().Done():
		return context.Cause(req.Context())
	}
	if int64(len(body)) != req.ContentLength {
		return fmt.Errorf("h2c: body of %d octets with ContentLength %d", len(body), req.ContentLength)
	}
	req.Body.Close()
	req.GetBody = func() (io.ReadCloser, error) { return bufferedBody{bytes.NewReader(body)}, nil }
	req.Body, _ = req.GetBody()
	return nil
}

// A bufferedBody is a body in memory.
type bufferedBody struct{ *bytes.Reader }

func (bufferedBody) Close() error { return nil }

func isBuffered(req *http.Request) bool {
	_, ok := req.Body.(bufferedBody)
	return ok
}

// foundHTTP2Only notes that the server speaks nothing but HTTP/2. It has processed nothing.
func (t *Transport) foundHTTP2Only(o *origin, cause error) error {
	err := t.failed(ViaUpgrade, ReasonHTTP2Only, cause, o.addr)
	if t.Mode != ModeAuto {
		return err
	}
	o.prefer(priorKnowledge)
	return &retryError{cause: err}
}
