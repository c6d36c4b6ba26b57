package wiretap

import (
	"bufio"
	"bytes"
	"fmt"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c"
)

// http1Body is the body of an HTTP/1.1 message, of which only the length is shown.
type http1Body struct {
	open     bool  // one is in progress
	octets   int64 // so far
	left     int64 // of the body, or of a chunk
	chunked  bool
	trailers []string
}

// begin decodes the beginning of a connection, or of a message after another one.
func (f *flow) begin(b []byte) int {
	if f.client {
		const preface = http2.ClientPreface
		n := min(len(b), len(preface))
		switch {
		case string(b[:n]) != preface[:n]:
			f.step = f.head
			return f.head(b)
		case n < len(preface):
			return 0
		}
		f.tell(Event{Kind: Preface, What: "client preface", Octets: b[:n]})
		f.step = f.frame
		return n
	}
	// HTTP/1 begins with a letter; the first frame of a server with the length of a
	// short payload.
	switch {
	case b[0] == 'H':
		f.step = f.head
	case b[0] == 0:
		f.step = f.frame
	default:
		f.giveUp("neither HTTP/1 nor HTTP/2")
	}
	return f.step(b)
}

// head decodes the head of a message.
func (f *flow) head(b []byte) int {
	i := bytes.Index(b, []byte("\r\n\r\n"))
	if i < 0 {
		return 0
	}
	lines := strings.Split(string(b[:i]), "\r\n")
	header, err := textproto.NewReader(bufio.NewReader(bytes.NewReader(b[bytes.IndexByte(b, '\n')+1 : i+4]))).ReadMIMEHeader()
	if f.client {
		f.tell(Event{Kind: Head, What: "HTTP/1.1 request", Details: append(lines, offered(header)...), Octets: b[:i+4]})
	} else {
		f.tell(Event{Kind: Head, What: "HTTP/1.1 response", Details: lines, Octets: b[:i+4]})
	}
	f.step = f.begin
	f.http1 = http1Body{}
	switch {
	case err != nil:
		f.giveUp(err.Error())
	case f.client:
		method, _, _ := strings.Cut(lines[0], " ")
		f.d.requests++
		f.d.methods = append(f.d.methods, method)
		f.body(http.Header(header), false)
	default:
		f.response(lines[0], http.Header(header))
	}
	return i + 4
}

// offered returns the settings that an offer to upgrade has.
func offered(header textproto.MIMEHeader) []string {
	var lines []string
	for _, v := range header["Http2-Settings"] {
		settings, err := h2c.ParseSettings(v)
		if err != nil {
			lines = append(lines, "; "+err.Error())
			continue
		}
		for _, s := range settings {
			lines = append(lines, "; "+s.String())
		}
	}
	return lines
}

// response settles what follows the head of a response.
func (f *flow) response(line string, header http.Header) {
	_, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(rest, " ")
	status, err := strconv.Atoi(code)
	var method string
	if len(f.d.methods) > 0 {
		method = f.d.methods[0]
	}
	if err == nil && (status >= 200 || status == http.StatusSwitchingProtocols) && method != "" {
		f.d.methods = f.d.methods[1:]
	}
	switch {
	case err != nil:
		f.giveUp("no status")
	case status == http.StatusSwitchingProtocols && httpguts.HeaderValuesContainsToken(header["Upgrade"], "h2c"):
		f.step = f.frame
	case status == http.StatusSwitchingProtocols, method == http.MethodConnect && status < 300 && status >= 200:
		f.giveUp("another protocol")
	case status < 200, status == http.StatusNoContent, status == http.StatusNotModified, method == http.MethodHead:
	default:
		f.body(header, true)
	}
}

// body settles what the body is that follows a head.
//
// https://www.rfc-editor.org/rfc/rfc9112.html#section-6.3
func (f *flow) body(header http.Header, untilClose bool) {
	length, err := strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	switch {
	case httpguts.HeaderValuesContainsToken(header["Transfer-Encoding"], "chunked"):
		f.http1.open, f.http1.chunked = true, true
		f.step = f.chunkSize
	case err == nil && length > 0:
		f.http1.open, f.http1.left = true, length
		f.step = f.bodyData
	case err != nil && untilClose:
		f.http1.open = true
		f.step = f.data
	}
}

func (f *flow) bodyData(b []byte) int {
	n := f.data(b[:min(f.http1.left, int64(len(b)))])
	f.http1.left -= int64(n)
	switch {
	case f.http1.left > 0:
	case f.http1.chunked:
		f.step = f.chunkEnd
	default:
		f.bodyEnd("")
	}
	return n
}

func (f *flow) chunkSize(b []byte) int {
	i := bytes.Index(b, []byte("\r\n"))
	if i < 0 {
		return 0
	}
	f.raw(b[:i+2])
	size, _, _ := strings.Cut(string(b[:i]), ";")
	n, err := strconv.ParseInt(strings.TrimSpace(size), 16, 64)
	switch {
	case err != nil || n < 0:
		f.giveUp("no size of a chunk")
	case n == 0:
		f.step = f.trailer
	default:
		f.http1.left = n
		f.step = f.bodyData
	}
	return i + 2
}

func (f *flow) chunkEnd(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	f.step = f.chunkSize
	return f.raw(b[:2])
}

func (f *flow) trailer(b []byte) int {
	i := bytes.Index(b, []byte("\r\n"))
	if i < 0 {
		return 0
	}
	f.raw(b[:i+2])
	switch {
	case i == 0:
		f.bodyEnd(", in chunks")
	case len(f.http1.trailers) < 1000:
		f.http1.trailers = append(f.http1.trailers, string(b[:i]))
	}
	return i + 2
}

func (f *flow) bodyEnd(how string) {
	f.tell(Event{Kind: Body, What: fmt.Sprintf("body of %d octets%s", f.http1.octets, how), Details: f.http1.trailers})
	f.http1 = http1Body{}
	f.step = f.begin
}

// end shows what the end of the connection ends.
func (f *flow) end() {
	switch {
	case f.http1.open:
		f.bodyEnd(", until the connection ended")
	case len(f.buf) > 0:
		f.tell(Event{What: fmt.Sprintf("%d octets that are not whole when the connection ended", len(f.buf))})
	}
}
