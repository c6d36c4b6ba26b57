package h2c

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/net/http2"
)

const (
	settingLen = 6 // octets of one setting: identifier 2, value 4

	// maxSettings bounds what one HTTP2-Settings field may carry. RFC 9113 and its
	// extensions define nine identifiers, so 32 leaves room for grease.
	maxSettings = 32
)

// ParseSettings decodes the value of an HTTP2-Settings header field: the payload of a
// SETTINGS frame in base64url without padding. An empty value is valid and holds no
// settings. Settings come back in the order in which they stand, unknown identifiers
// and repetitions included.
//
// It is strict, because what it accepts is put in force: padding, white space, another
// alphabet, trailing bits that are not zero, a payload that is no multiple of six octets,
// more than 32 settings, and values outside the ranges of RFC 9113, RFC 8441 and
// RFC 9218 are errors. Every error is a [*HandshakeError] with [ReasonSettingsMalformed].
//
// See https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1
// and https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.2.
func ParseSettings(value string) ([]http2.Setting, error) {
	settings, err := parseSettings(value)
	if err != nil {
		return nil, &HandshakeError{Reason: ReasonSettingsMalformed, Err: err}
	}
	return settings, nil
}

func parseSettings(value string) ([]http2.Setting, error) {
	if len(value) > base64.RawURLEncoding.EncodedLen(maxSettings*settingLen) {
		return nil, fmt.Errorf("more than %d settings", maxSettings)
	}
	for i := range len(value) {
		// The decoder skips line breaks, even when strict.
		if value[i] == '\n' || value[i] == '\r' {
			return nil, base64.CorruptInputError(i)
		}
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(value)
	if err != nil {
		return nil, err
	}
	if len(payload)%settingLen != 0 {
		return nil, fmt.Errorf("payload of %d octets is not a multiple of %d", len(payload), settingLen)
	}
	var settings []http2.Setting
	for ; len(payload) > 0; payload = payload[settingLen:] {
		s := http2.Setting{
			ID:  http2.SettingID(binary.BigEndian.Uint16(payload)),
			Val: binary.BigEndian.Uint32(payload[2:]),
		}
		if err := validSetting(s); err != nil {
			return nil, err
		}
		settings = append(settings, s)
	}
	return settings, nil
}

var errNoPriorities = errors.New("SETTINGS_NO_RFC7540_PRIORITIES must be 0 or 1")

func validSetting(s http2.Setting) error {
	// "Any value other than 0 or 1 MUST be treated as a connection error"
	// https://www.rfc-editor.org/rfc/rfc9218.html#section-2.1
	if s.ID == http2.SettingNoRFC7540Priorities && s.Val > 1 {
		return errNoPriorities
	}
	if err := s.Valid(); err != nil {
		return fmt.Errorf("%v: %w", s, err)
	}
	return nil
}

// EncodeSettings returns the value of an HTTP2-Settings header field that holds the
// settings in the order given. It is the inverse of [ParseSettings] and does not check
// the values: what it makes of a setting out of range, ParseSettings refuses.
//
// See https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2.1.
func EncodeSettings(settings ...http2.Setting) string {
	payload := make([]byte, 0, len(settings)*settingLen)
	for _, s := range settings {
		payload = binary.BigEndian.AppendUint16(payload, uint16(s.ID))
		payload = binary.BigEndian.AppendUint32(payload, s.Val)
	}
	return base64.RawURLEncoding.EncodeToString(payload)
}
