package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A driver is a program of testdata that sends requests with a client library. All of them
// speak as follows, in lines of JSON.
//
// The first line that a driver reads is a driverJob. It writes a line for each part of a body
// that somebody waits for, and one for each response when it has ended, with its number "n".
// Before it gives a response up it waits for another line, which says that the first part was
// made use of.
type driver struct {
	peer  *peer.Peer
	files func(ctx context.Context, path string) (map[string][]byte, error) // of the program
	args  func(dir string) []string                                         // dir has the files
}

// program returns files for a driver that is a single one.
func program(name string, content []byte) func(context.Context, string) (map[string][]byte, error) {
	return func(context.Context, string) (map[string][]byte, error) {
		return map[string][]byte{name: content}, nil
	}
}

// dir returns a directory with the files, in the one of the job.
func (d *driver) dir(ctx context.Context, path, parent string) (string, error) {
	files, err := d.files(ctx, path)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, "driver-")
	if err != nil {
		return "", err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return "", err
		}
	}
	return dir, nil
}

type driverJob struct {
	Entry    Entry           `json:"entry"`
	AtOnce   bool            `json:"atOnce"`
	Cold     bool            `json:"cold"`
	Requests []driverRequest `json:"requests"`
}

type driverRequest struct {
	Method string      `json:"method"`
	URL    string      `json:"url"`
	Target string      `json:"target"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
	NoSize bool        `json:"noSize"`
	Expect bool        `json:"expect"`
	HTTP1  bool        `json:"http1"`
	Cancel bool        `json:"cancel"`
	Parts  bool        `json:"parts"` // of the body are wanted as they come
}

// driverLine is a part of a body, or else a response.
type driverLine struct {
	N    int
	Data []byte
	Response
}

func (d *driver) send(ctx context.Context, job Job) ([]Response, error) {
	path, err := d.peer.Find()
	if err != nil {
		return nil, err
	}
	dir, err := d.dir(ctx, path, job.Dir)
	if err != nil {
		return nil, err
	}
	j := driverJob{Entry: job.Entry, AtOnce: job.AtOnce, Cold: job.Cold}
	for _, r := range job.Requests {
		if r.Method == "" {
			r.Method = http.MethodGet
		}
		if r.Header == nil {
			r.Header = http.Header{}
		}
		j.Requests = append(j.Requests, driverRequest{
			r.Method, r.URL, r.Target, r.Header, r.Body, r.NoSize, r.Expect, r.HTTP1, r.Cancel, r.OnData != nil || r.Cancel,
		})
	}
	stdin, err := json.Marshal(j)
	if err != nil {
		return nil, err
	}
	more, proceed := io.Pipe()
	defer more.Close()
	lines := &driverLines{
		requests:  job.Requests,
		responses: make([]Response, len(job.Requests)),
		ended:     make([]bool, len(job.Requests)),
		proceed:   proceed,
		partsOf:   make(map[int]bool),
	}
	out, err := peer.Run(ctx, time.Minute, peer.Command{
		Path: path, Args: d.args(dir), Stdin: append(stdin, '\n'), Input: more, Stdout: lines,
	})
	if err == nil && lines.left() > 0 {
		err = errors.New("it has exited before all responses ended")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", d.peer.Name, err, out.Stderr)
	}
	return lines.responses, nil
}

// driverLines reads what a driver writes.
type driverLines struct {
	requests  []Request
	responses []Response
	ended     []bool
	partsOf   map[int]bool   // the requests of which a part of the body came
	proceed   *io.PipeWriter // the rest of its input

	rest []byte // of a line that is not complete
}

func (l *driverLines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.rest = rest
		if err := l.line(line); err != nil {
			return 0, err
		}
	}
}

func (l *driverLines) line(b []byte) error {
	var line driverLine
	if err := json.Unmarshal(b, &line); err != nil {
		return fmt.Errorf("%q is no line of a driver: %w", b, err)
	}
	n := line.N
	if n < 0 || n >= len(l.requests) || l.ended[n] {
		return fmt.Errorf("%q concerns no response that is due", b)
	}
	if line.Data == nil {
		for _, h := range []*http.Header{&line.Header, &line.Switch, &line.Trailer, &line.Early} {
			*h = canonical(*h)
		}
		l.responses[n], l.ended[n] = line.Response, true
		if l.left() == 0 {
			l.proceed.Close()
		}
		return nil
	}
	if f := l.requests[n].OnData; f != nil {
		f(line.Data)
	}
	if l.requests[n].Cancel && !l.partsOf[n] {
		if _, err := io.WriteString(l.proceed, "\n"); err != nil {
			return err
		}
	}
	l.partsOf[n] = true
	return nil
}

// left returns how many responses have not ended.
func (l *driverLines) left() int {
	left := 0
	for _, ended := range l.ended {
		if !ended {
			left++
		}
	}
	return left
}

// canonical returns h with the names as http.Header has them. HTTP/2 has them in lower case.
func canonical(h http.Header) http.Header {
	if h == nil {
		return nil
	}
	c := make(http.Header)
	for name, values := range h {
		for _, v := range values {
			c.Add(name, v)
		}
	}
	return c
}
