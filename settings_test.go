package h2c

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
)

func TestParseSettings(t *testing.T) {
	for value, want := range map[string][]http2.Setting{
		"":                         nil,
		"AAMAAABkAAQCAAAAAAIAAAAA": {{ID: http2.SettingMaxConcurrentStreams, Val: 100}, {ID: http2.SettingInitialWindowSize, Val: 1 << 25}, {ID: http2.SettingEnablePush, Val: 0}},
		"AAMAAABkAAMAAABl":         {{ID: http2.SettingMaxConcurrentStreams, Val: 100}, {ID: http2.SettingMaxConcurrentStreams, Val: 101}},
		"________":                 {{ID: 0xffff, Val: 0xffffffff}},
	} {
		got, err := ParseSettings(value)
		if err != nil {
			t.Errorf("%q: %v", value, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got)\n%s", value, diff)
		}
		if again := EncodeSettings(got...); again != value {
			t.Errorf("%q encodes as %q", value, again)
		}
	}
}

// U-06 and U-07: what a strict reader refuses. The vectors hold more.
func TestParseSettingsStrict(t *testing.T) {
	for _, value := range []string{
		"A", "AA", "AAA", "AAAA", "AAAAAA", "AAAAAAA", "AAMAAABkAA",
		"AAMAAABk=", "AAMAAABk\n", "\nAAMAAABk", "AAMA\r\nAABk", "AAMA AABk", "AAMAAABk\t", "AAMA\x00ABk", "AAMAAABé",
	} {
		settings, err := ParseSettings(value)
		var he *HandshakeError
		if !errors.As(err, &he) || he.Reason != ReasonSettingsMalformed || settings != nil {
			t.Errorf("%q: %v, %v", value, settings, err)
		}
	}
	var corrupt base64.CorruptInputError
	if _, err := ParseSettings("AAMA\nAABk"); !errors.As(err, &corrupt) {
		t.Errorf("%v does not unwrap to the cause", err)
	}
}

// S-06: any octets at all.
func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{"", "AAMAAABkAAQCAAAAAAIAAAAA", "AAMA\nAABk", "AAMAAABk=", "AAMAAB", "________"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		settings, err := ParseSettings(value)
		if err != nil {
			if settings != nil {
				t.Errorf("settings %v with error %v", settings, err)
			}
			return
		}
		if again := EncodeSettings(settings...); again != value {
			t.Errorf("%q encodes as %q", value, again)
		}
		if len(settings) > maxSettings {
			t.Errorf("%d settings", len(settings))
		}
	})
}

func FuzzEncodeSettings(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x00\x00\x64"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		var settings []http2.Setting
		valid := len(payload) < (maxSettings+1)*settingLen
		for ; len(payload) >= settingLen; payload = payload[settingLen:] {
			s := http2.Setting{ID: http2.SettingID(binary.BigEndian.Uint16(payload)), Val: binary.BigEndian.Uint32(payload[2:])}
			settings = append(settings, s)
			valid = valid && validSetting(s) == nil
		}
		got, err := ParseSettings(EncodeSettings(settings...))
		if (err == nil) != valid {
			t.Fatalf("%v: %v, want valid = %v", settings, err, valid)
		}
		if diff := cmp.Diff(settings, got); err == nil && diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}
