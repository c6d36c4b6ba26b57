package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Curl upgrades on any request of a connection, and offers again after a decline. Of
// requests at once the others wait until the first one has upgraded.
var Curl = &Client{
	Peer:    &peer.Peer{Name: "curl", Files: []string{"curl"}, Probe: []string{"--version"}},
	Entries: []Entry{Upgrade, Prior},
	Cannot: map[string]string{
		"prior knowledge: three in a row": curlSecond,
		"prior knowledge: 100 at once":    curlSecond,
	},
}

const curlSecond = "cannot send a second request on a connection begun by prior knowledge, whatever the server: exit 16"

func init() { Curl.Send = sendByCurl }

func sendByCurl(ctx context.Context, job Job) ([]Response, error) {
	path, err := Curl.Peer.Find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(job.Dir, "curl-")
	if err != nil {
		return nil, err
	}
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	args := []string{"-q", "--no-progress-meter"}
	if job.AtOnce {
		args = append(args, "--parallel", "--parallel-max", strconv.Itoa(len(job.Requests)))
		if job.Cold {
			args = append(args, "--parallel-immediate")
		}
	}
	bodies := make([]*body, len(job.Requests)) // of those that go to stdout
	var stdout io.Writer
	for i, r := range job.Requests {
		if i > 0 {
			args = append(args, "--next")
		}
		more, err := curlArgs(dir, job.Entry, i, r)
		if err != nil {
			return nil, err
		}
		args = append(args, more...)
		if r.OnData == nil {
			args = append(args, "--output", curlFile(dir, i, "body"))
			continue
		}
		args = append(args, "--no-buffer")
		bodies[i] = newBody(r, giveUp)
		stdout = bodies[i]
	}
	out, err := peer.Run(ctx, 90*time.Second, peer.Command{Path: path, Args: args, Stdout: stdout})
	responses, perr := curlResponses(dir, string(out.Stderr), bodies)
	if perr != nil {
		return nil, errors.Join(perr, err)
	}
	for i := range responses {
		if r := &responses[i]; r.Err == "" && err != nil {
			r.Err = fmt.Sprintf("%v: %s", err, out.Stderr)
		}
	}
	return responses, nil
}

func curlFile(dir string, i int, name string) string {
	return filepath.Join(dir, fmt.Sprintf("%d.%s", i, name))
}

// curlArgs returns the arguments for the i-th request.
func curlArgs(dir string, entry Entry, i int, r Request) ([]string, error) {
	args := []string{
		"--silent", "--show-error", "--max-time", "60",
		"--dump-header", curlFile(dir, i, "head"),
		// It begins with a line break, since curl may have begun a line of its own.
		"--write-out", fmt.Sprintf(`%%{stderr}\ntransfer %d %%{exitcode} %%{response_code} %%{http_version} %%{size_download} %%{errormsg}\n`, i),
	}
	switch {
	case r.HTTP1:
		args = append(args, "--http1.1")
	case entry == Prior:
		args = append(args, "--http2-prior-knowledge")
	default:
		args = append(args, "--http2")
	}
	for name, values := range r.Header {
		for _, v := range values {
			args = append(args, "--header", name+": "+v)
		}
	}
	if r.Body != nil {
		name := curlFile(dir, i, "upload")
		if err := os.WriteFile(name, r.Body, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--data-binary", "@"+name)
		if r.NoSize {
			args = append(args, "--header", "Transfer-Encoding: chunked")
		}
		// Above 1 MiB curl would ask of its own accord.
		expect := "Expect:"
		if r.Expect {
			expect = "Expect: 100-continue"
		}
		args = append(args, "--header", expect)
	}
	switch {
	case r.Method == "HEAD":
		args = append(args, "--head")
	case r.Method != "":
		args = append(args, "--request", r.Method)
	}
	if r.Target != "" {
		args = append(args, "--request-target", r.Target)
	}
	return append(args, r.URL), nil
}

// curlResponses puts together what curl says of each transfer on stderr, and its files.
func curlResponses(dir, stderr string, bodies []*body) ([]Response, error) {
	responses := make([]Response, len(bodies))
	sizes := make([]int64, len(bodies))
	for line := range strings.Lines(stderr) {
		rest, ok := strings.CutPrefix(line, "transfer ")
		if !ok {
			continue
		}
		if err := curlTransfer(rest, responses, sizes); err != nil {
			return nil, fmt.Errorf("%q in the output of curl: %w", line, err)
		}
	}
	for i := range responses {
		r := &responses[i]
		head, err := os.ReadFile(curlFile(dir, i, "head"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := curlHead(string(head), r); err != nil {
			return nil, err
		}
		b := bodies[i]
		if b == nil {
			b = newBody(Request{}, nil)
			// With --head the head is what curl writes, and there is no body.
			if sizes[i] > 0 {
				if err := b.readFile(curlFile(dir, i, "body")); err != nil {
					return nil, err
				}
			}
		}
		b.tell(r)
	}
	return responses, nil
}

// curlTransfer parses what curlArgs has curl write of a transfer.
func curlTransfer(line string, responses []Response, sizes []int64) error {
	var i, exit, status int
	var version string
	var size int64
	if _, err := fmt.Sscan(line, &i, &exit, &status, &version, &size); err != nil {
		return err
	}
	if i < 0 || i >= len(responses) {
		return errors.New("there is no such transfer")
	}
	sizes[i] = size
	if exit != 0 {
		message := strings.SplitN(strings.TrimSpace(line), " ", 6)
		responses[i].Err = fmt.Sprintf("exit %d: %s", exit, message[len(message)-1])
	}
	return nil
}

// curlHead parses the heads of a response, interim ones and trailers included.
func curlHead(text string, r *Response) error {
	fields := http.Header{} // those that are being read
	r.Trailer, r.Early, r.Switch = http.Header{}, http.Header{}, http.Header{}
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		line := lines.Text()
		if line == "" {
			fields = r.Trailer
			continue
		}
		if strings.HasPrefix(line, "HTTP/") {
			version, rest, _ := strings.Cut(line, " ")
			code, _, _ := strings.Cut(rest, " ")
			status, err := strconv.Atoi(code)
			if err != nil {
				return fmt.Errorf("%q in the output of curl: %w", line, err)
			}
			fields = http.Header{}
			switch {
			case status == http.StatusSwitchingProtocols:
				r.Switch = fields
			case status == http.StatusEarlyHints:
				r.Early = fields
			case status >= 200:
				r.Proto, r.Status, r.Header = version, status, fields
			}
			if status < 200 {
				r.Interim = append(r.Interim, status)
			}
			if version == "HTTP/2" {
				r.Proto = "HTTP/2.0"
			}
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return fmt.Errorf("%q in the output of curl is no field", line)
		}
		fields.Add(name, textproto.TrimString(value))
	}
	return nil
}

func (b *body) readFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(b, f)
	return err
}
