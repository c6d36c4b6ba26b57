//go:build linux

package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

// An entry is how a raw connection begins to speak HTTP/2.
type entry int

const (
	byUpgrade entry = iota
	byPriorKnowledge
)

const (
	emptySettings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	settingsAck   = "\x00\x00\x00\x04\x01\x00\x00\x00\x00"
)

// What a client sends at once: its request is answered on stream 1.
var (
	offer = []byte("GET /13 HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
		"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n" + http2.ClientPreface + emptySettings)
	// HEADERS: GET, http, /13 as a literal, and localhost as :authority.
	direct = []byte(http2.ClientPreface + emptySettings +
		"\x00\x00\x12\x01\x05\x00\x00\x00\x01\x82\x86\x04\x03/13\x01\x09localhost")
)

const exchangeTimeout = 20 * time.Second

// exchange opens a connection and reads the response on stream 1. The caller closes it.
func exchange(addr string, by entry) (nc net.Conn, err error) {
	nc, err = net.DialTimeout("tcp", addr, exchangeTimeout)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			nc.Close()
		}
	}()
	nc.SetDeadline(time.Now().Add(exchangeTimeout))
	request := offer
	if by == byPriorKnowledge {
		request = direct
	}
	if _, err := nc.Write(request); err != nil {
		return nil, err
	}
	r := bufio.NewReaderSize(nc, 1<<10)
	if by == byUpgrade {
		if err := readSwitch(r); err != nil {
			return nil, fmt.Errorf("no 101: %w", err)
		}
	}
	if err := readResponse(r); err != nil {
		return nil, fmt.Errorf("no response on stream 1: %w", err)
	}
	return nc, nil
}

// readSwitch reads the 101.
func readSwitch(r *bufio.Reader) error {
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		switch {
		case err != nil:
			return err
		case first && !strings.HasPrefix(string(line), "HTTP/1.1 101 "):
			return fmt.Errorf("%q instead of a 101", line)
		case len(line) == len("\r\n"):
			return nil
		}
	}
}

// readResponse reads frames until the end of stream 1.
func readResponse(r *bufio.Reader) error {
	body := 0
	for {
		var head [9]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint32(head[:]) >> 8)
		kind, flags, stream := http2.FrameType(head[3]), http2.Flags(head[4]), binary.BigEndian.Uint32(head[5:])
		if _, err := r.Discard(size); err != nil {
			return err
		}
		switch {
		case kind == http2.FrameGoAway || kind == http2.FrameRSTStream:
			return fmt.Errorf("%v came", kind)
		case kind == http2.FrameData:
			body += size
		}
		if stream == 1 && flags.Has(http2.FlagDataEndStream) && (kind == http2.FrameData || kind == http2.FrameHeaders) {
			if body != len(hello) {
				return fmt.Errorf("%d octets came, not %d", body, len(hello))
			}
			return nil
		}
	}
}

// settle acknowledges the server's SETTINGS, as a connection that is to stay must.
func settle(nc net.Conn) error {
	_, err := nc.Write([]byte(settingsAck))
	return errors.Join(err, nc.SetDeadline(time.Time{}))
}
