package h2c

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

var (
	// What accepts an offer.
	// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
	switchingProtocols = []byte("HTTP/1.1 101 Switching Protocols\r\n" +
		"Connection: Upgrade\r\n" +
		"Upgrade: h2c\r\n\r\n")

	// notSwitched answers a request whose connection could not be handed over, most often
	// since the server began to shut down in that moment. No handler has seen the request.
	notSwitched = []byte("HTTP/1.1 503 Service Unavailable\r\n" +
		"Connection: close\r\n" +
		"Content-Type: text/plain; charset=utf-8\r\n" +
		"Content-Length: 27\r\n\r\n" +
		"could not switch to HTTP/2\n")
)

// upgrade answers a request whose offer was accepted: it reads the body, takes the
// connection from the HTTP/1 server and hands it to e, which answers on stream 1. From
// the hijack on, the connection belongs to the splice, which closes it.
//
// https://www.rfc-editor.org/rfc/rfc7540.html#section-3.2
func (h *handler) upgrade(w http.ResponseWriter, r *http.Request, e engine, o offer) {
	// "Requests that contain a payload body MUST be sent in their entirety before the
	// client can send HTTP/2 frames." Its length is known to be within the limit.
	body, err := readBody(r)
	if err != nil {
		// The handler sees what it would have seen without the offer.
		h.decline(w, r, ReasonBodyIncomplete, err)
		return
	}
	to, ok := e.announce()
	if !ok {
		h.decline(w, r, ReasonDisabled, nil)
		return
	}
	nc, buffered, err := to.hijack(w)
	if err != nil {
		h.decline(w, r, ReasonHijack, err)
		return
	}
	h.s.handOver(to, r.RemoteAddr, nc, ViaUpgrade, splice.Config{
		Inject: splice.AppendRequest(nil, splice.Request{
			Settings: o.settings,
			Fields:   o.fields,
			Body:     body,
		}),
		InjectedData: len(body),
		Buffered:     buffered,
		Accept:       switchingProtocols,
		Refusal:      notSwitched,
		Timeout:      h.s.handshakeTimeout(),
	})
}

// errBodyLength says that somebody has read from a body, or replaced it.
var errBodyLength = errors.New("the body is not as long as Content-Length says")

// readBody reads the body of a request whose length is known. r has it afterwards as it had it
// before.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, r.ContentLength+1))
	var rest io.Reader = failingReader{err}
	if err == nil {
		rest = r.Body
		if int64(len(body)) != r.ContentLength {
			err = errBodyLength
		}
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(body), rest), r.Body}
	return body, err
}

// hijack is for a connection that was announced, which it withdraws if there is none.
func (a announced) hijack(w http.ResponseWriter) (nc net.Conn, buffered []byte, err error) {
	defer func() {
		if nc == nil { // some middleware panics
			a.withdraw()
		}
	}()
	return hijack(w)
}

// hijack takes the connection from the HTTP/1 server, with what it has read of it.
func hijack(w http.ResponseWriter) (nc net.Conn, buffered []byte, err error) {
	nc, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	buffered = takeBuffered(rw.Reader)
	if c, ok := nc.(*splitConn); ok {
		nc, buffered = c.release(buffered)
	}
	return nc, buffered, nil
}

// takeBuffered returns what r holds, in memory that does not keep r alive.
func takeBuffered(r *bufio.Reader) []byte {
	b, _ := r.Peek(r.Buffered())
	return bytes.Clone(b)
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
