package interop

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

const clientPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// handshakeTimeout is short, and much shorter than slack, within which it must show.
const (
	handshakeTimeout = 300 * time.Millisecond
	slack            = 10 * time.Second
)

func TestHalfPrefaceIsClosed(t *testing.T) {
	for _, tc := range []struct {
		way  way
		from int // octets; of fewer NewHandler does not hear
	}{
		{byConfigureServer, 1},
		{byNewHandler, len("PRI * HTTP/2.0\r\n\r\n")},
	} {
		t.Run(fmt.Sprintf("%s/P-02", tc.way), func(t *testing.T) {
			s := startWith(t, tc.way, &h2c.Server{HandshakeTimeout: handshakeTimeout})
			var wg sync.WaitGroup
			for n := tc.from; n < len(clientPreface); n++ {
				c := dialRaw(t, s)
				wg.Go(func() {
					began := time.Now()
					if _, err := io.WriteString(c, clientPreface[:n]); err != nil {
						t.Error(err)
					}
					c.SetDeadline(began.Add(slack))
					got, err := io.ReadAll(c)
					took := time.Since(began)
					switch {
					case errors.Is(err, os.ErrDeadlineExceeded):
						t.Errorf("%d octets of a preface: still open after %v", n, took)
					case took < handshakeTimeout:
						t.Errorf("%d octets of a preface: closed after only %v", n, took)
					case len(got) > 0:
						t.Errorf("%d octets of a preface: answered %q", n, got)
					}
				})
			}
			wg.Wait()
			want := int64(len(clientPreface) - tc.from)
			eventually(t, "each is counted as preface_timeout", func() bool {
				return s.h2c.Stats().Failed[h2c.ReasonPrefaceTimeout] == want
			})
			s.wantSeen(t)
		})
	}
}

func TestSlowHTTP1IsServed(t *testing.T) {
	const request = " /echo HTTP/1.1\r\nHost: example.com\r\n\r\n"
	for name, parts := range map[string][2]string{
		"silence":         {"", "GET" + request},
		"first octet":     {"G", "ET" + request},
		"half a head":     {"GET" + request[:20], request[20:]},
		"all but the end": {"GET" + request[:len(request)-1], "\n"},
		// These begin like a preface, and then do not go on like one.
		"PO of POST":      {"PO", "ST" + request},
		"PRO of PROPFIND": {"PRO", "PFIND" + request},
		"PRI of PRINT":    {"PRIN", "T" + request},
	} {
		t.Run("P-02 "+name, func(t *testing.T) {
			t.Parallel()
			s := startWith(t, byConfigureServer, &h2c.Server{HandshakeTimeout: handshakeTimeout})
			c := dialRaw(t, s)
			c.say(t, parts[0])
			time.Sleep(3 * handshakeTimeout)
			c.say(t, parts[1])
			if resp, body := c.answer(t); resp.StatusCode != 200 {
				t.Errorf("answer is %s: %s", resp.Status, body)
			}
			if failed := s.h2c.Stats().Failed; len(failed) > 0 {
				t.Errorf("counted as failed: %v", failed)
			}
		})
	}
}
