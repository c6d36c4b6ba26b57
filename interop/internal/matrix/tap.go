package matrix

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/seed78dc1b7f/h2c/internal/transcript"
	"github.com/seed78dc1b7f/h2c/internal/wiretap"
)

// maxText bounds what a tap writes down of a case, in octets.
const maxText = 1 << 20

// A tap writes down what goes over the connections of a case: HTTP/1.1 heads and frames, of
// all connections in their order. Of bodies it writes the lengths.
type tap struct {
	mu       sync.Mutex
	text     strings.Builder
	full     bool
	lines    []*line
	recorded bool // the octets are kept
}

func newTap(record bool) *tap { return &tap{recorded: record} }

// transcript returns what has been written down.
func (p *tap) transcript() string {
	if p == nil {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// A Recording is what went over a connection, octet by octet.
type Recording struct {
	Part string // of the case: the names that T.Run was given
	Peer transcript.Role
	Conn transcript.Conn
	Err  error // it is no example to follow
}

func (p *tap) recordings() []Recording {
	if p == nil || !p.recorded {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Recording
	for _, l := range p.lines {
		conn, err := l.recorder.Conn()
		all = append(all, Recording{l.part, l.peer, conn, err})
	}
	return all
}

// print writes down what happened, with details on lines of their own.
func (p *tap) print(what string, details ...string) {
	if p.full {
		return
	}
	fmt.Fprintln(&p.text, visible(what))
	for _, d := range details {
		fmt.Fprintln(&p.text, "      "+visible(d))
	}
	if p.full = p.text.Len() > maxText; p.full {
		fmt.Fprintln(&p.text, "and more that is not shown")
	}
}

// visible returns s without what a terminal takes for a command.
func visible(s string) string {
	if strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(s)
	}
	return s
}

// A line is a connection that is listened in on. Its methods are called with what this
// process reads and writes.
type line struct {
	tap      *tap
	id       int
	part     string // of the case
	peer     transcript.Role
	decoder  *wiretap.Decoder
	recorder *transcript.Recorder // or nil
	ended    bool
}

// newLine begins to listen in on a connection whose other end is in that role.
func (p *tap) newLine(part string, peer transcript.Role, nc net.Conn) *line {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &line{tap: p, id: len(p.lines) + 1, part: part, peer: peer}
	p.lines = append(p.lines, l)
	l.decoder = wiretap.New(func(e wiretap.Event) {
		switch {
		case !e.Shows():
		case e.Client:
			p.print(fmt.Sprintf("#%d client: %s", l.id, e.What), e.Details...)
		default:
			p.print(fmt.Sprintf("#%d server: %s", l.id, e.What), e.Details...)
		}
	})
	client, server := nc.LocalAddr(), nc.RemoteAddr()
	if peer == transcript.Client {
		client, server = server, client
	}
	p.print(fmt.Sprintf("#%d %sconnected from %s to %s", l.id, part, client, server))
	if p.recorded {
		l.recorder = transcript.NewRecorder(peer, client.String())
	}
	return l
}

func (l *line) read(b []byte, err error) {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	if l.ended {
		return
	}
	if l.peer == transcript.Client {
		l.decoder.Client(b)
	} else {
		l.decoder.Server(b)
	}
	if l.recorder != nil {
		l.recorder.Read(b)
	}
	var timeout net.Error
	switch {
	case err == nil, errors.Is(err, net.ErrClosed), errors.As(err, &timeout) && timeout.Timeout():
		return
	case err == io.EOF:
		l.end("closed by the " + string(l.peer))
	default:
		l.end("read: " + err.Error())
	}
	if l.recorder != nil {
		l.recorder.Closed()
	}
}

func (l *line) write(b []byte) {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	if l.peer == transcript.Client {
		l.decoder.Server(b)
	} else {
		l.decoder.Client(b)
	}
	if l.recorder != nil {
		l.recorder.Wrote(b)
	}
}

func (l *line) close() {
	l.tap.mu.Lock()
	defer l.tap.mu.Unlock()
	l.end("closed")
}

// end writes down, once, how the connection ended.
func (l *line) end(how string) {
	if l.ended {
		return
	}
	l.ended = true
	l.decoder.End()
	l.tap.print(fmt.Sprintf("#%d %s", l.id, how))
}

// Listener returns l, whose connections are listened in on if a transcript is wanted.
func (t *T) Listener(l net.Listener) net.Listener {
	if t.tap == nil {
		return l
	}
	return tappedListener{l, t}
}

type tappedListener struct {
	net.Listener
	t *T
}

func (l tappedListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.t.tapped(nc, transcript.Client), nil
}

// Conn returns nc, which was dialed, and is listened in on if a transcript is wanted.
func (t *T) Conn(nc net.Conn) net.Conn {
	if t.tap == nil {
		return nc
	}
	return t.tapped(nc, transcript.Server)
}

func (t *T) tapped(nc net.Conn, peer transcript.Role) net.Conn {
	l := t.tap.newLine(t.prefix, peer, nc)
	if s, ok := nc.(Socket); ok {
		return &tappedSocket{s, l}
	}
	return &tappedConn{nc, l}
}

// A Socket is what the library and net/http use of a [net.TCPConn]. They look at what comes
// on it, and know it by its local address, so whoever wraps one must leave all of this.
type Socket interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
}

type tappedConn struct {
	net.Conn
	line *line
}

func (c *tappedConn) Read(p []byte) (int, error)  { return c.line.readFrom(c.Conn, p) }
func (c *tappedConn) Write(p []byte) (int, error) { return c.line.writeTo(c.Conn, p) }
func (c *tappedConn) Close() error                { return c.line.closeAfter(c.Conn) }

type tappedSocket struct {
	Socket
	line *line
}

func (c *tappedSocket) Read(p []byte) (int, error)  { return c.line.readFrom(c.Socket, p) }
func (c *tappedSocket) Write(p []byte) (int, error) { return c.line.writeTo(c.Socket, p) }
func (c *tappedSocket) Close() error                { return c.line.closeAfter(c.Socket) }

// ReadFrom copies without what a TCPConn does to be faster, which nobody could listen in on.
func (c *tappedSocket) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}

// WriteTo is as ReadFrom.
func (c *tappedSocket) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, struct{ io.Reader }{c})
}

func (l *line) readFrom(r io.Reader, p []byte) (int, error) {
	n, err := r.Read(p)
	l.read(p[:n], err)
	return n, err
}

// writeTo writes p down first, so that no answer comes before it.
func (l *line) writeTo(w io.Writer, p []byte) (int, error) {
	l.write(p)
	return w.Write(p)
}

func (l *line) closeAfter(c io.Closer) error {
	l.close()
	return c.Close()
}
