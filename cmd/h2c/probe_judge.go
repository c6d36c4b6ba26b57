package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

type probeVerdict string

const (
	verdictOK   probeVerdict = "ok"
	verdictNo   probeVerdict = "no"
	verdictNote probeVerdict = "note"
	verdictRisk probeVerdict = "risk"
)

// probeFix is what to do about a risk.
const probeFix = "strip Upgrade and HTTP2-Settings at the proxy (HAProxy: http-request del-header upgrade, " +
	"and del-header http2-settings; nginx: do not pass $http_connection, and $http_upgrade for websockets alone), " +
	"or let the server refuse such offers (with this library: AllowUpgrade or DisableUpgrade)"

// A probeFinding is the answer to the question of a probeCase.
type probeFinding struct {
	verdict  probeVerdict
	evidence string
	fix      string
}

func finding(v probeVerdict, evidence string) probeFinding {
	f := probeFinding{verdict: v, evidence: evidence}
	if v == verdictRisk {
		f.fix = probeFix
	}
	return f
}

// A prober asks one server, and keeps what later questions need.
type prober struct {
	target  probeTarget
	plain   *http.Response // to a GET over HTTP/1.1, or at least a HEAD; nil: none
	upgrade *probeAnswer   // to a good offer
	prior   *probeAnswer   // to prior knowledge
	silent  bool           // nothing came in time for a plain request
	mute    bool           // nor for an offer
}

// exchange makes a request on a connection of its own.
func (p *prober) exchange(ctx context.Context, r probeRequest) *probeAnswer {
	c, err := p.target.dial(ctx)
	if err != nil {
		return &probeAnswer{err: err}
	}
	defer c.close()
	return c.do(&p.target, r)
}

// judgeUpgrade judges the answer to an offer that is right.
func (p *prober) judgeUpgrade(a *probeAnswer) probeFinding {
	evidence := p.evidence(a)
	switch {
	case a.final != nil && a.final.StatusCode < 400:
		return finding(verdictNo, probeDeclined(a, evidence))
	case !a.upgraded() || a.stream.err != nil:
		return finding(verdictNo, evidence)
	case !probeNamesH2C(a.switched):
		return finding(verdictNote, evidence+"; the 101 lacks Upgrade: h2c")
	case a.stream.data:
		return finding(verdictNote, evidence+"; DATA in the answer to HEAD")
	}
	return finding(verdictOK, evidence)
}

// probeDeclined words the evidence that an offer was answered as the HTTP/1.1 request it also is.
func probeDeclined(a *probeAnswer, evidence string) string {
	if a.final.Close {
		evidence += ", connection closed"
	}
	return "declined: " + evidence
}

// judgeUnwanted judges the answer to an offer that a server should not accept. If blind,
// the offer is such as comes through proxies that do not know about it.
func (p *prober) judgeUnwanted(a *probeAnswer, blind bool) probeFinding {
	evidence := p.evidence(a)
	switch {
	case a.upgraded() && blind:
		return finding(verdictRisk, evidence+"; through a proxy that passes this on, a tunnel")
	case a.upgraded():
		return finding(verdictNote, evidence)
	case a.final == nil:
		return finding(verdictNo, evidence)
	case a.final.StatusCode < 400:
		return finding(verdictOK, probeDeclined(a, evidence))
	case p.plain == nil:
		return finding(verdictNo, evidence)
	case a.final.StatusCode == p.plain.StatusCode:
		return finding(verdictOK, probeDeclined(a, evidence+", as without the offer"))
	}
	return finding(verdictNo, fmt.Sprintf("%s, without the offer %d", evidence, p.plain.StatusCode))
}

func askSettingsUpgrade(_ context.Context, p *prober) probeFinding {
	return p.judgeSettings(p.upgrade, nil)
}

func askSettingsPrior(_ context.Context, p *prober) probeFinding {
	return p.judgeSettings(p.prior, p.upgrade)
}

// judgeSettings tells of the SETTINGS of a, and whether they differ from those of other.
func (p *prober) judgeSettings(a, other *probeAnswer) probeFinding {
	settings := a.settings()
	if settings == nil {
		return finding(verdictNo, "not known: nothing came on stream 1")
	}
	list := probeListSettings(settings)
	differ := probeDiffer(settings, other.settings())
	if len(differ) == 0 {
		return finding(verdictOK, list)
	}
	more := ""
	if n := len(differ) - probeMaxListed; n > 0 {
		differ, more = differ[:probeMaxListed], fmt.Sprintf(" and %d more", n)
	}
	return finding(verdictNote, fmt.Sprintf("%s; after upgrade it differs in %s%s", list, strings.Join(differ, ", "), more))
}

// evidence says what came back.
func (p *prober) evidence(a *probeAnswer) string {
	var text string
	switch {
	case a.final != nil:
		text = fmt.Sprintf("HTTP/%d.%d %d", a.final.ProtoMajor, a.final.ProtoMinor, a.final.StatusCode)
	case a.stream == nil:
		text = p.describe(a.err)
	case a.stream.err != nil:
		text = p.describe(a.stream.err)
	default:
		text = fmt.Sprintf("%d on stream 1", a.stream.status)
	}
	if a.upgraded() {
		text = "101, then " + text
	}
	return text
}

// describe says what went wrong, in words that do not depend on addresses or systems.
func (p *prober) describe(err error) string {
	var op *net.OpError
	var notHTTP errProbeNotHTTP
	var h2 probeError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no answer within %v", p.target.timeout)
	case errors.As(err, &notHTTP), errors.As(err, &h2), errors.Is(err, errProbeTooLong),
		errors.Is(err, errProbeHTTP2), errors.Is(err, errProbeInterim), errors.Is(err, errProbeNotH2C):
		return err.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "closed" // which of them it is may be chance
	case errors.As(err, &op) && op.Op == "dial":
		return "cannot connect: " + probeQuote(op.Err.Error())
	}
	return "not HTTP: " + probeQuote(err.Error())
}

func probeTimedOut(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// probeQuote quotes what a peer has sent, and shortens it.
func probeQuote(s string) string {
	const limit = 60
	if len(s) > limit {
		return strconv.QuoteToASCII(s[:limit]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// probeProxyFields are fields by which proxies and caches name themselves.
var probeProxyFields = []string{
	"Via", "X-Cache", "X-Cache-Hits", "X-Cache-Status", "X-Served-By", "X-Varnish", "X-Proxy-Cache",
	"X-Amz-Cf-Id", "X-Envoy-Upstream-Service-Time", "Cf-Ray", "X-Azure-Ref", "X-Forwarded-For",
}

// askTunnel compares the answers by HTTP/1.1 and on stream 1. Where a proxy passes the
// connection on after a 101, it adds nothing any more.
func askTunnel(_ context.Context, p *prober) probeFinding {
	switch {
	case p.upgrade == nil || !p.upgrade.upgraded():
		return finding(verdictOK, "no upgrade")
	case p.upgrade.stream.err != nil:
		return finding(verdictNote, "not known: nothing came on stream 1")
	}
	f := judgeTunnel(p.plain, p.upgrade.switched.Header, p.upgrade.stream.header)
	if f.verdict == verdictOK && len(probeDiffer(p.prior.settings(), p.upgrade.settings())) > 0 {
		return finding(verdictNote, f.evidence+"; but SETTINGS differ: perhaps the proxy takes prior knowledge, and what is behind it the upgrade")
	}
	return f
}

func judgeTunnel(plain *http.Response, switched, stream http.Header) probeFinding {
	var lost, kept []string
	before := switched
	if plain != nil {
		before = plain.Header
	}
	for _, name := range probeProxyFields {
		in := slices.Concat(switched[name], before[name])
		switch out := stream[name]; {
		case len(in) == 0 && len(out) == 0:
		case len(in) > 0 && (len(out) == 0 || name == "Via" && !viaWithin(in, out)):
			lost = append(lost, name+": "+probeQuote(strings.Join(in[:1], "")))
		default:
			kept = append(kept, name)
		}
	}
	if plain != nil {
		http1, http2 := plain.Header.Get("Server"), stream.Get("Server")
		if http1 != http2 {
			lost = append(lost, fmt.Sprintf("Server %s, then %s", probeQuote(http1), probeQuote(http2)))
		}
	}
	switch {
	case len(lost) > 0:
		return finding(verdictRisk, "over HTTP/1.1 but not on stream 1: "+strings.Join(lost, ", ")+
			": the connection is a tunnel past the proxy")
	case plain == nil:
		return finding(verdictNote, "not known: no answer over HTTP/1.1 to compare with")
	case len(kept) > 0:
		return finding(verdictOK, "both answers have "+strings.Join(kept, ", "))
	}
	return finding(verdictOK, "no proxy shows; one that adds no field cannot")
}

// viaWithin reports whether all that names itself in some Via fields does so in others.
// The protocol before the name may differ: it is that of the hop.
//
// https://www.rfc-editor.org/rfc/rfc9110.html#section-7.6.3
func viaWithin(names, others []string) bool {
	have := make(map[string]bool)
	for _, name := range viaNames(others) {
		have[name] = true
	}
	return !slices.ContainsFunc(viaNames(names), func(name string) bool { return !have[name] })
}

func viaNames(values []string) (names []string) {
	for elem := range strings.SplitSeq(strings.Join(values, ","), ",") {
		if words := strings.Fields(elem); len(words) > 1 {
			names = append(names, strings.ToLower(words[1]))
		}
	}
	return names
}
