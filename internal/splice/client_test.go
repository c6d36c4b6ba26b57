package splice

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"golang.org/x/net/http2"
)

// engineScript is what an HTTP/2 client writes on a connection that was upgraded: its
// preface, an acknowledgement, the first request, another acknowledgement, and the rest.
// What the server sees of it is the preface and the rest.
func engineScript() (all, seen []byte) {
	preface := append([]byte(http2.ClientPreface), settings...)
	rest := append(append([]byte(settings), settingsAck...), appendFrameHeader(nil, 0, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 3)...)
	all = append(all, preface...)
	all = append(all, settingsAck...)
	all = append(append(all, appendFrameHeader(nil, 5, http2.FrameHeaders, http2.FlagHeadersEndStream, 1)...), "field"...)
	all = append(append(all, appendFrameHeader(nil, 4, http2.FrameContinuation, http2.FlagContinuationEndHeaders, 1)...), "more"...)
	all = append(all, settingsAck...)
	return append(all, rest...), append(preface, rest...)
}

func TestClientWrites(t *testing.T) {
	all, seen := engineScript()
	for split := 1; split <= len(all); split++ {
		mine, server := memnet.Pipe(memnet.Options{}, 1)
		c := NewClient(mine)
		for b := all; len(b) > 0; {
			n := min(split, len(b))
			if m, err := c.Write(b[:n]); m != n || err != nil {
				t.Fatalf("Write: %d, %v", m, err)
			}
			b = b[n:]
		}
		if c.out.Load() != nil {
			t.Errorf("split at %d: still filtering what is written", split)
		}
		c.Close()
		if got, err := io.ReadAll(server); !bytes.Equal(got, seen) || err != nil {
			t.Errorf("split at %d: server got %q, %v, want %q", split, got, err, seen)
		}
	}
}

func TestClientReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, server := memnet.Pipe(memnet.Options{MaxRead: 4}, 1)
		c := NewClient(mine)
		defer c.Close()
		io.WriteString(server, "frames")
		readAll(t, c, string(tableSizeFrame(0)))

		second := make(chan struct{})
		go func() {
			readAll(t, c, string(tableSizeFrame(4096))+"frames")
			close(second)
		}()
		all, _ := engineScript()
		half := len(http2.ClientPreface) + len(settings) + len(settingsAck)
		c.Write(all[:half])
		if err := c.Ready(context.Background()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		synctest.Wait()
		select {
		case <-second:
			t.Error("the server was read before the request was sent")
		case <-c.requested:
			t.Error("requested too early")
		default:
		}
		c.Write(all[half:])
		<-c.requested
		<-second
		if c.in.Load() != nil {
			t.Error("still filtering what is read")
		}
	})
}

func TestClientClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mine, _ := memnet.Pipe(memnet.Options{}, 1)
		c := NewClient(mine)
		errs := make(chan error, 2)
		go func() { errs <- c.Ready(context.Background()) }()
		go func() {
			_, err := io.ReadAll(c)
			errs <- err
		}()
		synctest.Wait()
		c.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Errorf("got %v", err)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		mine, _ = memnet.Pipe(memnet.Options{}, 1)
		if err := NewClient(mine).Ready(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Ready: %v", err)
		}
	})
}
