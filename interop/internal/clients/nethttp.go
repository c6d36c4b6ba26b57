package clients

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// NetHTTP is the client of Go's net/http.
var NetHTTP = &Client{
	Peer:    &peer.Peer{Name: "net/http", Says: runtime.Version},
	Entries: []Entry{Prior},
	Send: func(ctx context.Context, job Job) ([]Response, error) {
		tr := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true, ExpectContinueTimeout: time.Minute,
			IdleConnTimeout: idleConnTimeout}
		tr.Protocols.SetUnencryptedHTTP2(true)
		defer tr.CloseIdleConnections()
		return sendByGo(ctx, tr, job)
	},
}

// idleConnTimeout closes a connection that CloseIdleConnections has left, as a request on it that was
// cancelled had not quite ended.
const idleConnTimeout = 2 * time.Second

// sendByGo sends the requests by a transport of Go.
func sendByGo(ctx context.Context, tr http.RoundTripper, job Job) ([]Response, error) {
	responses := make([]Response, len(job.Requests))
	errs := make([]error, len(job.Requests))
	var wg sync.WaitGroup
	for i, r := range job.Requests {
		send := func() { responses[i], errs[i] = roundTrip(ctx, tr, r) }
		if job.AtOnce && (i > 0 || job.Cold) {
			wg.Go(send)
		} else {
			send()
		}
	}
	wg.Wait()
	return responses, errors.Join(errs...)
}

func roundTrip(ctx context.Context, tr http.RoundTripper, r Request) (Response, error) {
	resp := Response{Early: http.Header{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			resp.Interim = append(resp.Interim, code)
			if code == http.StatusEarlyHints {
				resp.Early = http.Header(h)
			}
			return nil
		},
	}), r.Method, r.URL, nil)
	if err != nil {
		return resp, err
	}
	for name, values := range r.Header {
		req.Header[name] = values
	}
	if r.Body != nil {
		req.Body = io.NopCloser(bytes.NewReader(r.Body))
		req.ContentLength = int64(len(r.Body))
		if r.NoSize {
			req.ContentLength = -1
		}
	}
	if r.Expect {
		req.Header.Set("Expect", "100-continue")
	}
	if r.Target != "" {
		req.URL.Opaque = r.Target
	}
	res, err := tr.RoundTrip(req)
	if err != nil {
		resp.Err = err.Error()
		return resp, nil
	}
	defer res.Body.Close()
	b := newBody(r, cancel)
	if _, err := io.Copy(b, res.Body); err != nil {
		resp.Err = err.Error()
	}
	b.tell(&resp)
	resp.Proto, resp.Status, resp.Header, resp.Trailer = res.Proto, res.StatusCode, res.Header, res.Trailer
	return resp, nil
}
