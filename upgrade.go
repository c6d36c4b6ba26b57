package h2c

import (
	"bufio"
	"bytes"
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
	// client can send HTTP/2 frames." The limit is known to hold.
	body, err := readBody(r)
	if err != nil {
		// The handler sees what it would have seen without the offer.
		whole := io.MultiReader(bytes.NewReader(body), failingReader{err})
		h.decline(w, withBody(r, whole), ReasonBodyIncomplete, err)
		return
	}
	to, ok := e.announce()
	if !ok {
		h.decline(w, withBody(r, bytes.NewReader(body)), ReasonDisabled, nil)
		return
	}
	nc, buffered, err := hijack(w)
	if err != nil {
		to.withdraw()
		h.decline(w, withBody(r, bytes.NewReader(body)), ReasonHijack, err)
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

// readBody reads the body of a request whose length is known.
func readBody(r *http.Request) ([]byte, error) {
	if r.ContentLength == 0 {
		return nil, nil
	}
	return io.ReadAll(r.Body)
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

// withBody returns r with a body that has been read from it.
func withBody(r *http.Request, body io.Reader) *http.Request {
	r2 := new(http.Request)
	*r2 = *r
	r2.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	return r2
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
