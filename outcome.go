package h2c

import (
	"net/http"
	"time"
)

// A Reason says why a connection does not speak HTTP/2, or why its handshake broke. The
// values are stable, short and snake_case: they fit a metric label.
type Reason string

// Why an offer was declined. The request was served over HTTP/1.1.
const (
	ReasonHTTPVersion       Reason = "http_version"       // an Upgrade in HTTP/1.0
	ReasonTLS               Reason = "tls"                // h2c offered over TLS
	ReasonConnectionTokens  Reason = "connection_tokens"  // Connection lacks Upgrade or HTTP2-Settings
	ReasonSettingsCount     Reason = "settings_count"     // not exactly one HTTP2-Settings field
	ReasonSettingsMalformed Reason = "settings_malformed" // HTTP2-Settings is not a SETTINGS payload
	ReasonMethod            Reason = "method"             // CONNECT, or PRI
	ReasonTarget            Reason = "request_target"     // a target that HTTP/2 cannot carry, or that a handler around NewHandler changed
	ReasonHeaderTooLarge    Reason = "header_too_large"   // fields above the HTTP/2 header list limit, or too many names in Trailer
	ReasonBodyUnsized       Reason = "body_unsized"       // a body without Content-Length
	ReasonBodyTooLarge      Reason = "body_too_large"     // a body above the limit
	ReasonBodyIncomplete    Reason = "body_incomplete"    // the body could not be read to its end, or is longer
	ReasonForwarded         Reason = "forwarded"          // see DenyForwarded
	ReasonPolicy            Reason = "policy"             // AllowUpgrade returned an error
	ReasonDisabled          Reason = "disabled"           // switched off, or shut down
	ReasonHijack            Reason = "hijack_unsupported" // the ResponseWriter cannot hand over the connection
)

// Why a handshake that had begun broke. The connection was closed.
const (
	ReasonPrefaceInvalid Reason = "preface_invalid"   // something else came than the client preface
	ReasonPrefaceTimeout Reason = "preface_timeout"   // the client preface did not come in time
	ReasonPrefaceMissing Reason = "preface_missing"   // the connection ended before the client preface
	ReasonShutdown       Reason = "shutdown"          // the server was shutting down: 503, or GOAWAY
	ReasonPriorKnowledge Reason = "prior_knowledge"   // a preface where prior knowledge is switched off
	ReasonPrefaceLate    Reason = "preface_not_first" // a preface after another request
)

// What a [Transport] finds.
const (
	ReasonRefused       Reason = "refused"        // the server answered an offer over HTTP/1.1
	ReasonRejected      Reason = "offer_rejected" // an offer was answered by 400, 413, 5xx, a close or silence, or nothing came after its 101
	ReasonSwitchInvalid Reason = "switch_invalid" // a 101 that was not asked for, or not to h2c
	ReasonHTTP1Only     Reason = "http1_only"     // prior knowledge answered in HTTP/1
	ReasonHTTP2Only     Reason = "http2_only"     // HTTP/1.1 answered in HTTP/2
	ReasonNoAnswer      Reason = "no_answer"      // prior knowledge answered by a close, or not in time
)

// A HandshakeError is a negotiation that did not end in HTTP/2.
type HandshakeError struct {
	Reason Reason
	Err    error // may be nil
}

func (e *HandshakeError) Error() string {
	if e.Err == nil {
		return "h2c: " + string(e.Reason)
	}
	return "h2c: " + string(e.Reason) + ": " + e.Err.Error()
}

func (e *HandshakeError) Unwrap() error { return e.Err }

// Timeout reports whether the other end did not answer in time.
func (e *HandshakeError) Timeout() bool { return isTimeout(e.Err) }

// Via says how the protocol of a connection was settled.
type Via string

const (
	ViaHTTP1 Via = "http/1.1" // it speaks HTTP/1.1
	// HTTP/2, by Upgrade: https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
	ViaUpgrade Via = "upgrade"
	// HTTP/2 from the first octet: https://www.rfc-editor.org/rfc/rfc9113.html#section-3.3
	ViaPriorKnowledge Via = "prior-knowledge"
)

// RequestVia reports how the protocol of the connection of r was settled, where r is a
// request that a server of this package passed to a handler. It is empty for HTTP/2 over
// TLS.
func RequestVia(r *http.Request) Via {
	switch h, ok := r.Context().Value(handoffKey{}).(*handoff); {
	case ok:
		return h.via
	case r.ProtoMajor < 2:
		return ViaHTTP1
	case r.TLS == nil:
		return ViaPriorKnowledge
	}
	return ""
}

// A Negotiation is the outcome of one offer of HTTP/2.
type Negotiation struct {
	// Via is what the connection speaks from here on. With a Reason, ViaHTTP1 means that
	// the offer was declined, and any other that the handshake broke and the connection
	// is closed.
	Via    Via
	Reason Reason // empty if the connection speaks HTTP/2
	Err    error  // details, where there are any

	RemoteAddr string // of the client; for a Transport, the host and port of the server
}

// ConnInfo tells of an HTTP/2 connection that has ended.
type ConnInfo struct {
	Via    Via
	Reason Reason // empty unless the handshake broke
	Err    error

	RemoteAddr string // of the other end

	Duration time.Duration // since the negotiation
	// Octets received and sent since the negotiation. Zero for a connection that the server
	// of net/http took by prior knowledge.
	BytesRead, BytesWritten int64
}

// Trace holds functions that are called as things happen. Any of them, and the Trace
// itself, may be nil. They are called in the course of serving, so they should return soon,
// and may be called by several goroutines at once. They must not call methods that end or
// change a server or a Transport, which may be waiting for them.
type Trace struct {
	// Negotiated is called when an offer was accepted, declined or broken off.
	Negotiated func(Negotiation)
	// Closed is called when a connection that spoke HTTP/2 is closed.
	Closed func(ConnInfo)
}

func (t *Trace) negotiated(n Negotiation) {
	if t != nil && t.Negotiated != nil {
		t.Negotiated(n)
	}
}

func (t *Trace) closed(i ConnInfo) {
	if t != nil && t.Closed != nil {
		t.Closed(i)
	}
}
