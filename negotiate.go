package h2c

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// An offer is what a request says about switching to HTTP/2, and the verdict on it.
type offer struct {
	reason Reason // why it is declined; empty: it is accepted
	err    error

	settings []http2.Setting     // of HTTP2-Settings
	fields   []hpack.HeaderField // the request's header, as HTTP/2 has it
}

func declined(reason Reason, err error) offer {
	return offer{reason: reason, err: err}
}

// offersH2C reports whether Upgrade lists h2c, in any case, at any place and on any line.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-7.8
func offersH2C(r *http.Request) bool {
	return httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "h2c")
}

// limits are what the HTTP/2 server behind the switch can take of a request.
type limits struct {
	body       int64 // octets
	headerList int   // as counted for SETTINGS_MAX_HEADER_LIST_SIZE
}

// negotiate judges a request that offers h2c. It does no I/O and changes nothing.
//
// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
func negotiate(r *http.Request, allow func(*http.Request) error, lim limits) offer {
	// "A server that receives an Upgrade header field in an HTTP/1.0 request MUST ignore that
	// Upgrade field." https://www.rfc-editor.org/rfc/rfc9110.html#section-7.8-14
	if !r.ProtoAtLeast(1, 1) {
		return declined(ReasonHTTPVersion, nil)
	}
	if r.TLS != nil {
		return declined(ReasonTLS, nil)
	}

	// "A server MUST NOT upgrade the connection to HTTP/2 if this header field is not
	// present or if more than one is present." The client must also name it in Connection,
	// which a proxy that forwards Upgrade blindly does not know to do.
	// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1
	connection := r.Header["Connection"]
	if !httpguts.HeaderValuesContainsToken(connection, "Upgrade") ||
		!httpguts.HeaderValuesContainsToken(connection, "HTTP2-Settings") {
		return declined(ReasonConnectionTokens, nil)
	}
	values := r.Header[headerSettings]
	if len(values) != 1 || strings.Contains(values[0], ",") {
		return declined(ReasonSettingsCount, nil)
	}
	settings, err := ParseSettings(values[0])
	if err != nil {
		return declined(ReasonSettingsMalformed, errors.Unwrap(err))
	}

	if r.Method == http.MethodConnect || r.Method == "PRI" { // which on a stream looks like a preface
		return declined(ReasonMethod, nil)
	}
	if err := unchanged(r); err != nil {
		return declined(ReasonTarget, err)
	}
	fields, err := requestFields(r)
	switch {
	case errors.Is(err, errTrailer):
		return declined(ReasonHeaderTooLarge, err)
	case err != nil:
		return declined(ReasonTarget, err)
	}
	switch {
	case r.ContentLength < 0:
		return declined(ReasonBodyUnsized, nil)
	case r.ContentLength > lim.body:
		return declined(ReasonBodyTooLarge, fmt.Errorf("%d octets, limit %d", r.ContentLength, lim.body))
	}
	if size := headerListSize(fields); size > lim.headerList {
		return declined(ReasonHeaderTooLarge, fmt.Errorf("header list of %d octets, limit %d", size, lim.headerList))
	}

	if allow == nil {
		allow = DenyForwarded
	}
	if err := allow(r); err != nil {
		if he := (*HandshakeError)(nil); errors.As(err, &he) && he != nil && he.Reason != "" {
			return declined(he.Reason, he.Err)
		}
		return declined(ReasonPolicy, err)
	}
	return offer{settings: settings, fields: fields}
}

var errChanged = errors.New("a handler before this one changed the URL, or took values from its path")

// unchanged returns an error if a handler around NewHandler has found out something of the target of r
// that h would not see on stream 1, whose target is that of the client.
func unchanged(r *http.Request) error {
	u, err := url.ParseRequestURI(r.RequestURI)
	if err != nil {
		return err
	}
	values := strings.Contains(strings.TrimSuffix(r.Pattern, "{$}"), "{")
	if values || u.EscapedPath() != r.URL.EscapedPath() || u.RawQuery != r.URL.RawQuery {
		return errChanged
	}
	return nil
}

// headerSettings is HTTP2-Settings as net/http spells it.
const headerSettings = "Http2-Settings"

// DenyForwarded refuses a request that names a proxy on its way: one with a Forwarded,
// Via or X-Forwarded-* field. It is what a [Server] asks unless AllowUpgrade is set.
//
// Upgrade is meant for the next hop alone. If a proxy passed one on, the connection would
// become a tunnel through it, past all that the proxy is there to check.
//
// The error is a [*HandshakeError] with [ReasonForwarded].
func DenyForwarded(r *http.Request) error {
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || strings.HasPrefix(name, "X-Forwarded-") {
			return &HandshakeError{Reason: ReasonForwarded, Err: errors.New("request has the field " + name)}
		}
	}
	return nil
}

// AllowAll refuses nothing. It suits a server that no proxy stands before, or whose
// proxies are known to drop Upgrade.
func AllowAll(*http.Request) error { return nil }

// removeOffer takes the offer of h2c out of r, so that a handler that forwards requests does
// not pass it on. Other protocols that Upgrade lists stay. r itself changes: net/http keeps
// the trailers in it, and the files of a form, which it removes.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-7.6.1
func removeOffer(r *http.Request) {
	r.Header = r.Header.Clone()
	r.Header.Del(headerSettings)
	removeToken(r.Header, "Connection", "HTTP2-Settings")
	if removeToken(r.Header, "Upgrade", "h2c"); len(r.Header["Upgrade"]) == 0 {
		removeToken(r.Header, "Connection", "Upgrade")
	}
}

// removeToken removes a token from a field that is a list, and the field if nothing is
// left of it.
func removeToken(h http.Header, name, token string) {
	var lines []string
	for _, line := range h[name] {
		var kept []string
		for elem := range strings.SplitSeq(line, ",") {
			if elem = strings.Trim(elem, " \t"); elem != "" && !strings.EqualFold(elem, token) {
				kept = append(kept, elem)
			}
		}
		if len(kept) > 0 {
			lines = append(lines, strings.Join(kept, ", "))
		}
	}
	if len(lines) == 0 {
		delete(h, name)
		return
	}
	h[name] = lines
}
