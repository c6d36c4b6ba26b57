package engine

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
)

func waitForEnd(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// The client may use its windows to the last octet, and not one more.
func TestReceiveWindows(t *testing.T) {
	const overStream, overConn = "RST_STREAM 1 FLOW_CONTROL_ERROR", "GOAWAY 3 FLOW_CONTROL_ERROR; EOF"
	for _, tt := range []struct {
		name         string
		stream, conn int
		acknowledged bool
		send         []byte
		over         []byte // takes one octet more
		want         string
	}{
		{"stream", 10_000, 1 << 20, true, data(1, 10_000), data(1, 1), overStream},
		{"stream, padded", 10_000, 1 << 20, true, join(data(1, 9900), padded(1, 100)), padded(1, 2), overStream},
		{"stream, large", 200_000, 1 << 20, true, data(1, 200_000), data(1, 1), overStream},
		{"stream, before the client knows", 10_000, 1 << 20, false, data(1, initialWindow), data(1, 1), overStream},
		{"stream, large, before the client knows", 100_000, 1 << 20, false, data(1, 100_000), data(1, 1), overStream},
		{"connection", 1 << 20, initialWindow, true, data(1, initialWindow), data(1, 1), overConn},
		{"connection, two streams", 1 << 20, 100_000, true, join(data(1, 50_000), data(3, 50_000)), data(3, 1), overConn},
		{"connection, padded", 1 << 20, initialWindow, true, join(data(1, initialWindow-200), padded(1, 200)), padded(1, 2), overConn},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerStream: tt.stream, MaxReceiveBufferPerConnection: tt.conn,
			}}, waitForEnd)
			if tt.acknowledged {
				c.Write(settingsAck())
			}
			c.Write(join(post(1), post(3), tt.send))
			if got := c.take(); got != "" {
				t.Errorf("%s: %s", tt.name, got)
			}
			c.Write(tt.over)
			if got := c.take(); got != tt.want {
				t.Errorf("%s, one octet more: %q, want %q", tt.name, got, tt.want)
			}
		})
	}
}

// The connection window holds what no handler has read yet, and nothing else, whatever becomes of a
// body. The one of a stream does, too.
func TestCredit(t *testing.T) {
	const (
		n      = 150_000        // octets that are sent
		unread = n / 1000 * 901 // of the body, without padding
	)
	for _, tt := range []struct {
		name    string
		handler http.HandlerFunc
		before  []byte // the body
		after   []byte
		held    int64 // octets that no handler has read
	}{
		{"read", func(_ http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, post(1), nil, 0},
		{"read bit by bit", func(_ http.ResponseWriter, r *http.Request) {
			for b := make([]byte, 7); ; {
				if _, err := r.Body.Read(b); err != nil {
					return
				}
			}
		}, post(1), nil, 0},
		{"read after the end", func(_ http.ResponseWriter, r *http.Request) {
			time.Sleep(time.Second)
			io.Copy(io.Discard, r.Body)
		}, post(1), frame(http2.FrameData, http2.FlagDataEndStream, 1, nil), 0},
		{"read in part", func(_ http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 70_000))
			<-r.Context().Done()
		}, post(1), nil, unread - 70_000},
		{"read in part, and closed", func(_ http.ResponseWriter, r *http.Request) {
			io.ReadFull(r.Body, make([]byte, 70_000))
			r.Body.Close()
			<-r.Context().Done()
		}, post(1), nil, 0},
		{"not read", waitForEnd, post(1), nil, unread},
		{"closed", func(_ http.ResponseWriter, r *http.Request) {
			r.Body.Close()
			<-r.Context().Done()
		}, post(1), nil, 0},
		{"answered", func(http.ResponseWriter, *http.Request) {}, post(1), nil, 0},
		{"reset by the server", waitForEnd, join(post(1), appendWindowUpdate(nil, 1, 0)), nil, 0},
		{"reset by the client", waitForEnd, join(post(1), frame(http2.FrameRSTStream, 0, 1, u32(8))), nil, 0},
		{"reset by the client afterwards", waitForEnd, post(1), frame(http2.FrameRSTStream, 0, 1, u32(8)), 0},
		{"refused", waitForEnd, join(post(1, "connection", "close")), nil, 0},
		{"too large", waitForEnd, post(1, "content-length", "5"), nil, 0},
		{"after the end", waitForEnd, join(post(1), frame(http2.FrameData, http2.FlagDataEndStream, 1, nil)), nil, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{HTTP2: &http.HTTP2Config{
				MaxReceiveBufferPerStream: 200_000, MaxReceiveBufferPerConnection: 200_000,
			}}, tt.handler)
			sc := c.conn()
			c.Write(join(settingsAck(), tt.before))
			for range n / 1000 {
				c.Write(join(data(1, 900), padded(1, 100)))
				synctest.Wait()
			}
			c.Write(tt.after)
			synctest.Wait()
			time.Sleep(2 * time.Second)
			if got := c.take(); strings.Contains(got, "GOAWAY") {
				t.Fatalf("%s: %s", tt.name, got)
			}
			sc.mu.Lock()
			defer sc.mu.Unlock()
			c.mu.Lock()
			defer c.mu.Unlock()
			if held := sc.used - sc.owed; held != tt.held {
				t.Errorf("%s: the connection holds %d octets, want %d", tt.name, held, tt.held)
			}
			if theirs, ours := initialWindow+c.window[0]-n, sc.inWindow()-sc.used; theirs != ours {
				t.Errorf("%s: the client has a connection window of %d, which is %d here", tt.name, theirs, ours)
			}
			if sc.owed >= sc.inWindow()/4 {
				t.Errorf("%s: %d octets are to be given back", tt.name, sc.owed)
			}
			st := sc.streams[1]
			if st == nil || st.remoteEnded || st.body.closed {
				return
			}
			if held := st.body.used - int64(st.body.pending); held != tt.held {
				t.Errorf("%s: the stream holds %d octets, want %d", tt.name, held, tt.held)
			}
			if theirs, ours := st.body.window+c.window[1]-n, st.body.window-st.body.used; theirs != ours {
				t.Errorf("%s: the client has a stream window of %d, which is %d here", tt.name, theirs, ours)
			}
		})
	}
}

// What is over the window of a stream does not cost the connection.
func TestCreditOverWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := dialWatch(t, &http.Server{HTTP2: &http.HTTP2Config{MaxReceiveBufferPerStream: 1000}}, waitForEnd)
		sc := c.conn()
		c.Write(join(settingsAck(), post(1), data(1, 900), data(1, 200)))
		if got := c.take(); got != "RST_STREAM 1 FLOW_CONTROL_ERROR" {
			t.Error(got)
		}
		sc.mu.Lock()
		defer sc.mu.Unlock()
		if sc.used != 1100 || sc.owed != 1100 {
			t.Errorf("%d octets used, %d to be given back", sc.used, sc.owed)
		}
	})
}

// The windows of the client go down by what is sent, and no frame is larger than it takes.
func TestSendWindows(t *testing.T) {
	for _, direct := range []bool{false, true} {
		for _, maxFrame := range []int{0, minMaxFrame, 20_000} {
			for _, write := range [][]int{{0}, {1}, {4096}, {4097}, {20_000}, {60_000}, {100, 20_000}, {4096, 5, 4096}, {16_384, 1}} {
				synctest.Test(t, func(t *testing.T) {
					defer func(before bool) { anyVectored = before }(anyVectored)
					anyVectored = direct
					var st *stream
					c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
						st = w.(*response).st
						for _, n := range write {
							w.Write(make([]byte, n))
						}
					})
					sc := c.conn()
					most := minMaxFrame
					if maxFrame > 0 {
						most = maxFrame
						c.Write(appendSettings(nil, http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(maxFrame)}))
					}
					c.Write(frame(http2.FrameHeaders, endBoth, 1, get("/")))
					got := c.take()
					sum, total := 0, 0
					for _, n := range write {
						total += n
					}
					for _, n := range c.data[1] {
						sum += n
						if n > most {
							t.Errorf("%v: a frame of %d octets", write, n)
						}
					}
					if sum != total || !strings.HasSuffix(got, " END") {
						t.Errorf("%v: %s", write, got)
					}
					sc.mu.Lock()
					defer sc.mu.Unlock()
					if left := int64(initialWindow - total); sc.out.window != left || st.window != left {
						t.Errorf("%v: windows of %d and %d are left, not %d", write, sc.out.window, st.window, left)
					}
				})
			}
		}
	}
}

// A response that a window does not let through goes on when there is room.
func TestSendWaits(t *testing.T) {
	initial := func(n uint32) []byte {
		return appendSettings(nil, http2.Setting{ID: http2.SettingInitialWindowSize, Val: n})
	}
	request := frame(http2.FrameHeaders, endBoth, 1, get("/"))
	for name, tt := range map[string]struct {
		n     int
		steps [][]byte
		want  []string // DATA after each
	}{
		"settings":             {100, [][]byte{initial(0), request, initial(100)}, []string{"", "", "100 END"}},
		"settings, in part":    {4000, [][]byte{initial(10), request, initial(30), initial(4000)}, []string{"", "10", "20", "3970 END"}},
		"settings, below zero": {100, [][]byte{initial(50), request, initial(20), initial(50), initial(100)}, []string{"", "50", "", "", "50 END"}},
		"stream":               {100, [][]byte{initial(99), request, appendWindowUpdate(nil, 1, 1)}, []string{"", "99", "1 END"}},
		"connection": {100, [][]byte{initial(1 << 20), frame(http2.FrameHeaders, endBoth, 1, get("/all")), frame(http2.FrameHeaders, endBoth, 3, get("/")), appendWindowUpdate(nil, 0, 60), appendWindowUpdate(nil, 0, 50)},
			[]string{"", "65535 END", "", "60", "40 END"}},
		"overflow": {100, [][]byte{initial(0), request, appendWindowUpdate(nil, 1, 1), initial(1<<31 - 1)}, []string{"", "", "1", "99 END"}},
		"overflow, waiting": {1 << 20, [][]byte{appendWindowUpdate(nil, 0, 1<<30), initial(0), frame(http2.FrameHeaders, endBoth, 1, get("/wait")), appendWindowUpdate(nil, 1, 1), initial(1<<31 - 1)},
			[]string{"", "", "", "", "GOAWAY 1 FLOW_CONTROL_ERROR; EOF"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := dialWatch(t, &http.Server{}, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/all":
					w.Write(make([]byte, initialWindow))
				case "/wait":
					<-r.Context().Done()
				default:
					w.Write(make([]byte, tt.n))
				}
			})
			for i, p := range tt.steps {
				c.Write(p)
				var got []string
				n := 0
				for line := range strings.SplitSeq(c.take(), "; ") {
					var id, m int
					if k, _ := fmt.Sscanf(line, "DATA %d %d", &id, &m); k == 2 {
						n += m
						if strings.HasSuffix(line, " END") {
							got = append(got, fmt.Sprint(n, " END"))
							n = 0
						}
					} else if line != "" && !strings.HasPrefix(line, "HEADERS") {
						got = append(got, line)
					}
				}
				if n > 0 {
					got = append(got, fmt.Sprint(n))
				}
				if got := strings.Join(got, "; "); got != tt.want[i] {
					t.Errorf("%s, step %d: %q, want %q", name, i, got, tt.want[i])
				}
			}
		})
	}
}
