package engine

import (
	"encoding/binary"
	"os"
	"strings"

	"golang.org/x/net/http2"
)

// maxControl bounds the payload of frames that are taken as a whole, in octets.
const maxControl = 16 << 10

// readFrame reads a frame and does what it says.
func (c *conn) readFrame(first bool) error {
	if c.data.open {
		return c.takeData()
	}
	b, err := c.in.needNext(headerLen)
	if err != nil {
		return err
	}
	f := parseHeader(b)
	c.in.skip(headerLen)
	if f.length > c.lim.maxFrame {
		return connError{http2.ErrCodeFrameSize, "frame_too_large"}
	}
	if first && (f.kind != http2.FrameSettings || f.flags.Has(http2.FlagSettingsAck)) {
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4-4
		return connError{http2.ErrCodeProtocol, "first_settings"}
	}
	if c.block.open && (f.kind != http2.FrameContinuation || f.stream != c.block.stream) {
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.10-5.2.2
		return connError{http2.ErrCodeProtocol, "continuation_missing"}
	}
	switch f.kind {
	case http2.FrameData:
		if err := c.recvData(f); err != nil {
			return err
		}
		return c.takeData()
	case http2.FrameHeaders:
		return c.recvHeaders(f)
	case http2.FrameContinuation:
		return c.recvContinuation(f)
	}
	if err := c.flood.count(f); err != nil {
		return err
	}
	var take func(frameHeader, []byte) error
	switch f.kind {
	case http2.FrameSettings:
		take = c.recvSettings
	case http2.FramePing:
		take = c.recvPing
	case http2.FrameWindowUpdate:
		take = c.recvWindowUpdate
	case http2.FrameRSTStream:
		take = c.recvReset
	case http2.FrameGoAway:
		take = c.recvGoAway
	case http2.FramePriority:
		take = c.recvPriority
	case http2.FramePriorityUpdate:
		take = c.recvPriorityUpdate
	case http2.FramePushPromise:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-8.4-10
		return connError{http2.ErrCodeProtocol, "push_promise"}
	default:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-4.1-4.4.1
		return c.discard(f.length)
	}
	if f.length > maxControl {
		return connError{http2.ErrCodeEnhanceYourCalm, "control_too_large"}
	}
	payload, err := c.in.need(f.length)
	if err != nil {
		return err
	}
	err = take(f, payload[:f.length])
	c.in.skip(f.length)
	return err
}

// discard drops n octets of payload.
func (c *conn) discard(n int) error {
	for n > 0 {
		b, err := c.in.part(n)
		if err != nil {
			return err
		}
		n -= len(b)
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5
func (c *conn) recvSettings(f frameHeader, p []byte) error {
	switch {
	case f.stream != 0:
		return connError{http2.ErrCodeProtocol, "settings_stream"}
	case f.flags.Has(http2.FlagSettingsAck):
		if f.length != 0 {
			return connError{http2.ErrCodeFrameSize, "settings_ack_length"}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.unacked == 0 {
			return connError{http2.ErrCodeProtocol, "settings_ack_unasked"}
		}
		c.unacked--
		if n := c.lim.decoderTable; n < defaultTable {
			// Up to now the client may have had the default in mind.
			// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.3-2
			c.block.decoder().SetAllowedMaxDynamicTableSize(n)
		}
		return nil
	case f.length%6 != 0:
		return connError{http2.ErrCodeFrameSize, "settings_length"}
	}
	c.mu.Lock()
	before := c.peer.initialWindow
	most := before // that it is meanwhile
	for ; len(p) > 0; p = p[6:] {
		// In the order in which they stand:
		// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.3-2
		if err := c.setting(http2.SettingID(binary.BigEndian.Uint16(p)), binary.BigEndian.Uint32(p[2:])); err != nil {
			c.mu.Unlock()
			return err
		}
		most = max(most, c.peer.initialWindow)
	}
	if err := c.changeWindows(most-before, c.peer.initialWindow-before); err != nil {
		c.mu.Unlock()
		return err
	}
	c.out.buf = appendSettingsAck(c.out.buf)
	c.out.wakeNext()
	return c.control()
}

// setting puts a setting of the client into force. mu is held.
func (c *conn) setting(id http2.SettingID, value uint32) error {
	switch id {
	case http2.SettingHeaderTableSize:
		c.out.setTableSize(min(value, c.lim.encoderTable))
	case http2.SettingEnablePush:
		if value > 1 {
			return connError{http2.ErrCodeProtocol, "settings_push"}
		}
	case http2.SettingInitialWindowSize:
		if value > 1<<31-1 {
			return connError{http2.ErrCodeFlowControl, "settings_window"}
		}
		c.peer.initialWindow = int64(value)
	case http2.SettingMaxFrameSize:
		if value < minMaxFrame || value > maxMaxFrame {
			return connError{http2.ErrCodeProtocol, "settings_frame"}
		}
		c.peer.maxFrame = int(value)
	case http2.SettingEnableConnectProtocol:
		if value > 1 {
			return connError{http2.ErrCodeProtocol, "settings_connect"}
		}
	case http2.SettingNoRFC7540Priorities:
		if value > 1 {
			return connError{http2.ErrCodeProtocol, "settings_priorities"}
		}
	}
	return nil
}

// changeWindows has the windows of all streams change by n octets, and by most meanwhile. mu is held.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2-3
func (c *conn) changeWindows(most, n int64) error {
	if most == 0 && n == 0 {
		return nil
	}
	for _, st := range c.streams {
		if st.window+most > 1<<31-1 {
			return connError{http2.ErrCodeFlowControl, "settings_window_overflow"}
		}
		st.window += n
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.7
func (c *conn) recvPing(f frameHeader, p []byte) error {
	switch {
	case f.stream != 0:
		return connError{http2.ErrCodeProtocol, "ping_stream"}
	case f.length != 8:
		return connError{http2.ErrCodeFrameSize, "ping_length"}
	}
	c.mu.Lock()
	if err := c.countEarned(); err != nil {
		c.mu.Unlock()
		return err
	}
	if f.flags.Has(http2.FlagPingAck) {
		c.mu.Unlock()
		c.pong([8]byte(p))
		return nil
	}
	c.out.buf = appendPing(c.out.buf, true, [8]byte(p))
	return c.control()
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9
func (c *conn) recvWindowUpdate(f frameHeader, p []byte) error {
	if f.length != 4 {
		return connError{http2.ErrCodeFrameSize, "window_update_length"}
	}
	increment := int64(binary.BigEndian.Uint32(p) &^ (1 << 31))
	if f.stream == 0 {
		if increment == 0 {
			return connError{http2.ErrCodeProtocol, "window_update_zero"}
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.countEarned(); err != nil {
			return err
		}
		if c.out.window += increment; c.out.window > 1<<31-1 {
			return connError{http2.ErrCodeFlowControl, "window_overflow"}
		}
		c.out.wakeNext()
		return nil
	}
	if c.idle(f.stream) {
		return connError{http2.ErrCodeProtocol, "window_update_idle"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.countEarned(); err != nil {
		return err
	}
	st := c.streams[f.stream]
	switch {
	case increment == 0:
		return streamError{f.stream, http2.ErrCodeProtocol, "window_update_zero"}
	case st == nil:
		return nil // it may have been on its way
	}
	if st.window += increment; st.window > 1<<31-1 {
		return streamError{f.stream, http2.ErrCodeFlowControl, "window_overflow"}
	}
	if st.waiting {
		c.out.wakeNext()
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.4
func (c *conn) recvReset(f frameHeader, p []byte) error {
	switch {
	case f.length != 4:
		return connError{http2.ErrCodeFrameSize, "reset_length"}
	case f.stream == 0 || c.idle(f.stream):
		return connError{http2.ErrCodeProtocol, "reset_idle"}
	}
	c.mu.Lock()
	st := c.streams[f.stream]
	c.forgetReset(f.stream)
	var err error
	if st == nil || st.localEnded {
		err = c.countEarned()
	} else {
		err = c.flood.add()
	}
	c.mu.Unlock()
	if st != nil {
		// As net/http has it, so that errors.As and the text find the code.
		st.end(http2.StreamError{StreamID: f.stream, Code: http2.ErrCode(binary.BigEndian.Uint32(p))})
	}
	return err
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
func (c *conn) recvGoAway(f frameHeader, p []byte) error {
	switch {
	case f.stream != 0:
		return connError{http2.ErrCodeProtocol, "goaway_stream"}
	case f.length < 8:
		return connError{http2.ErrCodeFrameSize, "goaway_length"}
	}
	// The client opens no more streams. What it says of those of a server is of no concern.
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil
	}
	if !c.draining || c.goneAt == 1<<31-1 {
		c.draining, c.goneAt = true, c.out.lastStream
		c.out.buf = appendGoAway(c.out.buf, c.goneAt, http2.ErrCodeNo, "")
	}
	c.endIfDone()
	c.flushLater()
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.3
func (c *conn) recvPriority(f frameHeader, p []byte) error {
	switch {
	case f.stream == 0:
		return connError{http2.ErrCodeProtocol, "priority_stream"}
	case f.length != 5 && c.idle(f.stream):
		// Which must not be reset: https://www.rfc-editor.org/rfc/rfc9113.html#section-6.4
		return connError{http2.ErrCodeFrameSize, "priority_length"}
	case f.length != 5:
		return streamError{f.stream, http2.ErrCodeFrameSize, "priority_length"}
	}
	c.mu.Lock()
	err := c.countEarned()
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return checkDependency(f.stream, p)
}

// checkDependency says what is wrong with the priority of RFC 7540 that p begins with.
// https://www.rfc-editor.org/rfc/rfc7540.html#section-5.3.1
func checkDependency(stream uint32, p []byte) error {
	if binary.BigEndian.Uint32(p)&^(1<<31) == stream {
		return streamError{stream, http2.ErrCodeProtocol, "priority_itself"}
	}
	return nil
}

// https://www.rfc-editor.org/rfc/rfc9218.html#section-7.1
func (c *conn) recvPriorityUpdate(f frameHeader, p []byte) error {
	switch {
	case f.stream != 0:
		return connError{http2.ErrCodeProtocol, "priority_update_stream"}
	case f.length < 4:
		return connError{http2.ErrCodeFrameSize, "priority_update_length"}
	}
	id := binary.BigEndian.Uint32(p) &^ (1 << 31)
	if id == 0 {
		return connError{http2.ErrCodeProtocol, "priority_update_zero"}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if st := c.streams[id]; st != nil {
		st.priority = parsePriority(string(p[4:]))
	}
	return c.countEarned()
}

// idle reports whether a stream has never been opened.
func (c *conn) idle(id uint32) bool { return id%2 == 0 || id > c.lastSeen }

// control writes an answer to a frame, at the latest when nothing more can be read at once. mu
// is held, and is not afterwards.
//
// A client that asks and does not read the answers is not served any further.
func (c *conn) control() error {
	defer c.mu.Unlock()
	if c.out.flooded() {
		return connError{http2.ErrCodeEnhanceYourCalm, "control_flood"}
	}
	c.out.due = true
	return nil
}

// extendedConnect returns the value of SETTINGS_ENABLE_CONNECT_PROTOCOL. As in net/http it is
// for who asks for it.
func extendedConnect() uint32 {
	if strings.Contains(os.Getenv("GODEBUG"), "http2xconnect=1") {
		return 1
	}
	return 0
}
