package h2c

import (
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
)

// A clientConn is an HTTP/2 connection of a Transport.
type clientConn struct {
	origin   *origin
	wire     *wire
	settings <-chan struct{} // closed when those of the server are in force
	cc       *http.ClientConn
	requests int // in progress, guarded by the lock of origin
}

// begin sends the request that c was made for, and puts c into the pool as soon as the
// SETTINGS of the server are in force: before, nobody knows how many streams it takes.
func (c *clientConn) begin(turn *turn, send func() (*http.Response, error)) (*http.Response, error) {
	share := sync.OnceFunc(func() {
		c.origin.add(c)
		close(turn.made)
		turn.end()
	})
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-c.settings:
			if c.useless() {
				c.cc.Close() // the request would wait for a stream for ever
			}
			share()
		case <-over:
		}
	}()
	resp, err := send()
	if err != nil {
		select {
		case <-c.settings:
		default:
			c.cc.Close() // nobody else can use it
			return nil, err
		}
	}
	share()
	return resp, err
}

// send sends a request, which is there already or was counted by next, in the form that is
// to go on the stream.
func (c *clientConn) send(req, form *http.Request) (*http.Response, error) {
	var parts atomic.Int32 // request and response
	ended := sync.OnceFunc(c.ended)
	end := func() {
		if parts.Add(-1) == 0 {
			ended()
		}
	}
	parts.Store(1)
	if held, ok := form.Body.(*heldBody); ok {
		parts.Store(2)
		held.onClose = end // net/http closes the body of every request
	}
	resp, err := c.cc.RoundTrip(form)
	switch {
	case err != nil:
		err = c.explain(req, form, err)
		ended()
		return nil, err
	case form.Method == http.MethodHead || resp.ContentLength == 0 || resp.StatusCode == http.StatusNotModified:
		end() // some do not close a body that is not there
	default:
		resp.Body = &streamBody{ReadCloser: resp.Body, ended: sync.OnceFunc(end)}
	}
	return resp, nil
}

// ended counts a request off.
func (c *clientConn) ended() {
	c.origin.mu.Lock()
	c.requests--
	c.origin.mu.Unlock()
	c.review()
}

// review takes c out of the pool if it has ended, or is of no more use and closed therefore.
func (c *clientConn) review() {
	gone := c.cc.Err() != nil
	if !gone && c.cc.Available() > 0 {
		return
	}
	c.origin.mu.Lock()
	useless := !gone && c.requests == 0 && c.useless()
	if gone || useless {
		c.origin.remove(c)
	}
	c.origin.mu.Unlock()
	if useless {
		c.cc.Close()
	}
}

// limit returns how many requests may be in progress on c, for one more to begin.
//
// A stream that is reserved with net/http counts against the limit of the server even if
// that is lowered before it is opened, and those who have reserved wait for each other then.
// So nothing is reserved: whoever is one too many waits for a stream that is open to end.
func (c *clientConn) limit() int {
	if c.cc.Err() != nil {
		return 0
	}
	for {
		open := c.cc.InFlight()
		left := c.cc.Available()
		switch {
		case left == 0:
			return 0
		case open == c.cc.InFlight():
			return open + left
		}
	}
}

// useless reports whether c takes no request though it has no stream: the server wants to close
// it, or allows none.
func (c *clientConn) useless() bool {
	return c.cc.Err() == nil && c.cc.InFlight() == 0 && c.cc.Available() == 0 && c.cc.InFlight() == 0
}

// A streamBody is the body of a response on a stream.
type streamBody struct {
	io.ReadCloser
	ended func()
}

func (b *streamBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.ended()
	}
	return n, err
}

func (b *streamBody) Close() error {
	defer b.ended()
	return b.ReadCloser.Close()
}

// A settingsConn is a connection to a server, whose first frame is SETTINGS. The client, which
// does one frame after the other, has processed them when it reads on.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4
type settingsConn struct {
	net.Conn
	processed chan struct{}

	// Used by Read.
	read, length int // octets, and how many of them are the payload of the first frame
	over         bool
}

func newSettingsConn(nc net.Conn) *settingsConn {
	return &settingsConn{Conn: nc, processed: make(chan struct{})}
}

func (c *settingsConn) Read(p []byte) (int, error) {
	if c.over {
		return c.Conn.Read(p)
	}
	const lengthSize, headerSize = 3, 9
	if c.read >= headerSize+c.length {
		c.over = true
		close(c.processed)
	}
	n, err := c.Conn.Read(p)
	for i := 0; i < n && c.read+i < lengthSize; i++ {
		c.length = c.length<<8 | int(p[i])
	}
	c.read += n
	return n, err
}
