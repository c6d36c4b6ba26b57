package interop

import (
	"context"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"
)

var curl = &peer{name: "curl", files: named("curl"), probe: []string{"--version"}}

// curlRun is what one run of curl did.
type curlRun struct {
	output
	heads     []head     // of all responses, if the transfers came one after the other
	transfers []transfer // in the order in which they ended
}

// head is the head of a response, 1xx included.
type head struct {
	line    string // such as "HTTP/2 200"
	header  http.Header
	trailer http.Header
}

// transfer is what curl says of one URL in the end.
type transfer struct {
	status   int
	version  string // such as "1.1" or "2"
	size     int64  // of the body
	connects int    // connections made for it
}

// It begins with a line break, since curl may have begun a line of its own.
const curlWriteOut = `%{stderr}\ntransfer %{response_code} %{http_version} %{size_download} %{num_connects}\n`

// runCurl runs curl with -v. Arguments that follow a --next need curlNext in front.
func runCurl(ctx context.Context, path string, args ...string) (curlRun, error) {
	all := append([]string{"-q", "-v", "-sS", "--no-progress-meter", "--max-time", "60", "-w", curlWriteOut}, args...)
	out, err := run(ctx, 90*time.Second, path, all...)
	r := curlRun{output: out}
	if err != nil {
		return r, err
	}
	return r, r.parse()
}

// curlNext begins the arguments for another URL with options of its own.
func curlNext(args ...string) []string {
	return append([]string{"--next", "-sS", "--max-time", "60", "-w", curlWriteOut}, args...)
}

func (r *curlRun) parse() error {
	ended := true // the head that came last
	for line := range strings.Lines(string(r.stderr)) {
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, "transfer "); ok {
			var t transfer
			if _, err := fmt.Sscan(rest, &t.status, &t.version, &t.size, &t.connects); err != nil {
				return fmt.Errorf("%q in the output of curl: %w", line, err)
			}
			r.transfers = append(r.transfers, t)
			continue
		}
		line, ok := strings.CutPrefix(line, "< ")
		if !ok {
			continue
		}
		if strings.HasPrefix(line, "HTTP/") {
			r.heads = append(r.heads, head{line: strings.TrimSpace(line), header: http.Header{}, trailer: http.Header{}})
			ended = false
			continue
		}
		if line == "" {
			ended = true
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || len(r.heads) == 0 {
			return fmt.Errorf("%q in the output of curl is no field", line)
		}
		last := r.heads[len(r.heads)-1]
		fields := last.header
		if ended {
			fields = last.trailer
		}
		fields.Add(textproto.TrimString(name), textproto.TrimString(value))
	}
	return nil
}

// lines returns the status lines of all responses.
func (r *curlRun) lines() []string {
	var lines []string
	for _, h := range r.heads {
		lines = append(lines, h.line)
	}
	return lines
}
