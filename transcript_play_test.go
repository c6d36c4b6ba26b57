package h2c_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/net/http2"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/internal/memnet"
	"github.com/seed78dc1b7f/h2c/internal/transcript"
	"github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// patience bounds each wait of a player.
const patience = 5 * time.Second

// A player plays a peer on a connection.
type player struct {
	nc     net.Conn
	client bool // the peer is
	parts  []transcript.Part
	want   *transcript.Side // what the library is to say
	err    error            // of play

	mu            sync.Mutex
	decoder       *wiretap.Decoder
	peer, library *transcript.Side // what they have said so far
	fences        int

	progress chan struct{} // receives when the library has said more
	over     chan struct{} // closed when it has closed the connection
}

func newPlayer(tr *transcript.Transcript, c transcript.Conn, nc net.Conn) *player {
	p := &player{
		nc: nc, client: tr.Role == transcript.Client, parts: c.Parts,
		peer: new(transcript.Side), library: new(transcript.Side),
		progress: make(chan struct{}, 1), over: make(chan struct{}),
	}
	said, want := tr.Said(c)
	if p.want = want; said.GoAway != "" {
		want.GoAway = "" // the answer to one may also be to close the connection
	}
	p.decoder = wiretap.New(func(e wiretap.Event) {
		if e.Client == p.client {
			p.peer.Add(e)
		} else {
			p.library.Add(e)
		}
	})
	go p.listen()
	return p
}

func (p *player) listen() {
	defer close(p.over)
	buf := make([]byte, 32<<10)
	for {
		n, err := p.nc.Read(buf)
		p.hear(!p.client, buf[:n])
		select {
		case p.progress <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (p *player) hear(client bool, b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if client {
		p.decoder.Client(b)
	} else {
		p.decoder.Server(b)
	}
}

// play says what the peer has said, each part when the library has said what it came after.
func (p *player) play() error {
	for _, part := range p.parts {
		if part.Client != p.client {
			continue
		}
		if err := p.await(part.After); err != nil {
			return err
		}
		canFence := p.canFence()
		p.hear(p.client, part.Octets) // before what comes of it
		if canFence && !p.canFence() {
			if err := p.fence(); err != nil {
				return err
			}
		}
		if _, err := p.nc.Write(part.Octets); err != nil {
			return err
		}
		if part.Closes {
			err := p.settle()
			return errors.Join(err, p.closeWrite())
		}
	}
	return p.settle()
}

// settle waits until the library has said all that it is to say, and has had the time to say
// too much.
func (p *player) settle() error {
	if err := p.await(p.want.Facts()); err != nil {
		return err
	}
	if p.canFence() {
		return p.fence()
	}
	return nil
}

// canFence reports whether both ends speak HTTP/2 and neither is leaving.
func (p *player) canFence() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.library.Settings > 0 && (p.peer.Preface || p.library.Preface) && p.peer.GoAway == "" && p.library.GoAway == ""
}

// fence sends a PING. Its answer comes after the acknowledgements of all SETTINGS before it.
func (p *player) fence() error {
	ping := frames(func(fr *http2.Framer) { fr.WritePing(false, [8]byte{'f', 'e', 'n', 'c', 'e'}) })
	p.hear(p.client, ping)
	p.mu.Lock()
	p.fences++
	n := p.peer.Pings
	p.mu.Unlock()
	if _, err := p.nc.Write(ping); err != nil {
		return err
	}
	return p.await([]transcript.Fact{{What: transcript.PingAck, N: n}})
}

func frames(write func(*http2.Framer)) []byte {
	var b bytes.Buffer
	write(http2.NewFramer(&b, nil))
	return b.Bytes()
}

// await waits until the library has said something.
func (p *player) await(facts []transcript.Fact) error {
	holds := func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.library.Holds(facts)
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for !holds() {
		var why string
		select {
		case <-p.progress:
			continue
		case <-p.over:
			why = "the library has closed the connection"
		case <-timeout.C:
			why = "nothing more comes"
		}
		if !holds() {
			p.mu.Lock()
			defer p.mu.Unlock()
			return fmt.Errorf("waiting for %v: %s after %v", facts, why, p.library.Facts())
		}
	}
	return nil
}

func (p *player) closeWrite() error { return p.nc.(*memnet.Conn).CloseWrite() }

// end ends connection i and compares what the library has said with what was recorded.
func (p *player) end(t *testing.T, i int, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("connection %d: %v", i+1, err)
	}
	p.closeWrite()
	select {
	case <-p.over:
	case <-time.After(patience):
		t.Errorf("connection %d is still open", i+1)
	}
	p.nc.Close()
	<-p.over
	p.library.PingAcks -= p.fences
	if p.peer.GoAway != "" {
		p.library.GoAway = ""
	}
	if diff := cmp.Diff(p.want, p.library, cmp.Comparer(bytes.Equal),
		cmpopts.IgnoreUnexported(transcript.Side{}), cmpopts.IgnoreFields(transcript.Side{}, "Pings")); diff != "" {
		t.Errorf("connection %d: the library says (-as recorded +now)\n%s", i+1, diff)
	}
}

// recorded is the handler that the transcripts were recorded with.
var recorded = func() http.Handler {
	mux := new(http.ServeMux)
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(body)
		seen := struct {
			Method, Target, Host, Proto string
			Via                         h2c.Via
			Remote                      string
			Header, Trailer             http.Header
			ContentLength               int64
			BodyBytes                   int
			BodySHA256, BodyError       string
		}{
			r.Method, r.RequestURI, r.Host, r.Proto, h2c.RequestVia(r), r.RemoteAddr, r.Header, r.Trailer,
			r.ContentLength, len(body), hex.EncodeToString(sum[:]), "",
		}
		if err != nil {
			seen.BodyError = err.Error()
		}
		b, _ := json.Marshal(seen)
		w.Header().Set("Content-Type", "application/json")
		w.Write(append(b, '\n'))
	})
	mux.HandleFunc("/bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n"))
		w.Header().Set("Content-Length", strconv.Itoa(n))
		w.Write(transcript.Payload(n))
	})
	mux.HandleFunc("/trailers", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "X-Check")
		io.WriteString(w, "hello\n")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Check", "done")
	})
	mux.HandleFunc("/early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		io.WriteString(w, "hello\n")
	})
	mux.HandleFunc("/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		code, _ := strconv.Atoi(r.PathValue("code"))
		w.WriteHeader(code)
	})
	return mux
}()
