package matrix

import (
	"context"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/transcript"
)

// exchange sends requests of a Transport to a server, both of which are listened in on.
func exchange(t *T) {
	hs := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "hello")
	})}
	if err := h2c.ConfigureServer(hs, nil); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		hs.Serve(t.Listener(l))
	}()
	t.Cleanup(func() {
		hs.Close()
		<-served
	})
	tr := &h2c.Transport{Base: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := new(net.Dialer).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return t.Conn(nc), nil
	}}}
	t.Cleanup(func() { tr.Close() })
	for range 2 {
		req, _ := http.NewRequest("GET", "http://"+l.Addr().String()+"/", nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "hello" || resp.ProtoMajor != 2 {
			t.Errorf("%s %q, %v", resp.Proto, b, err)
		}
		resp.Body.Close()
	}
}

func TestTap(t *testing.T) {
	r := Cell{Test: exchange}.Run(t.Context(), Options{Tap: true, Record: true})
	if r.Status != Passed {
		t.Fatalf("%s: %q", r.Status, r.Failures)
	}
	// Each octet is seen by both ends.
	for _, want := range []string{
		"client: HTTP/1.1 request\n      GET / HTTP/1.1\n",
		"server: HTTP/1.1 response\n      HTTP/1.1 101 Switching Protocols\n",
		"client: client preface\n",
		"server: DATA frame <length=5, flags=0x01, stream_id=1>\n",
		"client: HEADERS frame ",
		"server: DATA frame <length=5, flags=0x01, stream_id=3>\n",
		"connected from ",
	} {
		if n := strings.Count(r.Transcript, want); n != 2 {
			t.Errorf("%d times %q in\n%s", n, want, r.Transcript)
		}
	}
	var peers []string
	for _, recording := range r.Recorded {
		peers = append(peers, string(recording.Peer))
		if recording.Err != nil {
			t.Error(recording.Err)
		}
		tr := transcript.Transcript{Peer: "p", Role: recording.Peer, Entry: "upgrade", Case: "c", Conns: []transcript.Conn{recording.Conn}}
		text := tr.Encode()
		if n := len(tr.Exchanges()); n != 2 {
			t.Errorf("%d exchanges in\n%s", n, text)
		}
		if _, err := transcript.Parse(text); err != nil {
			t.Errorf("%v in\n%s", err, text)
		}
	}
	if slices.Sort(peers); !slices.Equal(peers, []string{"client", "server"}) {
		t.Errorf("recorded: %q", peers)
	}
}

// A connection that is listened in on stays a socket, and keeps its address.
func TestTapIsTransparent(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	tt := &T{ctx: t.Context(), tap: newTap(false)}
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := tt.Listener(l).Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	for _, nc := range []net.Conn{server, tt.Conn(client)} {
		if _, ok := nc.(syscall.Conn); !ok {
			t.Errorf("%T is no syscall.Conn", nc)
		}
		if _, ok := nc.(interface{ CloseWrite() error }); !ok {
			t.Errorf("%T cannot be shut down", nc)
		}
		if nc.LocalAddr() != nc.LocalAddr() {
			t.Errorf("%T has several addresses", nc)
		}
	}
	go server.(io.ReaderFrom).ReadFrom(io.LimitReader(strings.NewReader("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), 100))
	if _, err := io.ReadFull(client, make([]byte, 40)); err != nil {
		t.Error(err)
	}
	if text := tt.tap.transcript(); !strings.Contains(text, "server: body of 2 octets") {
		t.Errorf("ReadFrom goes past the tap: %s", text)
	}
}

func TestTapIsBounded(t *testing.T) {
	p := newTap(false)
	for range 100_000 {
		p.print("what is printed again and again")
	}
	if n := len(p.transcript()); n > maxText+100 {
		t.Errorf("%d octets", n)
	}
}
