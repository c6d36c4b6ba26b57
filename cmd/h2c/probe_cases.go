package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

// A probeCase is a question to a server: a row of the table.
type probeCase struct {
	id, name string
	rfc      probeRFC
	post     bool // it sends a body
	always   bool // it is asked even if the server does not answer HTTP/1.1
	ask      func(context.Context, *prober) probeFinding
}

var (
	probeGoodSettings = "HTTP2-Settings: " + h2c.EncodeSettings(probeSettings...)

	// probeGoodOffer is an offer that is right.
	//
	// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
	probeGoodOffer = []string{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", probeGoodSettings}
)

const probeBody = "this is a test by h2c probe\n"

// probeLargeBody has 1 MiB.
func probeLargeBody() string {
	const size = 1 << 20
	return strings.Repeat(probeBody, size/len(probeBody)+1)[:size]
}

var (
	rfcKeepAlive      = probeRFC{9112, "9.3"}
	rfcUpgrade        = probeRFC{7540, "3.2"}
	rfcSettingsHeader = probeRFC{7540, "3.2.1"}
	rfcPriorKnowledge = probeRFC{9113, "3.3"}
	rfcSettings       = probeRFC{9113, "6.5"}
	rfcSettingsValues = probeRFC{9113, "6.5.2"}
	rfcHopByHop       = probeRFC{9110, "7.8"}
)

// probeCases returns the cases in the order in which they run and are reported. A case may
// use what the ones before it have found.
func probeCases() []probeCase {
	cases := []probeCase{
		{id: "keep-alive", name: "HTTP/1.1 keep-alive", rfc: rfcKeepAlive, ask: askKeepAlive},
		{id: "upgrade-get", name: "upgrade, GET", rfc: rfcUpgrade, ask: askUpgradeGet},
		{id: "prior-knowledge", name: "prior knowledge", rfc: rfcPriorKnowledge, always: true, ask: askPriorKnowledge},
		{id: "settings-upgrade", name: "SETTINGS after upgrade", rfc: rfcSettingsValues, always: true, ask: askSettingsUpgrade},
		{id: "settings-prior-knowledge", name: "SETTINGS by prior knowledge", rfc: rfcSettingsValues, always: true, ask: askSettingsPrior},
		{id: "upgrade-head", name: "upgrade, HEAD", rfc: rfcUpgrade, ask: askUpgrade(probeRequest{method: http.MethodHead})},
		{id: "upgrade-options", name: "upgrade, OPTIONS *", rfc: rfcUpgrade,
			ask: askUpgrade(probeRequest{method: http.MethodOptions, options: true})},
		{id: "upgrade-post", name: "upgrade, POST", rfc: rfcUpgrade, post: true,
			ask: askUpgrade(probeRequest{method: http.MethodPost, body: probeBody})},
		{id: "upgrade-post-large", name: "upgrade, POST of 1 MiB", rfc: rfcUpgrade, post: true,
			ask: askUpgrade(probeRequest{method: http.MethodPost, body: probeLargeBody()})},
		{id: "upgrade-post-chunked", name: "upgrade, POST chunked", rfc: rfcUpgrade, post: true,
			ask: askUpgrade(probeRequest{method: http.MethodPost, body: probeBody, chunked: true})},
		{id: "upgrade-second", name: "upgrade, second request", rfc: rfcUpgrade, ask: askUpgradeSecond},
	}
	for _, m := range probeMalformed {
		cases = append(cases, probeCase{id: m.id, name: m.name, rfc: m.rfc, ask: m.ask})
	}
	return append(cases,
		probeCase{id: "forwarded-x", name: "offer: with X-Forwarded-For", rfc: rfcHopByHop,
			ask: askForwarded("X-Forwarded-For: 192.0.2.1", "X-Forwarded-Proto: http")},
		probeCase{id: "forwarded-via", name: "offer: with Via", rfc: rfcHopByHop, ask: askForwarded("Via: 1.1 proxy.invalid")},
		probeCase{id: "proxy-tunnel", name: "tunnel through a proxy", rfc: rfcHopByHop, always: true, ask: askTunnel},
	)
}

// A malformedOffer is one that "a server MUST NOT upgrade", or whose settings are not valid.
type malformedOffer struct {
	id, name string
	rfc      probeRFC
	fields   []string
	blind    bool // the offer is what some proxies make of a good one
}

var (
	upgradeToken   = "Upgrade: h2c"
	bothTokens     = probeGoodOffer[:2:2]
	probeMalformed = []malformedOffer{
		{"no-connection", "offer: no Connection", rfcHopByHop, []string{upgradeToken, probeGoodSettings}, true},
		{"no-upgrade-token", "offer: Connection lacks Upgrade", rfcHopByHop,
			[]string{"Connection: HTTP2-Settings", upgradeToken, probeGoodSettings}, true},
		{"no-settings-token", "offer: Connection lacks HTTP2-Settings", rfcSettingsHeader,
			[]string{"Connection: Upgrade", upgradeToken, probeGoodSettings}, true},
		withSettings("settings-none", "offer: no HTTP2-Settings", rfcSettingsHeader),
		withSettings("settings-two", "offer: two HTTP2-Settings", rfcSettingsHeader, "AAMAAABk", "AAMAAABk"),
		withSettings("settings-list", "offer: two in one HTTP2-Settings", rfcSettingsHeader, "AAMAAABk, AAMAAABk"),
		withSettings("settings-padding", "offer: padding", rfcSettingsHeader, "AAMAAABk=="),
		withSettings("settings-space", "offer: white space inside", rfcSettingsHeader, "AAMA AABk"),
		withSettings("settings-alphabet", "offer: standard base64", rfcSettingsHeader, "++8/AABk"),
		withSettings("settings-no-base64", "offer: not base64", rfcSettingsHeader, "AAMA!ABk"),
		withSettings("settings-4-octets", "offer: payload of 4 octets", rfcSettings, "AAMAAA"),
		withSetting("enable-push-2", "offer: ENABLE_PUSH 2", http2.SettingEnablePush, 2),
		withSetting("window-size-2-31", "offer: INITIAL_WINDOW_SIZE 2^31", http2.SettingInitialWindowSize, 1<<31),
		withSetting("frame-size-16383", "offer: MAX_FRAME_SIZE 16383", http2.SettingMaxFrameSize, 1<<14-1),
		withSetting("frame-size-2-24", "offer: MAX_FRAME_SIZE 2^24", http2.SettingMaxFrameSize, 1<<24),
	}
)

func withSettings(id, name string, rfc probeRFC, values ...string) malformedOffer {
	fields := bothTokens
	for _, v := range values {
		fields = append(fields, "HTTP2-Settings: "+v)
	}
	return malformedOffer{id: id, name: name, rfc: rfc, fields: fields}
}

func withSetting(id, name string, setting http2.SettingID, value uint32) malformedOffer {
	v := h2c.EncodeSettings(http2.Setting{ID: setting, Val: value})
	return withSettings(id, name, rfcSettingsValues, v)
}

func (m malformedOffer) ask(ctx context.Context, p *prober) probeFinding {
	a := p.exchange(ctx, probeRequest{method: http.MethodGet, fields: m.fields})
	return p.judgeUnwanted(a, m.blind)
}

func askForwarded(lines ...string) func(context.Context, *prober) probeFinding {
	return func(ctx context.Context, p *prober) probeFinding {
		fields := append(lines[:len(lines):len(lines)], probeGoodOffer...)
		a := p.exchange(ctx, probeRequest{method: http.MethodGet, fields: fields})
		return p.judgeUnwanted(a, true)
	}
}

func askUpgrade(r probeRequest) func(context.Context, *prober) probeFinding {
	r.fields = probeGoodOffer
	return func(ctx context.Context, p *prober) probeFinding {
		return p.judgeUpgrade(p.exchange(ctx, r))
	}
}

// askKeepAlive makes two requests on a connection. The first is a HEAD, so that no body has
// to be read before the second.
func askKeepAlive(ctx context.Context, p *prober) probeFinding {
	c, err := p.target.dial(ctx)
	if err != nil {
		return finding(verdictNo, p.describe(err))
	}
	defer c.close()
	first := c.do(&p.target, probeRequest{method: http.MethodHead})
	if first.final == nil {
		p.silent = probeTimedOut(first.err)
		return finding(verdictNo, "HEAD: "+p.evidence(first))
	}
	p.plain = first.final
	head := p.evidence(first)
	if first.final.Close {
		p.askPlain(ctx)
		return finding(verdictNo, head+", then the connection is closed")
	}
	second := c.do(&p.target, probeRequest{method: http.MethodGet})
	if second.final == nil {
		p.askPlain(ctx)
		return finding(verdictNo, head+" for HEAD; then GET: "+p.evidence(second))
	}
	p.plain = second.final
	return finding(verdictOK, fmt.Sprintf("%s for HEAD, %d for GET", head, second.final.StatusCode))
}

// askPlain makes a GET on a connection of its own.
func (p *prober) askPlain(ctx context.Context) {
	if a := p.exchange(ctx, probeRequest{method: http.MethodGet}); a.final != nil {
		p.plain = a.final
	}
}

func askUpgradeGet(ctx context.Context, p *prober) probeFinding {
	a := p.exchange(ctx, probeRequest{method: http.MethodGet, fields: probeGoodOffer})
	p.upgrade = a
	p.mute = p.silent && probeTimedOut(a.err)
	return p.judgeUpgrade(a)
}

func askUpgradeSecond(ctx context.Context, p *prober) probeFinding {
	c, err := p.target.dial(ctx)
	if err != nil {
		return finding(verdictNo, p.describe(err))
	}
	defer c.close()
	first := c.do(&p.target, probeRequest{method: http.MethodHead})
	switch {
	case first.final == nil:
		return finding(verdictNo, "HEAD: "+p.evidence(first))
	case first.final.Close:
		return finding(verdictNo, "no keep-alive")
	}
	return p.judgeUpgrade(c.do(&p.target, probeRequest{method: http.MethodGet, fields: probeGoodOffer}))
}

func askPriorKnowledge(ctx context.Context, p *prober) probeFinding {
	c, err := p.target.dial(ctx)
	if err != nil {
		return finding(verdictNo, p.describe(err))
	}
	defer c.close()
	a := c.priorKnowledge(&p.target)
	p.prior = a
	if a.stream != nil && a.stream.err == nil {
		return finding(verdictOK, p.evidence(a))
	}
	return finding(verdictNo, p.evidence(a))
}
