package splice

import (
	"errors"
	"net"
	"slices"
	"strings"

	"golang.org/x/net/http2"
)

// inbound is what the engine reads until the client's own preface has been checked.
type inbound struct {
	*handshake
	c       *Conn
	pending []byte                 // to be read now
	next    func() ([]byte, error) // returns what comes after; nil: the connection itself
	preface []byte                 // what has come of the client's preface and SETTINGS

}

func (in *inbound) read(p []byte) (int, error) {
	for len(in.pending) == 0 {
		if in.next == nil {
			in.c.in.Store(nil)
			return in.c.readConn(p)
		}
		pending, err := in.next()
		if err != nil {
			return 0, err
		}
		in.pending = pending
	}
	n := copy(p, in.pending)
	in.pending = in.pending[n:]
	return n, nil
}

// afterPreface returns the injected request. It waits until the engine is known to have
// the connection: before that, nothing may reach a handler.
func (in *inbound) afterPreface() ([]byte, error) {
	if err := in.c.await(in.handshake, in.taken); err != nil {
		return nil, err
	}
	if !in.c.give() {
		return nil, net.ErrClosed
	}
	if !in.upgraded {
		in.next = nil
		return in.Buffered, nil
	}
	in.next = in.clientPreface
	inject := in.Inject
	in.Inject = nil
	return inject, nil
}

// clientPreface reads the preface that the client sends after the 101, strips its 24
// octets and returns the SETTINGS frame that ends it.
//
// "Upon receiving the 101 response, the client MUST send a connection preface
// (Section 3.5), which includes a SETTINGS frame."
// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
func (in *inbound) clientPreface() ([]byte, error) {
	c := in.c
	// A wrong preface must not end the connection before the client has heard of the switch.
	// And an engine that gets a second SETTINGS frame before it acknowledged the first one
	// may acknowledge both at once, so that the client would miss its own.
	// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.3
	if err := c.await(in.handshake, in.acked); err != nil {
		return nil, err
	}
	const settingsAt = len(http2.ClientPreface)
	for want := settingsAt + frameHeaderLen; len(in.preface) < want; {
		if err := in.readPreface(want); err != nil {
			return nil, err
		}
		if n := min(len(in.preface), settingsAt); !strings.HasPrefix(http2.ClientPreface, string(in.preface[:n])) {
			return nil, c.fail(ErrPrefaceInvalid)
		}
		if len(in.preface) < settingsAt+frameHeaderLen {
			continue
		}
		header := frameHeader(in.preface[settingsAt:])
		if !header.isSettings(false) || header.length() > maxFrameLen {
			return nil, c.fail(ErrPrefaceInvalid)
		}
		want = settingsAt + frameHeaderLen + header.length()
	}
	c.settlePreface(in.handshake)
	in.next = (&gate{in: in}).next
	return dropTableSize(in.preface[settingsAt:], in.tableSize), nil
}

// dropTableSize removes SETTINGS_HEADER_TABLE_SIZE from a SETTINGS frame if it says what
// is in force already, as it does when a client repeats what it said in HTTP2-Settings.
// The engine of net/http in Go 1.26 changes its encoder when it reads the setting, and on
// an upgraded connection the response on stream 1 may be using that encoder.
func dropTableSize(frame []byte, inForce uint32) []byte {
	settings := frame[frameHeaderLen:]
	if len(settings)%settingLen != 0 {
		return frame // the engine says what is wrong with it
	}
	kept := slices.Clone(frame[:frameHeaderLen])
	for ; len(settings) > 0; settings = settings[settingLen:] {
		if id, value := settingAt(settings); id != http2.SettingHeaderTableSize {
			kept = append(kept, settings[:settingLen]...)
		} else if value != inForce {
			return frame
		}
	}
	n := len(kept) - frameHeaderLen
	kept[1], kept[2] = byte(n>>8), byte(n) // 16,384 at the most
	return kept
}

// readPreface reads once, until there are want octets of preface at the most.
func (in *inbound) readPreface(want int) error {
	c := in.c
	missing := want - len(in.preface)
	if n := min(missing, len(in.Buffered)); n > 0 {
		in.preface = append(in.preface, in.Buffered[:n]...)
		in.Buffered = in.Buffered[n:]
		return nil
	}
	if cap(in.preface) < want {
		in.preface = append(make([]byte, 0, want), in.preface...)
	}
	n, err := c.readConn(in.preface[len(in.preface):want])
	in.preface = in.preface[:len(in.preface)+n]
	if n > 0 {
		return nil // the error, if it stays, comes again
	}
	if err == nil || isTimeout(err) {
		return err
	}
	return c.fail(ErrPrefaceMissing)
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
