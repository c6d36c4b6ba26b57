package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/seed78dc1b7f/h2c"
)

// maxParallel bounds how many requests are in progress at once. What comes before its turn
// waits in the windows of the streams, which hold 4 MiB each.
const maxParallel = 50

// A getter gets the URLs of one run of the command.
type getter struct {
	*getOptions
	ctx      context.Context
	client   http.Client
	body     *requestBody
	stdout   io.Writer
	progress *progress
}

// run gets the URLs and returns the exit status.
func (o *getOptions) run(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	fail := func(err error) int {
		fmt.Fprintf(stderr, "h2c get: %v\n", err)
		return exitError
	}
	body, err := o.body(stdin)
	if err != nil {
		return fail(err)
	}
	if err := o.names(); err != nil {
		return fail(err)
	}
	tr := &h2c.Transport{Mode: o.mode, Base: &http.Transport{
		DisableCompression:  true, // bodies are written as they come
		MaxIdleConnsPerHost: maxParallel,
	}}
	var tap *wiretap
	switch {
	case o.verbose:
		tap = newWiretap(stderr)
	case o.json:
		tap = newWiretap(nil)
	}
	if tap != nil {
		tr.Base.DialContext = tap.DialContext
	}
	g := &getter{getOptions: o, ctx: ctx, body: body, stdout: stdout}
	g.client.Transport = tr
	g.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if o.out != "" && !o.verbose {
		g.progress = newProgress(stderr, len(o.urls))
	}

	status, failures := g.finish(g.begin())
	tr.Close()
	if tap != nil {
		tap.close() // once it has seen connections close; stderr is free then
	}
	g.progress.end()
	for _, err := range failures {
		fail(err)
	}
	return status
}

// finish waits for each response in turn, and returns the exit status and what failed.
func (g *getter) finish(fetches []*fetch) (status int, failures []error) {
	for _, f := range fetches {
		<-f.done
		err := f.err
		if g.json {
			if writing := f.writeJSON(g.stdout); err == nil {
				err = writing
			}
		}
		switch {
		case err != nil:
			status = exitError
			failures = append(failures, fmt.Errorf("%s: %w", f.url.Redacted(), err))
		case f.refused:
			status = cmp.Or(status, exitHTTP)
			failures = append(failures, fmt.Errorf("%s: %s", f.url.Redacted(), f.resp.Status))
		}
	}
	return status, failures
}

// begin begins to get the URLs. The first one of each origin goes first, so that it is the
// one which finds out what the origin speaks.
func (g *getter) begin() []*fetch {
	var all []*fetch
	first := make(map[string]*fetch)
	turn := make(chan struct{})
	close(turn)
	for i, u := range g.urls {
		f := &fetch{g: g, url: u, turn: turn, begun: make(chan struct{}), done: make(chan struct{})}
		if g.files != nil {
			f.file = g.files[i]
		}
		if f.after = first[u.Host]; f.after == nil {
			first[u.Host] = f
		}
		turn = f.done
		all = append(all, f)
	}
	go func() {
		slots := make(chan struct{}, maxParallel)
		for _, f := range all {
			slots <- struct{}{}
			go func() {
				f.run()
				<-slots
			}()
		}
	}()
	return all
}

// A fetch gets one URL.
type fetch struct {
	g     *getter
	url   *url.URL
	file  string          // where the body goes, or empty
	after *fetch          // which is to begin first, or nil
	turn  <-chan struct{} // closed when this one may write to stdout
	begun chan struct{}   // closed when its head is sent, or it has ended
	once  sync.Once
	done  chan struct{} // closed at the end, when what follows is settled

	resp    *http.Response
	refused bool // -f takes it for a failure
	bytes   int64
	sum     string
	timing  timing
	err     error
}

func (f *fetch) run() {
	defer close(f.done)
	defer f.hasBegun()
	if f.after != nil {
		<-f.after.begun
	}
	var interim []head
	ctx := f.timing.trace(f.g.ctx, f.hasBegun, func(h head) { interim = append(interim, h) })
	req, err := f.g.request(ctx, f.url, f.g.body)
	if err != nil {
		f.err = err
		return
	}
	resp, err := f.g.client.Do(req)
	if err != nil {
		f.timing.ended()
		f.g.progress.settle(0)
		if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
			err = wrapped.Err // the message has the URL
		}
		f.err = err
		return
	}
	defer resp.Body.Close()
	f.timing.gotHead()
	f.resp = resp
	f.err = f.receive(append(interim, head{resp.Status, resp.Header}))
	f.timing.ended()
}

// hasBegun lets those go on that are to begin after this one.
func (f *fetch) hasBegun() { f.once.Do(func() { close(f.begun) }) }

// record is the line that -json writes.
type record struct {
	URL     string  `json:"url"`
	Status  int     `json:"status,omitempty"`
	Proto   string  `json:"proto,omitempty"`
	Via     h2c.Via `json:"via,omitempty"`
	Stream  uint32  `json:"stream,omitempty"` // in HTTP/2
	Timings timings `json:"timings"`
	Bytes   int64   `json:"bytes"` // of the body
	SHA256  string  `json:"sha256,omitempty"`
	File    string  `json:"file,omitempty"`
	Error   string  `json:"error,omitempty"`
}

func (f *fetch) writeJSON(w io.Writer) error {
	r := record{URL: f.url.Redacted(), Timings: f.timing.timings(), Bytes: f.bytes, SHA256: f.sum}
	if f.resp != nil {
		r.Status, r.Proto = f.resp.StatusCode, f.resp.Proto
		r.Via, r.Stream = f.timing.way(f.resp.ProtoMajor)
		if !f.refused {
			r.File = f.file
		}
	}
	if f.err != nil {
		r.Error = f.err.Error()
	}
	enc := json.NewEncoder(w) // which writes a line at once
	enc.SetEscapeHTML(false)
	return enc.Encode(r)
}
