package h2c

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var (
	errHTTP1Only = errors.New("the server answers in HTTP/1")
	errHTTP2Only = errors.New("the server answers in HTTP/2")
)

// A wire is a connection that a Transport has dialed. It looks at the first octet that the
// server sends, which tells the protocols apart: HTTP/1 begins with a letter, and the
// SETTINGS or GOAWAY frame of an HTTP/2 server with the length of a short payload.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-3.4
type wire struct {
	net.Conn
	onFirst func(http2 bool) error // called with the first octet; an error ends the connection
	onClose func(*wire)

	first         chan struct{} // full while somebody reads, until the first octet has come
	seen          atomic.Bool   // it has
	failed        atomic.Pointer[error]
	read, written atomic.Int64
	once          sync.Once

	// When it began to speak HTTP/2, and how. Guarded by the Transport's lock.
	via                       Via
	opened                    time.Time
	closed                    bool
	readBefore, writtenBefore int64
}

func (w *wire) Read(p []byte) (int, error) {
	if !w.seen.Load() {
		w.first <- struct{}{}
		defer func() { <-w.first }()
	}
	return w.look(p)
}

// look reads, and looks at the first octet. Nobody else does, or it has come.
func (w *wire) look(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.read.Add(int64(n))
	if n > 0 && !w.seen.Load() && w.seen.CompareAndSwap(false, true) {
		if err := w.onFirst(p[0] == 0); err != nil {
			return 0, w.fail(err)
		}
	}
	return n, err
}

func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	w.written.Add(int64(n))
	if err != nil && !w.seen.Load() {
		w.lastWords()
	}
	return n, err
}

// lastWords waits for a first octet that is on its way when a Write fails: the server may have said
// why before it closed the connection.
func (w *wire) lastWords() {
	if w.Conn.SetReadDeadline(time.Now().Add(lastWordsTimeout)) != nil {
		return // nothing would end the Read
	}
	w.first <- struct{}{}
	defer func() { <-w.first }()
	if !w.seen.Load() {
		w.look(make([]byte, 1))
	}
}

const lastWordsTimeout = 100 * time.Millisecond

// fail notes why the connection is of no use.
func (w *wire) fail(err error) error {
	w.failed.CompareAndSwap(nil, &err)
	return err
}

// err returns what the first octet told against the connection.
func (w *wire) err() error {
	if err := w.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// ReadFrom lets the connection take what r holds in its own way, such as sendfile.
func (w *wire) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(w.Conn, r)
	w.written.Add(n)
	return n, err
}

// CloseWrite shuts the writing side down, where the connection can.
func (w *wire) CloseWrite() error {
	if half, ok := w.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// NetConn returns the connection that was dialed.
func (w *wire) NetConn() net.Conn { return w.Conn }

func (w *wire) Close() error {
	err := w.Conn.Close()
	w.once.Do(func() { w.onClose(w) })
	return err
}

// dial dials in the way of Base.
func (t *Transport) dial(ctx context.Context, network, addr string, onFirst func(http2 bool) error) (net.Conn, error) {
	var nc net.Conn
	var err error
	switch {
	case t.base.DialContext != nil:
		nc, err = t.base.DialContext(ctx, network, addr)
	//lint:ignore SA1019 Base may have it.
	case t.base.Dial != nil:
		//lint:ignore SA1019 as above
		nc, err = t.base.Dial(network, addr)
	default:
		nc, err = new(net.Dialer).DialContext(ctx, network, addr)
	}
	if err != nil {
		return nil, err
	}
	w := &wire{Conn: nc, onFirst: onFirst, onClose: t.wireClosed, first: make(chan struct{}, 1)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		nc.Close()
		return nil, ErrTransportClosed
	}
	t.wires[w] = struct{}{}
	return w, nil
}

func onlyHTTP1(http2 bool) error {
	if http2 {
		return errHTTP2Only
	}
	return nil
}

// speaksHTTP2 notes that a connection speaks HTTP/2 from here on.
func (t *Transport) speaksHTTP2(w *wire, via Via, addr string) {
	t.negotiated(Negotiation{Via: via, RemoteAddr: addr})
	t.mu.Lock()
	w.via, w.opened = via, time.Now()
	w.readBefore, w.writtenBefore = w.read.Load(), w.written.Load()
	closed := w.closed
	t.mu.Unlock()
	if closed {
		t.counters.closed(w.info(), t.Trace, t.Logger)
	}
}

func (t *Transport) wireClosed(w *wire) {
	t.mu.Lock()
	w.closed = true
	delete(t.wires, w)
	opened := w.opened
	t.mu.Unlock()
	if !opened.IsZero() {
		t.counters.closed(w.info(), t.Trace, t.Logger)
	}
}

func (t *Transport) isClosed(w *wire) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return w.closed
}

func (w *wire) info() ConnInfo {
	return ConnInfo{
		Via:          w.via,
		RemoteAddr:   remoteAddr(w.Conn),
		Duration:     time.Since(w.opened),
		BytesRead:    w.read.Load() - w.readBefore,
		BytesWritten: w.written.Load() - w.writtenBefore,
	}
}
