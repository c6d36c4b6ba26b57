package engine

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c/internal/memnet"
)

// waitOrAnswer waits for the end of its stream on /wait, and answers at once otherwise.
func waitOrAnswer(_ http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/wait" {
		<-r.Context().Done()
	}
}

// What GOAWAY says, and what is served after it.
func TestGoAways(t *testing.T) {
	request := func(id uint32, path string) []byte { return frame(http2.FrameHeaders, endBoth, id, get(path)) }
	three := join(request(1, "/wait"), request(3, "/wait"), request(7, "/wait"))
	wrong := frame(http2.FrameData, 0, 0, nil)
	theirs := frame(http2.FrameGoAway, 0, 0, make([]byte, 8))
	type step struct {
		send     []byte
		shutdown bool
		wait     time.Duration
		want     string
	}
	for name, steps := range map[string][]step{
		"error":                     {{send: three}, {send: wrong, want: "GOAWAY 7 PROTOCOL_ERROR; EOF"}},
		"error, no stream":          {{send: wrong, want: "GOAWAY 0 PROTOCOL_ERROR; EOF"}},
		"error, after a response":   {{send: request(5, "/"), want: "HEADERS 5 200 END"}, {send: wrong, want: "GOAWAY 5 PROTOCOL_ERROR; EOF"}},
		"error, after a malformed":  {{send: frame(http2.FrameHeaders, endBoth, 9, block("x", "1")), want: "RST_STREAM 9 PROTOCOL_ERROR"}, {send: wrong, want: "GOAWAY 9 PROTOCOL_ERROR; EOF"}},
		"error, after one from us":  {{send: three}, {send: theirs, want: "GOAWAY 7 NO_ERROR"}, {send: join(request(9, "/"), wrong), want: "GOAWAY 7 PROTOCOL_ERROR; EOF"}},
		"not served after":          {{send: three}, {send: theirs, want: "GOAWAY 7 NO_ERROR"}, {send: join(request(9, "/"), post(11), data(11, 5), request(13, "/wait"))}},
		"malformed after":           {{send: three}, {send: theirs, want: "GOAWAY 7 NO_ERROR"}, {send: frame(http2.FrameHeaders, endBoth, 9, block("x", "1"))}},
		"GOAWAY twice":              {{send: three}, {send: join(theirs, theirs), want: "GOAWAY 7 NO_ERROR"}},
		"GOAWAY when idle":          {{send: theirs, want: "GOAWAY 0 NO_ERROR; EOF"}},
		"the last stream ends":      {{send: three}, {send: theirs, want: "GOAWAY 7 NO_ERROR"}, {send: join(reset(1), reset(3))}, {send: reset(7), want: "EOF"}},
		"shutdown when idle":        {{shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {wait: time.Second - 1}, {wait: 1, want: "GOAWAY 0 NO_ERROR; EOF"}},
		"shutdown, served meantime": {{send: three}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {send: request(9, "/"), want: "HEADERS 9 200 END"}, {wait: time.Second, want: "GOAWAY 9 NO_ERROR"}, {send: request(11, "/")}},
		"shutdown, PING answered":   {{send: three}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {send: appendPing(nil, true, shutdownPing), want: "GOAWAY 7 NO_ERROR"}, {wait: time.Hour}},
		"idle, PING answered":       {{send: request(1, "/"), want: "HEADERS 1 200 END"}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {send: appendPing(nil, true, shutdownPing)}, {wait: time.Second, want: "GOAWAY 1 NO_ERROR; EOF"}},
		"shutdown, another PING":    {{send: three}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {send: appendPing(nil, true, [8]byte{1})}},
		"shutdown, then an error":   {{send: three}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {send: wrong, want: "GOAWAY 7 PROTOCOL_ERROR; EOF"}},
		"shutdown twice":            {{send: three}, {shutdown: true, want: "GOAWAY 2147483647 NO_ERROR; PING"}, {shutdown: true}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{}, waitOrAnswer)
			for i, s := range steps {
				c.Write(s.send)
				if s.shutdown {
					c.s.Shutdown()
				}
				time.Sleep(s.wait)
				if got := c.take(); got != s.want {
					t.Errorf("%s, step %d: %q, want %q", name, i, got, s.want)
				}
			}
		})
	}
}

func reset(id uint32) []byte {
	return frame(http2.FrameRSTStream, 0, id, u32(uint32(http2.ErrCodeCancel)))
}

// A connection that begins after Shutdown serves what the client has sent already, and ends.
func TestConnectionAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hs := &http.Server{}
		first := dialWatch(t, hs, waitOrAnswer)
		first.s.Shutdown()
		if got := first.take(); got != "GOAWAY 2147483647 NO_ERROR; PING" {
			t.Error(got)
		}
		c := &watch{memConn: dialServer(t, first.s, waitOrAnswer)}
		c.begin()
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
		time.Sleep(time.Second)
		if got := c.take(); got != "GOAWAY 2147483647 NO_ERROR; PING; HEADERS 1 200 END; GOAWAY 1 NO_ERROR; EOF" {
			t.Error(got)
		}
	})
}

// Nothing follows the GOAWAY of an error, whatever handlers do of which the client has not read
// everything.
func TestNothingAfterError(t *testing.T) {
	for _, end := range []string{"panics", "returns", "flushes"} {
		synctest.Test(t, func(t *testing.T) {
			failed := make(chan bool, 1)
			c := &watch{memConn: dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
				_, err := w.Write(make([]byte, 1<<20))
				if r.Method == http.MethodGet {
					return
				}
				failed <- err != nil
				switch end {
				case "panics":
					panic(http.ErrAbortHandler)
				case "flushes":
					w.(http.Flusher).Flush()
				}
			})}
			c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
			c.fr.WriteWindowUpdate(0, 1<<30)
			c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
			synctest.Wait() // the handler writes, and nobody reads
			c.Write(post(3))
			synctest.Wait() // it waits until the other has written
			c.Write(frame(http2.FrameData, 0, 0, nil))
			synctest.Wait()
			if !<-failed {
				t.Error("the handler is told nothing")
			}
			c.begin()
			if got := c.take(); !strings.HasSuffix(got, "; GOAWAY 3 PROTOCOL_ERROR; EOF") || strings.Contains(got, "RST") {
				t.Errorf("%s: %s", end, got[max(0, len(got)-150):])
			}
		})
	}
}

// A connection ends when it is idle for too long, and not while it has streams.
func TestIdleTimeout(t *testing.T) {
	const timeout = 10 * time.Second
	request := func(path string) []byte { return frame(http2.FrameHeaders, endBoth, 1, get(path)) }
	for _, tt := range []struct {
		name string
		hs   *http.Server
		send []byte
		want []time.Duration // after which comes something
		last string
	}{
		{"idle", &http.Server{IdleTimeout: timeout}, nil, []time.Duration{timeout}, "GOAWAY 0 NO_ERROR; EOF"},
		{"as ReadTimeout", &http.Server{ReadTimeout: timeout}, nil, []time.Duration{timeout}, "GOAWAY 0 NO_ERROR; EOF"},
		{"not as ReadTimeout", &http.Server{ReadTimeout: time.Second, IdleTimeout: timeout}, nil, []time.Duration{timeout}, "GOAWAY 0 NO_ERROR; EOF"},
		{"never", &http.Server{ReadTimeout: time.Second, IdleTimeout: -1}, nil, nil, ""},
		{"none", &http.Server{ReadHeaderTimeout: time.Second}, nil, nil, ""},
		{"with a stream", &http.Server{IdleTimeout: timeout}, request("/wait"), nil, ""},
		{"after a stream", &http.Server{IdleTimeout: timeout}, request("/5"), []time.Duration{5 * time.Second, 5*time.Second + timeout}, "GOAWAY 1 NO_ERROR; EOF"},
		{"after a long stream", &http.Server{IdleTimeout: timeout}, request("/55"), []time.Duration{55 * time.Second, 55*time.Second + timeout}, "GOAWAY 1 NO_ERROR; EOF"},
	} {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			c := dialWatch(t, tt.hs, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/5":
					time.Sleep(5 * time.Second)
				case "/55":
					time.Sleep(55 * time.Second)
				default:
					<-r.Context().Done()
				}
			})
			c.Write(tt.send)
			last := ""
			for _, at := range tt.want {
				time.Sleep(time.Until(begun.Add(at - 1)))
				if got := c.take(); got != "" {
					t.Errorf("%s: %s before %v", tt.name, got, at)
				}
				time.Sleep(time.Nanosecond)
				last = c.take()
			}
			if tt.want == nil {
				time.Sleep(time.Hour)
				last = c.take()
			}
			if last != tt.last {
				t.Errorf("%s: %q, want %q", tt.name, last, tt.last)
			}
		})
	}
}

// A response has so long, its handler learns of the end, and nothing happens after a response in time.
func TestWriteTimeout(t *testing.T) {
	for _, tt := range []struct {
		takes time.Duration
		want  string
	}{
		{999 * time.Millisecond, "HEADERS 1 200 END"},
		{time.Minute, "RST_STREAM 1 INTERNAL_ERROR"},
	} {
		synctest.Test(t, func(t *testing.T) {
			var ended time.Duration
			begun := time.Now()
			c := dialWatch(t, &http.Server{WriteTimeout: time.Second}, func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done():
				case <-time.After(tt.takes):
				}
				ended = time.Since(begun)
			})
			c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
			time.Sleep(time.Hour)
			if got := c.take(); got != tt.want || ended != min(tt.takes, time.Second) {
				t.Errorf("%s, and the handler ended after %v", got, ended)
			}
		})
	}
}

// A body has so long, and the handler of one in time may take longer.
func TestReadTimeout(t *testing.T) {
	for _, tt := range []struct {
		after time.Duration
		ok    bool
	}{{999 * time.Millisecond, true}, {1001 * time.Millisecond, false}} {
		synctest.Test(t, func(t *testing.T) {
			var err error
			c := dialWatch(t, &http.Server{ReadTimeout: time.Second, IdleTimeout: time.Hour}, func(_ http.ResponseWriter, r *http.Request) {
				_, err = io.Copy(io.Discard, r.Body)
				time.Sleep(time.Minute)
				if r.Context().Err() != nil {
					t.Error(r.Context().Err())
				}
			})
			c.Write(post(1))
			time.Sleep(tt.after)
			c.Write(frame(http2.FrameData, http2.FlagDataEndStream, 1, nil))
			time.Sleep(2 * time.Minute)
			if got := c.take(); got != "HEADERS 1 200 END" || (err == nil) != tt.ok {
				t.Errorf("after %v: %s, %v", tt.after, got, err)
			}
		})
	}
}

// A client that says nothing is asked whether it is there, as long as it answers.
func TestPings(t *testing.T) {
	hs := &http.Server{HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 3 * time.Second}}
	for _, tt := range []struct {
		name  string
		every time.Duration // something else comes
		until time.Duration // PING is answered
		want  string        // in a minute
	}{
		{"answers", 0, time.Hour, "PING; PING; PING; PING; PING; PING"},
		{"does not answer", 0, 0, "PING; EOF"},
		{"answers no more", 0, 25 * time.Second, "PING; PING; PING; EOF"},
		{"is busy", 9 * time.Second, 0, ""},
		{"answers something else", time.Second, 0, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, hs, http.NotFound)
			var got []string
			for at := time.Second; at <= time.Minute+time.Second/2; at += time.Second {
				time.Sleep(time.Second)
				p := c.take()
				if p != "" {
					got = append(got, p)
				}
				if p == "PING" && at < tt.until {
					c.Write(appendPing(nil, true, healthPing))
				}
				if tt.every > 0 && at%tt.every == 0 {
					c.Write(appendPing(nil, true, [8]byte{}))
				}
			}
			if got := strings.Join(got, "; "); got != tt.want {
				t.Errorf("a client that %s: %s, want %s", tt.name, got, tt.want)
			}
		})
	}
}

// A client may be slow, but must take something within WriteByteTimeout, which begins anew when it has
// passed and something was taken.
func TestWriteByteTimeout(t *testing.T) {
	const size = 1 << 20
	for _, tt := range []struct {
		every time.Duration
		ok    bool
	}{{1900 * time.Millisecond, true}, {4100 * time.Millisecond, false}} {
		synctest.Test(t, func(t *testing.T) {
			c := &watch{memConn: dialMem(t, &http.Server{HTTP2: &http.HTTP2Config{WriteByteTimeout: 2 * time.Second}},
				func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, size)) })}
			c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
			c.fr.WriteWindowUpdate(0, 1<<30)
			c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
			var read bytes.Buffer
			for range 20 {
				time.Sleep(tt.every)
				io.CopyN(&read, c, 10)
				synctest.Wait()
			}
			c.fr = http2.NewFramer(c, io.MultiReader(&read, c.Conn))
			c.begin()
			if got := c.take(); strings.HasSuffix(got, " END") != tt.ok {
				t.Errorf("octets every %v: %s", tt.every, got[max(0, len(got)-100):])
			}
		})
	}
}

// The context of a request ends with its stream, or for the reason of its parent.
func TestContextEnds(t *testing.T) {
	cause := errors.New("cause")
	for name, tt := range map[string]struct {
		end  func(c *watch, parent context.CancelCauseFunc)
		want error
	}{
		"RST_STREAM":    {func(c *watch, _ context.CancelCauseFunc) { c.Write(reset(1)) }, context.Canceled},
		"wrong frame":   {func(c *watch, _ context.CancelCauseFunc) { c.Write(appendWindowUpdate(nil, 1, 0)) }, context.Canceled},
		"error":         {func(c *watch, _ context.CancelCauseFunc) { c.Write(frame(http2.FrameData, 0, 0, nil)) }, context.Canceled},
		"closed":        {func(c *watch, _ context.CancelCauseFunc) { c.Close() }, context.Canceled},
		"parent":        {func(_ *watch, end context.CancelCauseFunc) { end(cause) }, context.Canceled},
		"parent's time": {func(*watch, context.CancelCauseFunc) { time.Sleep(time.Hour) }, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			parent, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			parent, end := context.WithCancelCause(parent)
			var got error
			var notified, after atomic.Bool
			mem := dialServerContext(t, parent, New(&http.Server{}), func(w http.ResponseWriter, r *http.Request) {
				context.AfterFunc(r.Context(), func() { after.Store(true) })
				gone := w.(http.CloseNotifier).CloseNotify() //lint:ignore SA1019 some still ask for it
				<-r.Context().Done()
				got = r.Context().Err()
				notified.Store(<-gone)
			})
			c := &watch{memConn: mem}
			c.begin()
			c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
			synctest.Wait()
			tt.end(c, end)
			time.Sleep(time.Second) // what follows an error is read first
			synctest.Wait()
			if got != tt.want || !notified.Load() || !after.Load() {
				t.Errorf("%s: %v, notified %v, after %v", name, got, notified.Load(), after.Load())
			}
		})
	}
}

// The context of a request has ended when its handler has returned.
func TestContextAfterHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ctx context.Context
		c := dialWatch(t, &http.Server{}, func(_ http.ResponseWriter, r *http.Request) { ctx = r.Context() })
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
		if got := c.take(); got != "HEADERS 1 200 END" || ctx.Err() != context.Canceled {
			t.Errorf("%s, %v", got, ctx.Err())
		}
	})
}

// A client says something soon, or its connection ends.
func TestFirstFrame(t *testing.T) {
	for _, tt := range []struct {
		name string
		saw  bool
		send string
		wait time.Duration
	}{
		{"nothing", false, "", prefaceTimeout},
		{"half a preface", false, http2.ClientPreface[:10], prefaceTimeout},
		{"a preface", false, http2.ClientPreface, settingsTimeout},
		{"nothing after the preface", true, "", settingsTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, server := memnet.Pipe(memnet.Options{}, 1)
			begun := time.Now()
			io.WriteString(client, tt.send)
			New(&http.Server{}).Serve(server, Options{Context: t.Context(), Handler: http.NotFoundHandler(), SawPreface: tt.saw})
			if took := time.Since(begun); took != tt.wait {
				t.Errorf("a client that has sent %s has %v", tt.name, took)
			}
			client.Close()
		})
	}
}

// After an error what the client has on its way is read, up to a bound.
func TestLinger(t *testing.T) {
	for n, ok := range map[int]bool{100 << 10: true, 1 << 20: false} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{}, http.NotFound)
			c.Write(frame(http2.FrameData, 0, 0, nil))
			if got := c.take(); got != "GOAWAY 0 PROTOCOL_ERROR; EOF" {
				t.Error(got)
			}
			begun := time.Now()
			if _, err := c.Write(make([]byte, n)); (err == nil) != ok {
				t.Errorf("%d octets after the error: %v", n, err)
			}
			if took := time.Since(begun); took > 0 {
				t.Errorf("%d octets take %v", n, took)
			}
		})
	}
}

// Nothing follows the last GOAWAY while the client is slow to read it.
func TestNothingAfterLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &watch{memConn: dialMem(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/large" {
				w.Write(make([]byte, 1<<20)) // more than there is room for
			}
		})}
		c.fr.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
		c.fr.WriteWindowUpdate(0, 1<<30)
		c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/large")))
		synctest.Wait()
		c.Write(join(frame(http2.FrameHeaders, endBoth, 3, get("/")), reset(1)))
		synctest.Wait()
		c.Write(frame(http2.FrameGoAway, 0, 0, make([]byte, 8)))
		c.Write(appendWindowUpdate(nil, 3, 0)) // an error
		synctest.Wait()
		c.begin()
		if got := c.take(); !strings.HasSuffix(got, "; HEADERS 3 200 END; GOAWAY 3 NO_ERROR; EOF") {
			t.Error(got[max(0, len(got)-150):])
		}
	})
}

// Settings that are wrong, and answers to none.
func TestWrongSettings(t *testing.T) {
	setting := func(id http2.SettingID, n uint32) []byte { return appendSettings(nil, http2.Setting{ID: id, Val: n}) }
	const wrong = "GOAWAY 0 PROTOCOL_ERROR; EOF"
	for _, tt := range []struct {
		name string
		send []byte
		want string
	}{
		{"ENABLE_CONNECT_PROTOCOL 1", setting(http2.SettingEnableConnectProtocol, 1), ""},
		{"ENABLE_CONNECT_PROTOCOL 2", setting(http2.SettingEnableConnectProtocol, 2), wrong},
		{"NO_RFC7540_PRIORITIES 1", setting(http2.SettingNoRFC7540Priorities, 1), ""},
		{"NO_RFC7540_PRIORITIES 2", setting(http2.SettingNoRFC7540Priorities, 2), wrong},
		{"ENABLE_PUSH 1", setting(http2.SettingEnablePush, 1), ""},
		{"unknown", setting(0x7777, 2), ""},
		{"one ACK", settingsAck(), ""},
		{"two ACK", join(settingsAck(), settingsAck()), wrong},
		{"many", frame(http2.FrameSettings, 0, 0, make([]byte, maxControl/6*6)), ""},
		{"too many", frame(http2.FrameSettings, 0, 0, make([]byte, maxControl/6*6+6)), "GOAWAY 0 ENHANCE_YOUR_CALM; EOF"},
		{"large frame", frame(0xfa, 0, 0, make([]byte, 20_000)), ""},
		{"too large frame", frame(0xfa, 0, 0, make([]byte, 20_001)), "GOAWAY 0 FRAME_SIZE_ERROR; EOF"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{HTTP2: &http.HTTP2Config{MaxReadFrameSize: 20_000}}, http.NotFound)
			c.Write(tt.send)
			if got := c.take(); got != tt.want {
				t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}
