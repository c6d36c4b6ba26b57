package h2c

import (
	"context"
	"errors"
	"io"
	stdlog "log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed78dc1b7f/h2c/internal/splice"
)

// Split parts the cleartext connections of l by what they speak, so that any HTTP/2 server,
// such as that of grpc-go, can share a port with an HTTP/1.1 server.
//
// The listener http2 yields connections that speak HTTP/2 from their first octet: those
// begun by prior knowledge, and those that a client begins by Upgrade, translated: what was
// the upgrade request is on stream 1. Its body is bounded by MaxUpgradeBodyBytes and by the
// 65,535 octets of an initial window
// (RFC 9113, Section 6.9.2: https://www.rfc-editor.org/rfc/rfc9113.html#section-6.9.2).
//
// The listener http1 yields all others, with the octets that the client sent, for an
// [http.Server]. An offer that comes later on such a connection, or in a head above 16 KiB, or
// after more than HandshakeTimeout, crosses over to http2 if the handler of that server is one
// of [NewHandler] with the same s. Offers that Split declines go to http1 as they came, and are
// counted by that handler. While nobody accepts from http1, because it is closed or because
// Accept has not been called in the first second, requests are answered 426 with "Upgrade: h2c"
// (RFC 9110, Section 15.5.22: https://www.rfc-editor.org/rfc/rfc9110.html#section-15.5.22).
//
// Whatever a client asks for, an accepted offer leads it to http2: with grpc-go there, a client of
// another API that offers h2c on all requests, as that of Java does, needs DisableUpgrade.
//
// Connections do not wait for each other. One that is not yielded yet holds a goroutine, up to
// 16 KiB of what came, and the body of an upgrade request. HandshakeTimeout bounds each of: the
// head of the first request, the body of an upgrade, and the wait until somebody accepts the
// connection. One whose head is not there by then is yielded to http1, or closed if it stops in
// the middle of a client preface; one whose upgrade body is not there is closed; one that nobody
// accepts is refused, by GOAWAY or 503.
//
// Either listener may be closed without the other: without http2, offers are declined, and
// connections begun by prior knowledge are closed. When both are closed, l is, too. [Server.Shutdown] closes all
// three, and waits for connections that have sent something and are not yielded. Those that
// are belong to who accepted them. To a handler behind http2, [RequestVia] is always
// [ViaPriorKnowledge].
func (s *Server) Split(l net.Listener) (http2, http1 net.Listener) {
	sp := &splitter{s: s, l: l, began: time.Now(), pending: make(map[*splitConn]bool), none: make(chan struct{})}
	for _, side := range []**splitListener{&sp.http2, &sp.http1, &sp.offers, &sp.rest} {
		*side = &splitListener{sp: sp, conns: make(chan net.Conn), closed: make(chan struct{})}
	}
	sp.negotiator = sp.server(sp.negotiate)
	sp.rejector = sp.server(sp.reject)
	go sp.negotiator.Serve(sp.offers)
	go sp.rejector.Serve(sp.rest)

	s.mu.Lock()
	s.splits = append(s.splits, sp)
	closing := s.closing
	s.mu.Unlock()
	if closing {
		sp.shut()
	}
	go sp.accept()
	return sp.http2, sp.http1
}

// unclaimed is how long http1 may be without a call to Accept until it counts as unused.
const unclaimed = time.Second

// A splitter parts the connections of a listener.
type splitter struct {
	s     *Server
	l     net.Listener
	began time.Time

	http2, http1 *splitListener
	offers       *splitListener // for first requests that may make an offer
	rest         *splitListener // for requests that nobody takes
	negotiator   *http.Server   // of offers
	rejector     *http.Server   // of rest

	mu      sync.Mutex
	pending map[*splitConn]bool // connections that are not yielded
	handing int                 // connections that are handed over, some of which were yielded
	closing bool
	none    chan struct{} // closed when closing, and nothing is pending or handed over

	aborted   atomic.Bool // Close has been called
	closeOnce sync.Once   // of l
	closeErr  error
}

// server returns a server of the splitter's own.
func (sp *splitter) server(h http.HandlerFunc) *http.Server {
	return &http.Server{
		Handler:                      h,
		ReadTimeout:                  sp.s.handshakeTimeout(),
		WriteTimeout:                 sp.s.handshakeTimeout(),
		ConnContext:                  withSplitConn,
		ErrorLog:                     stdlog.New(io.Discard, "", 0), // what is wrong, the server of http1 says
		DisableGeneralOptionsHandler: true,
	}
}

// accept accepts connections until the listener fails.
func (sp *splitter) accept() {
	var delay time.Duration
	for {
		nc, err := sp.l.Accept()
		if err == nil {
			delay = 0
			if c := newSplitConn(sp, nc); sp.add(c) {
				go sp.serve(c)
			} else {
				c.Close()
			}
			continue
		}
		// As net/http does: too many open files are a matter of time.
		//lint:ignore SA1019 Listeners have nothing better.
		if ne, ok := err.(net.Error); ok && ne.Temporary() {
			delay = min(max(2*delay, 5*time.Millisecond), time.Second)
			time.Sleep(delay)
			continue
		}
		sp.http2.end(err)
		sp.http1.end(err)
		sp.shut()
		return
	}
}

// serve finds out what a connection speaks, and brings it to who is to serve it.
func (sp *splitter) serve(c *splitConn) {
	switch begin, err := c.readBegin(sp.s.handshakeTimeout()); begin {
	case beginNothing:
		c.Close()
	case beginHTTP1:
		sp.yield(c)
	case beginOffer:
		if c.isTLS() {
			sp.yield(c)
			return
		}
		c.mode.Store(splitUndecided)
		if !sp.offers.offer(c, 0) {
			c.Close()
		}
	case beginPreface:
		defer c.forget()
		switch {
		case err != nil:
			sp.refuse(c, prefaceReason(err), err)
		case sp.s.DisablePriorKnowledge:
			sp.refuse(c, ReasonPriorKnowledge, nil)
		default:
			refusal := goingAway
			if sp.http2.isClosed() && !sp.isClosing() {
				// A client that hears anything of a server takes it for a good one, and those that do
				// not wait then dial again at once, as grpc-go does.
				refusal = nil
			}
			sp.s.handOver(announced{engine: engine{split: sp}}, c.remote(), c.Conn, ViaPriorKnowledge, splice.Config{
				Buffered: c.seen[len(clientPreface):],
				Refusal:  refusal,
			})
		}
	}
}

// refuse closes a connection that began with a client preface, or half of one.
func (sp *splitter) refuse(c *splitConn, reason Reason, err error) {
	sp.s.negotiated(Negotiation{Via: ViaPriorKnowledge, Reason: reason, Err: err, RemoteAddr: c.remote()})
	c.Close()
}

// yield gives c to the server of http1, or has its request answered instead. It is pending
// until that is done: net/http does not answer what it reads after Shutdown was called.
func (sp *splitter) yield(c *splitConn) {
	claimed := sp.http1.claimed.Load()
	if !claimed {
		if sp.http1.offer(c, max(unclaimed-time.Since(sp.began), 1)) {
			sp.remove(c)
			return
		}
		claimed = sp.http1.claimed.Load() // by now
	}
	if claimed && sp.http1.offer(c, sp.s.handshakeTimeout()) {
		sp.remove(c)
		return
	}
	c.unclaimed = !sp.http2.isClosed() && (!claimed || sp.http1.isClosed())
	if len(c.seen) == 0 || !sp.rest.offer(c, 0) {
		c.Close()
	}
}

// negotiate is the handler for the first request of a connection, if it seems to make an
// offer.
func (sp *splitter) negotiate(w http.ResponseWriter, r *http.Request) {
	c := r.Context().Value(splitKey{}).(*splitConn)
	if offersH2C(r) && !sp.s.DisableUpgrade && !sp.http2.isClosed() {
		e := engine{split: sp}
		o := negotiate(r, sp.s.AllowUpgrade, e.limits(sp.s))
		if o.reason == "" {
			defer sp.remove(c)
			c.mode.Store(splitDecided)
			(&handler{s: sp.s, next: http.HandlerFunc(abort)}).upgrade(w, r, e, o)
			return
		}
		c.declined, c.verdict = r, o
	}
	http.NewResponseController(w).Hijack() // so that nobody reads from c any more
	c.Close()
}

// abort ends a request that broke off.
func abort(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// reject answers a request that no server takes.
func (sp *splitter) reject(w http.ResponseWriter, r *http.Request) {
	if c := r.Context().Value(splitKey{}).(*splitConn); !c.unclaimed {
		w.Header().Set("Connection", "close")
		http.Error(w, "h2c: nobody takes this connection", http.StatusServiceUnavailable)
		return
	}
	w.Header()["Connection"] = []string{"close", "Upgrade"} // net/http closes it if the first is "close"
	w.Header().Set("Upgrade", "h2c")
	http.Error(w, "h2c: this server speaks HTTP/2", http.StatusUpgradeRequired)
}

// handOver gives the connection of h to who accepts from http2, and returns when it was
// taken or refused.
func (sp *splitter) handOver(h *handoff) {
	sp.addHanding(1)
	defer sp.addHanding(-1)
	if sp.http2.offer(h.conn, sp.s.handshakeTimeout()) {
		<-h.settled // by Accept
	}
	h.conn.Refuse() // unless it was taken
}

func (sp *splitter) addHanding(n int) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	sp.handing += n
	sp.settle()
}

// shut closes the listeners, and connections that have not sent anything.
func (sp *splitter) shut() {
	sp.http2.Close()
	sp.http1.Close()
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.closing {
		return
	}
	sp.closing = true
	for c := range sp.pending {
		c.hurry()
	}
	sp.settle()
}

// settle ends the servers of the splitter's own once nothing can come to them. sp.mu is held.
func (sp *splitter) settle() {
	if sp.closing && len(sp.pending) == 0 && sp.handing == 0 && !isClosed(sp.none) {
		close(sp.none)
		sp.offers.end(net.ErrClosed)
		sp.rest.end(net.ErrClosed)
		go sp.s.forget(sp)
	}
}

func (sp *splitter) isClosing() bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.closing
}

// closeListener closes the listener that was split, if nobody has.
func (sp *splitter) closeListener() error {
	sp.closeOnce.Do(func() {
		if err := sp.l.Close(); !errors.Is(err, net.ErrClosed) {
			sp.closeErr = err
		}
	})
	return sp.closeErr
}

// Shutdown waits until no connection is pending.
func (sp *splitter) Shutdown(ctx context.Context) error {
	sp.shut()
	select {
	case <-sp.none:
	case <-ctx.Done():
		return ctx.Err()
	}
	return errors.Join(sp.negotiator.Shutdown(ctx), sp.rejector.Shutdown(ctx))
}

// Close closes all connections that are pending.
func (sp *splitter) Close() error {
	sp.shut()
	sp.aborted.Store(true)
	sp.mu.Lock()
	for c := range sp.pending {
		c.Conn.Close()
	}
	sp.mu.Unlock()
	return errors.Join(sp.negotiator.Close(), sp.rejector.Close())
}

// add notes that c is pending, unless it is too late for that.
func (sp *splitter) add(c *splitConn) bool {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.closing {
		return false
	}
	sp.pending[c] = true
	return true
}

// remove notes that c is not pending any more.
func (sp *splitter) remove(c *splitConn) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if !sp.pending[c] {
		return
	}
	delete(sp.pending, c)
	sp.settle()
}

// A splitListener is one side of a Split.
type splitListener struct {
	sp    *splitter
	conns chan net.Conn

	claimed atomic.Bool // Accept has been called
	mu      sync.Mutex
	err     error // what Accept returns, when closed is
	closed  chan struct{}
}

// Accept implements [net.Listener].
func (l *splitListener) Accept() (net.Conn, error) {
	l.claimed.Store(true)
	for !l.isClosed() {
		select {
		case nc := <-l.conns:
			if c, ok := nc.(*splice.Conn); !ok || c.Take() {
				return nc, nil
			}
		case <-l.closed:
		}
	}
	return nil, l.err
}

// offer waits until somebody accepts nc, for so long unless that is 0. It reports whether that
// came to pass.
func (l *splitListener) offer(nc net.Conn, timeout time.Duration) bool {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case l.conns <- nc:
		return true
	case <-l.closed:
	case <-expired:
	}
	return false
}

// Addr returns the address of the listener that was split.
func (l *splitListener) Addr() net.Addr { return l.sp.l.Addr() }

// Close ends this side, and closes the listener that was split if the other has ended. Who
// closes it after [Server.Shutdown] did, as servers do, gets no error.
func (l *splitListener) Close() error {
	l.end(net.ErrClosed)
	if sp := l.sp; sp.http2.isClosed() && sp.http1.isClosed() {
		return sp.closeListener()
	}
	return nil
}

// end makes Accept return err, unless this side has ended.
func (l *splitListener) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isClosed() {
		l.err = err
		close(l.closed)
	}
}

func (l *splitListener) isClosed() bool {
	return isClosed(l.closed)
}

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
