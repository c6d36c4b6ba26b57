package engine

import (
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// commonNames are the names of fields that most requests and responses have, in lower case and
// as http.Header has them.
var commonNames = sync.OnceValues(func() (canonical, lower map[string]string) {
	canonical, lower = make(map[string]string), make(map[string]string)
	for _, name := range []string{
		"accept", "accept-charset", "accept-encoding", "accept-language", "accept-ranges", "access-control-allow-credentials",
		"access-control-allow-headers", "access-control-allow-methods", "access-control-allow-origin", "age", "allow", "authorization",
		"cache-control", "content-disposition", "content-encoding", "content-language", "content-length", "content-location",
		"content-range", "content-security-policy", "content-type", "cookie", "date", "etag", "expect", "expires", "forwarded", "from",
		"grpc-encoding", "grpc-message", "grpc-status", "grpc-timeout", "host", "if-match", "if-modified-since", "if-none-match",
		"if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "origin", "pragma", "priority",
		"proxy-authenticate", "proxy-authorization", "range", "referer", "refresh", "retry-after", "sec-fetch-dest", "sec-fetch-mode",
		"sec-fetch-site", "server", "set-cookie", "strict-transport-security", "te", "trailer", "traceparent", "tracestate",
		"user-agent", "vary", "via", "www-authenticate", "x-content-type-options", "x-forwarded-for", "x-forwarded-proto",
		"x-request-id",
	} {
		c := http.CanonicalHeaderKey(name)
		canonical[name], lower[c] = c, name
	}
	return canonical, lower
})

// canonicalName returns a name, in lower case, as http.Header has it.
func (h *headerBlock) canonicalName(name string) string {
	common, _ := commonNames()
	if c, ok := common[name]; ok {
		return c
	}
	if c, ok := h.canonical[name]; ok {
		return c
	}
	c := textproto.CanonicalMIMEHeaderKey(name)
	if len(h.canonical) < maxCanonical && len(name) <= maxKeptFields {
		if h.canonical == nil {
			h.canonical = make(map[string]string)
		}
		h.canonical[name] = c
	}
	return c
}

// header returns the regular fields.
func (h *headerBlock) header() http.Header {
	header := make(http.Header, len(h.fields))
	values := make([]string, len(h.fields))
	for _, f := range h.fields {
		name := h.canonicalName(f.Name)
		if have, ok := header[name]; ok {
			header[name] = append(have, f.Value)
			continue
		}
		v := values[:1:1]
		v[0] = f.Value
		header[name] = v
		values = values[1:]
	}
	if cookies := header["Cookie"]; len(cookies) > 1 {
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.2.3
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	return header
}

// request fills in the request of a stream.
func (h *headerBlock) request(st *stream) error {
	header := h.header()
	method, target := h.pseudo[pseudoMethod], h.pseudo[pseudoPath]
	authority := h.pseudo[pseudoAuthority]
	if h.special {
		// :authority goes before Host, as in net/http:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.3.1-2.3.1
		if hosts, ok := header["Host"]; ok {
			if authority == "" {
				if authority = hosts[0]; !httpguts.ValidHostHeader(authority) {
					return streamError{h.stream, http2.ErrCodeProtocol, "host"}
				}
			}
			delete(header, "Host")
		}
	}
	r := http.Request{
		Method: method, Host: authority, RequestURI: target, URL: &st.url,
		Proto: "HTTP/2.0", ProtoMajor: 2,
		Header: header, Body: http.NoBody,
		RemoteAddr: h.c.remote, TLS: h.c.TLS,
	}
	st.declared = -1
	switch {
	case h.tooMuch:
	case method == http.MethodConnect && !h.has[pseudoProtocol]:
		st.url.Host = authority
		r.RequestURI = authority // as net/http has it
	case h.has[pseudoProtocol]:
		header[":protocol"] = []string{h.pseudo[pseudoProtocol]}
		fallthrough
	default:
		if err := parseTarget(&st.url, target); err != nil {
			return streamError{h.stream, http2.ErrCodeProtocol, "path"}
		}
	}
	if h.special {
		if v, ok := header["Expect"]; ok && httpguts.HeaderValuesContainsToken(v, "100-continue") {
			st.expects = true
			delete(header, "Expect") // as net/http does
		}
		if v, ok := header["Trailer"]; ok {
			h.declareTrailers(&r, v)
		}
		if v, ok := header["Priority"]; ok {
			st.priority = parsePriority(v[0])
		}
	}
	err := h.length(st, &r)
	st.req = r.WithContext(&st.ctx)
	return err
}

// parseTarget is url.ParseRequestURI, which is not needed for a plain path.
func parseTarget(u *url.URL, target string) error {
	path, query, found := strings.Cut(target, "?")
	if isPlain(path, query) {
		u.Path, u.RawQuery, u.ForceQuery = path, query, found && query == ""
		return nil
	}
	parsed, err := url.ParseRequestURI(target)
	if err == nil {
		*u = *parsed
	}
	return err
}

// isPlain reports whether path and query stand for themselves.
func isPlain(path, query string) bool {
	if strings.HasPrefix(path, "//") {
		return false
	}
	for i := range len(path) {
		if c := path[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '/' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	for i := range len(query) {
		if c := query[i]; c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}

// length checks Content-Length.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.1.1-2
func (h *headerBlock) length(st *stream, r *http.Request) error {
	if v := r.Header["Content-Length"]; h.special && len(v) > 0 {
		n, err := strconv.ParseUint(v[0], 10, 63)
		if err != nil {
			return streamError{h.stream, http2.ErrCodeProtocol, "content_length"}
		}
		for _, other := range v[1:] {
			if other != v[0] {
				return streamError{h.stream, http2.ErrCodeProtocol, "content_length"}
			}
		}
		r.Header["Content-Length"] = v[:1]
		st.declared = int64(n)
	}
	switch {
	case !h.end:
		r.ContentLength = st.declared
	case st.declared > 0:
		return streamError{h.stream, http2.ErrCodeProtocol, "content_length_body"}
	}
	return nil
}
