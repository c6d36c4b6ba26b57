package engine

import (
	"io"
	"log"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// FuzzFrames sends any octets behind the client preface, in parts, to a client that reads or
// does not. In a bubble of synctest a goroutine that is left, or all of them waiting for ever,
// fails the test.
func FuzzFrames(f *testing.F) {
	for _, s := range seeds() {
		var all []byte
		for c := newScript(s); ; {
			a, ok := c.next()
			if !ok {
				break
			}
			all = append(all, a.octets...)
		}
		f.Add(byte(0), append(appendSettings(nil), all...))
		f.Add(byte(5), append(appendSettings(nil), all...))
	}
	// A request without END_STREAM on each of many streams, and octets that are no frames.
	f.Add(byte(3), []byte("\x00\x00\x00\x04\x00\x00\x00\x00\x00garbage garbage garbage"))
	f.Add(byte(8), []byte{})
	f.Fuzz(func(t *testing.T, how byte, octets []byte) {
		synctest.Test(t, func(t *testing.T) { playFrames(t, how, octets) })
	})
}

func playFrames(t *testing.T, how byte, octets []byte) {
	hs := peerServer()
	s := New(hs)
	s.lends.any, s.lends.hot = how&16 != 0, time.Hour
	client, server := memnet.Pipe(memnet.Options{MaxRead: int(how >> 4)}, 1)
	served := make(chan struct{})
	go func() {
		defer close(served)
		s.Serve(server, Options{Context: t.Context(), Handler: hs.Handler, SawPreface: how&8 == 0})
	}()
	if how&1 == 0 {
		go io.Copy(io.Discard, client)
	}
	parts := 1
	if how&2 != 0 {
		parts = 7
	}
	for range parts - 1 {
		n := len(octets) / parts
		client.Write(octets[:n])
		octets = octets[n:]
		synctest.Wait()
	}
	go client.Write(octets) // who does not read may be not read from
	synctest.Wait()
	checkBounds(t, s)
	if how&4 != 0 {
		s.Shutdown()
		time.Sleep(2 * time.Second)
		checkBounds(t, s)
	}
	client.Close()
	<-served
	synctest.Wait()
	s.workers.mu.Lock()
	defer s.workers.mu.Unlock()
	if n := len(s.workers.idle); n > 0 {
		t.Errorf("%d workers left", n)
	}
}

// checkBounds checks what connections hold.
func checkBounds(t *testing.T, s *Server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.mu.Lock()
		within := func(what string, n, most int64) {
			if n < 0 || n > most {
				t.Errorf("%s: %d, want 0 to %d", what, n, most)
			}
		}
		within("streams", int64(len(c.streams)), int64(c.lim.maxStreams))
		within("opened", int64(c.opened), int64(c.lim.maxStreams))
		within("running", int64(c.running), 2*int64(c.lim.maxStreams))
		within("output", int64(len(c.out.buf)), maxControlQueue+outCap)
		within("resets", int64(len(c.resets)), maxResets)
		within("queue", int64(len(c.out.queue)), 3*int64(c.lim.maxStreams))
		within("used", c.used, c.inWindow())
		within("fields", int64(len(c.block.fields)), int64(c.lim.maxHeaderList/fieldOverhead))
		within("names", int64(len(c.block.canonical)), maxCanonical)
		var bodies int64
		for _, st := range c.streams {
			if st.body != nil {
				st.body.mu.Lock()
				bodies += st.body.size
				st.body.mu.Unlock()
			}
		}
		within("bodies", bodies, c.inWindow())
		c.mu.Unlock()
	}
}

// peerServer returns an [http.Server] with small limits.
func peerServer() *http.Server {
	return &http.Server{
		Handler:        http.HandlerFunc(scriptHandler),
		ErrorLog:       log.New(io.Discard, "", 0),
		MaxHeaderBytes: 4096,

		DisableGeneralOptionsHandler: true, // which is around the handler, not the engine
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams:          peerStreams,
			MaxReadFrameSize:              minMaxFrame,
			MaxReceiveBufferPerStream:     peerWindow,
			MaxReceiveBufferPerConnection: 1 << 20,
		},
	}
}

const (
	peerStreams = 6
	peerWindow  = initialWindow
)
