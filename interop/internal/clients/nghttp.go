package clients

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Nghttp indexes its fields from the first frame on, and sends PRIORITY for streams that do
// not exist. With a body to send it upgrades by "OPTIONS *", and sends the body after that.
// It exits 0 even if requests fail, so only what it prints tells what happened.
var Nghttp = &Client{
	Peer:    &peer.Peer{Name: "nghttp", Files: []string{"nghttp"}, Probe: []string{"--version"}},
	Entries: []Entry{Upgrade, Prior},
	Cannot: map[string]string{
		"three in a row": "sends all of its requests at once",
		"after HTTP/1.1": "makes one request over HTTP/1.1, its offer",
		"after declined": "makes one request over HTTP/1.1, its offer",
	},
}

func init() { Nghttp.Send = sendByNghttp }

// sendByNghttp sends requests that differ in nothing but their URLs.
func sendByNghttp(ctx context.Context, job Job) ([]Response, error) {
	path, err := Nghttp.Peer.Find()
	if err != nil {
		return nil, err
	}
	args := []string{"--verbose", "--timeout=60"}
	if job.Entry == Upgrade {
		args = append(args, "--upgrade")
	}
	first := job.Requests[0]
	if first.Method != "" && first.Body == nil {
		args = append(args, "--header=:method: "+first.Method)
	}
	if first.Target != "" {
		args = append(args, "--header=:path: "+first.Target)
	}
	for name, values := range first.Header {
		for _, v := range values {
			args = append(args, "--header="+name+": "+v)
		}
	}
	if first.Body != nil {
		dir, err := os.MkdirTemp(job.Dir, "nghttp-")
		if err != nil {
			return nil, err
		}
		name := filepath.Join(dir, "upload")
		if err := os.WriteFile(name, first.Body, 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--data="+name)
		if first.NoSize {
			args = append(args, "--no-content-length")
		}
		if first.Expect {
			args = append(args, "--expect-continue")
		}
	}

	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	log := &nghttpLog{streams: make(map[int]*nghttpStream), bodies: make(map[string]*body)}
	targets := make([]string, len(job.Requests))
	for i, r := range job.Requests {
		args = append(args, r.URL)
		u, err := url.Parse(r.URL)
		if err != nil {
			return nil, err
		}
		targets[i] = u.RequestURI()
		if r.Target != "" {
			targets[i] = r.Target
		}
		log.bodies[targets[i]] = newBody(r, giveUp)
	}
	out, err := peer.Run(ctx, 90*time.Second, peer.Command{Path: path, Args: args, Stdout: log})
	responses := make([]Response, len(targets))
	for i, target := range targets {
		responses[i] = log.response(target)
		if r := &responses[i]; r.Err == "" && err != nil {
			r.Err = err.Error()
		}
		if r := &responses[i]; r.Err != "" {
			r.Err += "\n" + string(out.Stderr)
		}
	}
	// The 101 is part of the exchange that began with the first request.
	if log.switched != nil {
		responses[0].Switch = log.switched
		responses[0].Interim = append([]int{http.StatusSwitchingProtocols}, responses[0].Interim...)
	}
	return responses, nil
}

// An nghttpLog takes what nghttp prints with --verbose. That is a log with the bodies in
// between, where the entry for a DATA frame comes right after its octets:
//
//	[  0.001] recv (stream_id=1) :status: 200
//	[  0.001] recv HEADERS frame <length=43, flags=0x04, stream_id=1>
//	          ; END_HEADERS
//	hello
//	[  0.001] recv DATA frame <length=6, flags=0x01, stream_id=1>
//	          ; END_STREAM
type nghttpLog struct {
	bodies map[string]*body // by the target of the request

	streams  map[int]*nghttpStream
	switched http.Header // fields of the 101
	http1    *Response   // what came instead of the 101
	failures []string

	buf     []byte // not parsed yet
	scanned int    // octets of buf in which no entry begins
	inEntry bool   // more lines of the entry may follow
	kind    string // of the entry, such as "recv DATA"
	stream  int    // that it is about
	data    []byte // since the last DATA frame
}

// An nghttpStream is a stream as far as it has been logged.
type nghttpStream struct {
	target string
	resp   Response
	block  http.Header // the fields since the last HEADERS frame
	status int         // among them; 0: trailers
	ended  bool
}

func (l *nghttpLog) Write(p []byte) (int, error) {
	l.buf = append(l.buf, p...)
	l.parse()
	return len(p), nil
}

const nghttpIndent = "          " // of further lines of an entry

var (
	nghttpEntry = regexp.MustCompile(`^\[[ \d]{3}\.\d{3}\] ([^\n]*)\n`)
	nghttpFrame = regexp.MustCompile(`^((?:send|recv) [A-Z_]+) frame <length=(\d+), flags=0x([0-9a-f]{2}), stream_id=(\d+)>$`)
	nghttpField = regexp.MustCompile(`^recv \(stream_id=(\d+)\) (:?[^:]+): (.*)$`)
)

const nghttpTimer = len("[  0.000] ")

// parse parses as much of buf as is complete.
func (l *nghttpLog) parse() {
	for {
		switch {
		case l.kind == "HTTP Upgrade request" || l.kind == "HTTP Upgrade response":
			head, rest, ok := bytes.Cut(l.buf, []byte("\r\n\r\n\n"))
			if !ok {
				return
			}
			l.head(string(head))
			l.kind, l.buf = "", rest
		case l.inEntry:
			if !bytes.HasPrefix(l.buf, []byte(nghttpIndent)) {
				if strings.HasPrefix(nghttpIndent, string(l.buf)) {
					return // it may become one
				}
				l.inEntry = false
				continue
			}
			line, rest, ok := bytes.Cut(l.buf, []byte("\n"))
			if !ok {
				return
			}
			l.line(strings.TrimSpace(string(line)))
			l.buf = rest
		default:
			i := l.next()
			if i < 0 {
				return
			}
			m := nghttpEntry.FindSubmatch(l.buf[i:])
			if m == nil {
				return // its line is not complete
			}
			l.data = append(l.data, l.buf[:i]...)
			l.buf, l.scanned = l.buf[i+len(m[0]):], 0
			l.entry(string(m[1]))
		}
	}
}

// next returns where in buf the next entry begins, or -1.
func (l *nghttpLog) next() int {
	for {
		i := bytes.Index(l.buf[l.scanned:], []byte("] "))
		if i < 0 {
			l.scanned = max(l.scanned, len(l.buf)-1)
			return -1
		}
		begin := l.scanned + i + 2 - nghttpTimer
		if begin >= 0 && nghttpStart.Match(l.buf[begin:begin+nghttpTimer]) {
			return begin
		}
		l.scanned += i + 1
	}
}

var nghttpStart = regexp.MustCompile(`^\[[ \d]{3}\.\d{3}\] $`)

// entry takes the first line of an entry.
func (l *nghttpLog) entry(text string) {
	l.kind, l.inEntry = text, true
	if m := nghttpField.FindStringSubmatch(text); m != nil {
		l.at(m[1]).field(m[2], m[3])
		return
	}
	m := nghttpFrame.FindStringSubmatch(text)
	if m == nil {
		return
	}
	l.kind = m[1]
	s := l.at(m[4])
	flags, _ := strconv.ParseUint(m[3], 16, 8)
	end := flags&1 != 0
	switch l.kind {
	case "recv HEADERS":
		s.endBlock()
		s.ended = s.ended || end
	case "recv DATA":
		if n := strconv.Itoa(len(l.data)); n != m[2] {
			l.fail("a DATA frame of %s octets came with %s", m[2], n)
		}
		if b := l.bodies[s.target]; b != nil {
			b.Write(l.data)
		}
		l.data = nil
		s.ended = s.ended || end
	}
}

// line takes a further line of an entry.
func (l *nghttpLog) line(text string) {
	switch l.kind {
	case "send HEADERS":
		if target, ok := strings.CutPrefix(text, ":path: "); ok {
			l.streams[l.stream].target = target
		}
	case "recv RST_STREAM", "send RST_STREAM", "recv GOAWAY", "send GOAWAY":
		if strings.Contains(text, "error_code=") && !strings.Contains(text, "error_code=NO_ERROR") {
			l.fail("%s on stream %d: %s", l.kind, l.stream, text)
		}
	}
}

func (l *nghttpLog) fail(format string, args ...any) {
	l.failures = append(l.failures, fmt.Sprintf(format, args...))
}

// at returns a stream, and remembers that the entry is about it.
func (l *nghttpLog) at(id string) *nghttpStream {
	l.stream, _ = strconv.Atoi(id)
	s := l.streams[l.stream]
	if s == nil {
		s = &nghttpStream{resp: Response{Proto: "HTTP/2.0", Early: http.Header{}, Trailer: http.Header{}}}
		l.streams[l.stream] = s
	}
	return s
}

// field takes a field that was received.
func (s *nghttpStream) field(name, value string) {
	if name == ":status" {
		s.status, _ = strconv.Atoi(value)
		return
	}
	if s.block == nil {
		s.block = http.Header{}
	}
	s.block.Add(name, value)
}

// endBlock sorts the fields that were received.
func (s *nghttpStream) endBlock() {
	switch {
	case s.status == 0:
		s.resp.Trailer = s.block
	case s.status >= 200:
		s.resp.Status, s.resp.Header = s.status, s.block
	default:
		s.resp.Interim = append(s.resp.Interim, s.status)
		if s.status == http.StatusEarlyHints {
			s.resp.Early = s.block
		}
	}
	s.block, s.status = nil, 0
}

// head takes the offer, or what came in answer to it.
func (l *nghttpLog) head(text string) {
	lines := strings.Split(text, "\r\n")
	words := strings.SplitN(lines[0], " ", 3)
	if len(words) < 2 {
		l.fail("%q is no first line of a message", lines[0])
		return
	}
	if l.kind == "HTTP Upgrade request" {
		l.at("1").target = words[1]
		return
	}
	fields := http.Header{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		fields.Add(name, value)
	}
	status, _ := strconv.Atoi(words[1])
	if status == http.StatusSwitchingProtocols {
		l.switched = fields
		return
	}
	l.http1 = &Response{Proto: words[0], Status: status, Header: fields, Err: "the offer was declined"}
}

// response returns the response to the request for a target.
func (l *nghttpLog) response(target string) Response {
	if l.http1 != nil {
		return *l.http1
	}
	failures := slices.Clone(l.failures)
	r := Response{Err: "there is no stream for it"}
	for id, s := range l.streams {
		switch s.target {
		case target:
			r = s.resp
			if !s.ended {
				failures = append(failures, fmt.Sprintf("stream %d did not end", id))
			}
		case "*":
			if s.resp.Status != http.StatusOK || !s.ended {
				failures = append(failures, fmt.Sprintf("OPTIONS * was answered %d", s.resp.Status))
			}
		}
	}
	if len(failures) > 0 {
		r.Err = strings.Join(failures, "; ")
	}
	l.bodies[target].tell(&r)
	return r
}
