package h2c

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

var (
	errTarget    = errors.New("neither origin-form, asterisk-form nor an http URI")
	errAuthority = errors.New("the host is not one")
	errTrailer   = errors.New("too many names in Trailer")
)

// requestFields returns the header of an HTTP/1.1 request as HTTP/2 has it: pseudo-header
// fields, and every end-to-end field with all of its values.
//
// https://www.rfc-editor.org/rfc/rfc7540.html#section-8.1.2
func requestFields(r *http.Request) ([]hpack.HeaderField, error) {
	path, err := requestPath(r)
	if err != nil {
		return nil, err
	}
	// net/http checks Host, and not the host of an http URI.
	if !httpguts.ValidHostHeader(r.Host) {
		return nil, errAuthority
	}
	fields := make([]hpack.HeaderField, 0, len(r.Header)+4)
	add := func(name, value string) {
		fields = append(fields, hpack.HeaderField{Name: name, Value: value})
	}
	add(":method", r.Method)
	add(":scheme", "http")
	if r.Host != "" {
		add(":authority", r.Host)
	}
	add(":path", path)

	ofConnection := connectionFields(r.Header)
	for name, values := range r.Header {
		switch name {
		case "Connection", "Upgrade", headerSettings, "Keep-Alive", "Proxy-Connection", "Transfer-Encoding":
			continue // https://www.rfc-editor.org/rfc/rfc7540.html#section-8.1.2.2
		case "Expect":
			continue // the body has been read, so it is met
		case "Content-Length":
			add("content-length", strconv.FormatInt(r.ContentLength, 10))
			continue
		case "Te":
			// "it MUST NOT contain any value other than "trailers""
			if httpguts.HeaderValuesContainsToken(values, "trailers") {
				add("te", "trailers")
			}
			continue
		case "Trailer":
			if trailerNames(values) > maxTrailerNames {
				return nil, errTrailer
			}
		}
		if ofConnection[name] {
			continue
		}
		name = strings.ToLower(name)
		for _, value := range values {
			add(name, strings.Trim(value, " \t")) // it may have been folded
		}
	}
	return fields, nil
}

// connectionFields returns the names in h that Connection lists.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-7.6.1
func connectionFields(h http.Header) map[string]bool {
	listed := make(map[string]bool)
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			name = http.CanonicalHeaderKey(strings.Trim(name, " \t"))
			if _, ok := h[name]; ok {
				listed[name] = true
			}
		}
	}
	return listed
}

// requestPath returns the :path of a request.
//
// https://www.rfc-editor.org/rfc/rfc7540.html#section-8.1.2.3
func requestPath(r *http.Request) (string, error) {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") || target == "*" {
		return target, nil
	}
	if r.URL.Scheme != "http" || r.URL.Host == "" {
		return "", errTarget
	}
	_, rest, _ := strings.Cut(target, "://")
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0 && r.Method == http.MethodOptions:
		return "*", nil
	case i < 0:
		return "/", nil
	case rest[i] == '?':
		return "/" + rest[i:], nil
	}
	return rest[i:], nil
}

// maxTrailerNames keeps a Trailer field, whose names net/http counts one by one, below
// its limit on the number of fields.
const maxTrailerNames = 100

func trailerNames(values []string) int {
	n := 0
	for _, v := range values {
		n += strings.Count(v, ",") + 1
	}
	return n
}

const fieldOverhead = 32 // octets that the size of a header list includes per field

// headerListSize counts fields the way that SETTINGS_MAX_HEADER_LIST_SIZE does.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.2
func headerListSize(fields []hpack.HeaderField) int {
	n := 0
	for _, f := range fields {
		n += int(f.Size())
		if f.Name == "trailer" {
			n += strings.Count(f.Value, ",") * fieldOverhead // net/http counts each name
		}
	}
	return n
}
