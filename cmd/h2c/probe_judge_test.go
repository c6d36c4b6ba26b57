package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/seed78dc1b7f/h2c"
	"golang.org/x/net/http2"
)

func TestProbeJudgeTunnel(t *testing.T) {
	fields := func(lines string) http.Header {
		h := make(http.Header)
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, ": "); ok {
				h.Add(name, value)
			}
		}
		return h
	}
	tests := map[string]struct {
		plain, switched, stream string // plain "none": no answer over HTTP/1.1
		want                    string // verdict and beginning of the evidence
	}{
		"nothing":             {"", "", "", "ok no proxy shows"},
		"same server":         {"Server: x", "", "Server: x", "ok no proxy shows"},
		"other server":        {"Server: nginx", "", "Server: x", `risk over HTTP/1.1 but not on stream 1: Server "nginx", then "x": the connection is a tunnel`},
		"server lost":         {"Server: nginx", "", "", `risk over HTTP/1.1 but not on stream 1: Server "nginx", then ""`},
		"Via lost":            {"Via: 1.1 p", "", "", `risk over HTTP/1.1 but not on stream 1: Via: "1.1 p":`},
		"Via of the 101 lost": {"", "Via: 1.1 p", "", "risk "},
		"101 alone":           {"none", "Via: 1.1 p", "", "risk "},
		"nothing to compare":  {"none", "", "Via: 2 p", "note not known"},
		"Via of another hop":  {"Via: 1.1 p", "", "Via: 2 P", "ok both answers have Via"},
		"one Via of two lost": {"Via: 1.0 in, 1.1 out (x)", "", "Via: 1.0 in", "risk "},
		"two lines of Via":    {"Via: 1.0 in\nVia: 1.1 out", "", "Via: 1.1 out, 1.0 in", "ok both answers have Via"},
		"cache":               {"X-Cache: HIT", "", "X-Cache: MISS", "ok both answers have X-Cache"},
		"cache lost":          {"X-Cache: HIT", "", "", "risk "},
		"on stream 1 alone":   {"", "", "X-Cache: MISS", "ok both"},
	}
	for name, test := range tests {
		var plain *http.Response
		if test.plain != "none" {
			plain = &http.Response{StatusCode: 200, Header: fields(test.plain)}
		}
		f := judgeTunnel(plain, fields(test.switched), fields(test.stream))
		if got := string(f.verdict) + " " + f.evidence; !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		if (f.fix != "") != (f.verdict == verdictRisk) {
			t.Errorf("%s: %s with fix %q", name, f.verdict, f.fix)
		}
	}
}

func TestProbeJudgeSettings(t *testing.T) {
	answer := func(settings map[http2.SettingID]uint32) *probeAnswer {
		return &probeAnswer{stream: &probeStream{settings: settings}}
	}
	many := make(map[http2.SettingID]uint32)
	for id := range http2.SettingID(1000) {
		many[0x1000+id] = 1
	}
	type m = map[http2.SettingID]uint32
	tests := map[string]struct {
		settings, other m
		want            string
	}{
		"none":      {nil, m{3: 1}, "no not known: nothing came on stream 1"},
		"empty":     {m{}, nil, "ok an empty SETTINGS frame"},
		"same":      {m{3: 1, 4: 2}, m{4: 2, 3: 1}, "ok MAX_CONCURRENT_STREAMS 1, INITIAL_WINDOW_SIZE 2"},
		"different": {m{3: 1, 4: 2}, m{3: 1, 4: 3, 5: 4}, "note MAX_CONCURRENT_STREAMS 1, INITIAL_WINDOW_SIZE 2; after upgrade it differs in INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE"},
		"many":      {many, m{}, "note "},
	}
	for name, test := range tests {
		f := new(prober).judgeSettings(answer(test.settings), answer(test.other))
		if got := string(f.verdict) + " " + f.evidence; got != test.want && name != "many" || !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
		wantProbePrintable(t, f.evidence)
	}
}

// A proxy that adds nothing shows by SETTINGS that are not those of what is behind it.
func TestProbeTunnelBySettings(t *testing.T) {
	header := make(http.Header)
	for value, want := range map[uint32]probeVerdict{100: verdictOK, 250: verdictNote} {
		p := &prober{
			plain:   &http.Response{Header: header},
			upgrade: &probeAnswer{switched: &http.Response{Header: header}, stream: &probeStream{settings: map[http2.SettingID]uint32{3: 100}, header: header}},
			prior:   &probeAnswer{stream: &probeStream{settings: map[http2.SettingID]uint32{3: value}}},
		}
		if f := askTunnel(t.Context(), p); f.verdict != want {
			t.Errorf("%d: %s %q", value, f.verdict, f.evidence)
		}
	}
}

// U-04, U-05, U-06, U-07: every offer that is meant to be malformed is one; the good one is
// good.
func TestProbeOffers(t *testing.T) {
	if !goodOfferFields(probeGoodOffer) {
		t.Error("the good offer is none")
	}
	for _, m := range probeMalformed {
		if goodOfferFields(m.fields) {
			t.Errorf("%s is a good offer: %q", m.id, m.fields)
		}
	}
}

// goodOfferFields tells with the library whether an offer is right.
func goodOfferFields(lines []string) bool {
	h := make(http.Header)
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(name, value)
	}
	_, err := h2c.ParseSettings(h.Get("HTTP2-Settings"))
	return h.Get("Connection") == "Upgrade, HTTP2-Settings" && h.Get("Upgrade") == "h2c" &&
		len(h["Http2-Settings"]) == 1 && err == nil
}
