package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/seed78dc1b7f/h2c"
)

// exitHTTP is the exit status for a response of 400 or above, with -f.
const exitHTTP = 22

const getHead = `Usage: h2c get [flags] URL...

Gets what http:// URLs stand for, over HTTP/2 where the server speaks it, and writes the
bodies to standard output in the order of the URLs. URLs of one origin share a connection
and are asked for at once, 50 at a time at most. A URL without a scheme gets http://. Redirects are not followed,
and proxies of the environment are not used.

-mode says how HTTP/2 may begin: by Upgrade with the first request, or by prior knowledge
if the server speaks nothing else (auto); by Upgrade (upgrade); from the first octet
(prior-knowledge); not at all (http1). A request with a body does not carry an offer: an
OPTIONS / before it does.

With several URLs, or if FILE of -o is a directory or ends in a slash, it is a directory,
made if need be. Each body then gets the name at the end of its URL's path, or index, and
.2, .3 and so on after it if an earlier one has that name.

-json writes a line for each response, in the order of the URLs, and its body nowhere
without -o. Times are in milliseconds, each from the beginning of the request: connect is what
a new connection took, first_byte is when the first octet came in answer (that of a 101,
too), head when the head of the response was there, total when all was.

It waits for a response as long as that takes; a signal ends it.

The exit status is 1 if there was no response, or not all of it; 2 for a mistake in the
flags; 22 with -f if a response was 400 or above.
`

var modes = map[string]h2c.Mode{
	"auto":            h2c.ModeAuto,
	"upgrade":         h2c.ModeUpgrade,
	"prior-knowledge": h2c.ModePriorKnowledge,
	"http1":           h2c.ModeHTTP1,
}

// getOptions are the flags and arguments of the command.
type getOptions struct {
	mode    h2c.Mode
	method  string
	header  http.Header // with Host; a field without values is not to be sent
	data    string      // what -d says
	hasData bool
	include bool
	head    bool
	out     string // empty: standard output
	fail    bool
	json    bool
	verbose bool
	urls    []*url.URL

	files []string // for each URL, if out is set
}

func (o *getOptions) flags() *flag.FlagSet {
	fs := flag.NewFlagSet("h2c get", flag.ContinueOnError)
	fs.Func("mode", "how HTTP/2 may begin: `MODE` is auto, upgrade, prior-knowledge or http1 (default auto)", func(s string) error {
		mode, ok := modes[s]
		if !ok {
			return errors.New("want auto, upgrade, prior-knowledge or http1")
		}
		o.mode = mode
		return nil
	})
	fs.Func("X", "the `METHOD` of the requests (default GET, or POST with -d)", func(s string) error {
		if !isToken(s) || s == http.MethodConnect {
			return errors.New("not a method for this")
		}
		o.method = s
		return nil
	})
	o.header = make(http.Header)
	fs.Func("H", "a header `FIELD`, as in 'Name: value'; 'Name:' leaves one out. May be repeated", o.addField)
	fs.Func("d", "send `DATA` as the body, or with @FILE what is in a file, or with - what comes from\n"+
		"standard input, as application/x-www-form-urlencoded unless -H says otherwise", func(s string) error {
		o.data, o.hasData = s, true
		return nil
	})
	fs.BoolVar(&o.include, "i", false, "write the head of each response before its body")
	fs.BoolVar(&o.head, "I", false, "ask with HEAD, and write the head of each response")
	fs.Func("o", "write the body to `FILE`, with a progress bar on a terminal; - is standard output", func(s string) error {
		if s == "" {
			return errors.New("empty")
		}
		o.out = s
		return nil
	})
	fs.BoolVar(&o.fail, "f", false, "exit with status 22, and write no body, if a response is 400 or above")
	fs.BoolVar(&o.json, "json", false, "write a line of JSON for each response instead of its body")
	fs.BoolVar(&o.verbose, "v", false, "write the whole exchange to standard error, with HTTP/2 frames decoded")
	return fs
}

// isToken reports whether s is a token, as names of fields are, and methods.
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }

// addField adds a header field that -H gives.
func (o *getOptions) addField(s string) error {
	name, value, ok := strings.Cut(s, ":")
	value = strings.TrimSpace(value)
	if !ok || !isToken(name) || !httpguts.ValidHeaderFieldValue(value) {
		return errors.New("not of the form Name: value")
	}
	name = http.CanonicalHeaderKey(name)
	switch name {
	case "Content-Length", "Transfer-Encoding", "Trailer":
		return fmt.Errorf("%s comes with the body", name)
	case "Upgrade", "Http2-Settings":
		return fmt.Errorf("%s comes with -mode", name)
	}
	switch {
	case value == "":
		o.header[name] = nil
	case name == "Host":
		o.header.Set(name, value)
	default:
		o.header.Add(name, value)
	}
	return nil
}

// parse parses flags and URLs in any order.
func (o *getOptions) parse(fs *flag.FlagSet, args []string) error {
	err := parseMixed(fs, args, func(arg string) error {
		u, err := parseURL(arg)
		o.urls = append(o.urls, u)
		return err
	})
	if err != nil {
		return err
	}
	return o.check()
}

var hasScheme = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)

func parseURL(s string) (*url.URL, error) {
	if !hasScheme.MatchString(s) {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme != "http":
		return nil, fmt.Errorf("%s: only http:// is spoken here", s)
	case u.Hostname() == "":
		return nil, fmt.Errorf("%s: no host", s)
	}
	return u, nil
}

func (o *getOptions) check() error {
	switch {
	case len(o.urls) == 0:
		return errors.New("no URL")
	case o.head && o.method != "":
		return errors.New("-I and -X exclude each other")
	case o.head && o.hasData:
		return errors.New("-I and -d exclude each other")
	case o.json && o.include:
		return errors.New("-json and -i exclude each other")
	}
	if o.out == "-" {
		o.out = ""
	}
	switch {
	case o.head:
		o.method = http.MethodHead
	case o.hasData:
		o.method = cmp.Or(o.method, http.MethodPost)
	}
	o.method = cmp.Or(o.method, http.MethodGet)
	return nil
}

// names settles where the bodies go, and makes the directory for them.
func (o *getOptions) names() error {
	if o.out == "" {
		return nil
	}
	info, err := os.Stat(o.out)
	if len(o.urls) == 1 && !os.IsPathSeparator(o.out[len(o.out)-1]) && (err != nil || !info.IsDir()) {
		o.files = []string{o.out}
		return nil
	}
	for _, u := range o.urls {
		name := path.Base(u.Path)
		if strings.ContainsAny(name, "/\\:\x00") || !filepath.IsLocal(name) || name == "." || strings.HasSuffix(u.Path, "/") {
			name = "index"
		}
		name = filepath.Join(o.out, name)
		unique := name
		for i := 2; slices.Contains(o.files, unique); i++ {
			unique = fmt.Sprintf("%s.%d", name, i)
		}
		o.files = append(o.files, unique)
	}
	return os.MkdirAll(o.out, 0o777)
}

func get(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o getOptions
	fs := o.flags()
	switch err := o.parse(fs, args); {
	case errors.Is(err, flag.ErrHelp):
		flagUsage(fs, getHead, stdout)
		return exitOK
	case err != nil:
		return flagError(fs, err, stderr)
	}
	return o.run(ctx, os.Stdin, stdout, stderr)
}
