// Package engine serves HTTP/2 connections with an http.Handler.
//
// One goroutine for each connection reads, parses and decodes, unless the connection is idle;
// handlers run in goroutines that are used again, and it is one of these. A handler appends its
// frames to the connection's buffer itself, and whoever finds nobody writing writes all that is
// there.
package engine

import (
	"context"
	"crypto/tls"
	"log"
	"net/http"
	"runtime"
	"sync"
	"time"
)

// A Server has the HTTP/2 connections of an [http.Server]. All of that which concerns HTTP/2
// holds for them: timeouts, limits, HTTP2, ErrorLog.
type Server struct {
	hs     *http.Server
	limits func() *limits

	mu       sync.Mutex
	conns    map[*conn]bool
	closing  bool
	awake    map[*conn]uint64 // those that a worker reads from: reads at the last sweep
	sweeping bool             // a timer is set

	workers workers
	lends   lends
}

// New returns a Server for the connections of hs. Its fields are read as the first one begins.
func New(hs *http.Server) *Server {
	return &Server{
		hs:     hs,
		limits: sync.OnceValue(func() *limits { return limitsOf(hs) }),
		conns:  make(map[*conn]bool),
		awake:  make(map[*conn]uint64),
		lends:  lends{hot: hotTime, quick: quickHandler, most: lendTime, start: time.Now()},
	}
}

// Options are of one connection.
type Options struct {
	Context context.Context // from which those of requests come
	Handler http.Handler
	// SawPreface says that the 24 octets of the client preface have been read.
	SawPreface bool
	TLS        *tls.ConnectionState // nil in cleartext
}

// Shutdown makes every connection end when its streams have, and does not wait.
//
// https://www.rfc-editor.org/rfc/rfc9113.html#section-6.8
func (s *Server) Shutdown() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for c := range s.conns {
		go c.shutdown()
	}
}

// LogPanic tells ErrorLog of a panic, unless v says that there is nothing to tell.
func (s *Server) LogPanic(protocol, remote string, v any) {
	if v != nil && v != http.ErrAbortHandler {
		buf := make([]byte, 64<<10)
		s.logf("%s: panic serving %v: %v\n%s", protocol, remote, v, buf[:runtime.Stack(buf, false)])
	}
}

func (s *Server) logf(format string, args ...any) {
	if s.hs.ErrorLog != nil {
		s.hs.ErrorLog.Printf(format, args...)
	} else {
		log.Printf(format, args...)
	}
}

// limits are what a connection is held to.
type limits struct {
	maxStreams    uint32
	maxFrame      int // octets of payload that are taken
	maxHeaderList int // octets, each field counted with 32 more
	maxFields     int // 0: no limit
	decoderTable  uint32
	encoderTable  uint32
	streamWindow  int32
	connWindow    int32

	readTimeout      time.Duration
	writeTimeout     time.Duration
	idleTimeout      time.Duration
	sendPingTimeout  time.Duration
	pingTimeout      time.Duration
	writeByteTimeout time.Duration
	anyCipher        bool
	countError       func(string)
}

// DefaultConnWindow is MaxReceiveBufferPerConnection of HTTP2 where that does not say, in octets: that of
// four streams, so that a handler that does not read holds up no other, and a fast client has what it
// may send while handlers read. That of net/http is 1 MiB.
const DefaultConnWindow = 4 << 20

const (
	defaultMaxStreams   = 250
	minMaxFrame         = 16 << 10
	defaultMaxFrame     = minMaxFrame
	maxMaxFrame         = 1<<24 - 1
	defaultStreamWindow = 1 << 20
	initialWindow       = 65535
	defaultTable        = 4096
	defaultPingTimeout  = 15 * time.Second
	fieldOverhead       = 32 // https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.2
)

func limitsOf(hs *http.Server) *limits {
	var conf http.HTTP2Config
	if hs.HTTP2 != nil {
		conf = *hs.HTTP2
	}
	within := func(n, least, most, otherwise int) int {
		if n < least || n > most {
			return otherwise
		}
		return n
	}
	headerBytes := hs.MaxHeaderBytes
	if headerBytes <= 0 {
		headerBytes = http.DefaultMaxHeaderBytes
	}
	l := &limits{
		maxStreams:       uint32(within(conf.MaxConcurrentStreams, 1, 1<<31-1, defaultMaxStreams)),
		maxFrame:         within(conf.MaxReadFrameSize, minMaxFrame, maxMaxFrame, defaultMaxFrame),
		maxHeaderList:    headerBytes + 10*fieldOverhead,
		maxFields:        maxHeaderValueCount(hs),
		decoderTable:     uint32(within(conf.MaxDecoderHeaderTableSize, 1, 1<<31-1, defaultTable)),
		encoderTable:     uint32(within(conf.MaxEncoderHeaderTableSize, 1, 1<<31-1, defaultTable)),
		streamWindow:     int32(within(conf.MaxReceiveBufferPerStream, 1, 1<<31-1, defaultStreamWindow)),
		connWindow:       int32(within(conf.MaxReceiveBufferPerConnection, initialWindow, 1<<31-1, DefaultConnWindow)),
		readTimeout:      hs.ReadTimeout,
		writeTimeout:     hs.WriteTimeout,
		idleTimeout:      hs.IdleTimeout,
		sendPingTimeout:  conf.SendPingTimeout,
		pingTimeout:      conf.PingTimeout,
		writeByteTimeout: conf.WriteByteTimeout,
		anyCipher:        conf.PermitProhibitedCipherSuites,
		countError:       conf.CountError,
	}
	if hs.IdleTimeout == 0 {
		l.idleTimeout = hs.ReadTimeout
	}
	if l.pingTimeout <= 0 {
		l.pingTimeout = defaultPingTimeout
	}
	if l.countError == nil {
		l.countError = func(string) {}
	}
	return l
}
