// Package origin serves what the cases ask for: with this library, and in other ways that
// Go has.
package origin

import (
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/net/http2"
	//lint:ignore SA1019 Servers in use have it.
	xh2c "golang.org/x/net/http2/h2c"

	"github.com/seed78dc1b7f/h2c"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// A Way is how a server comes to speak HTTP/2.
type Way string

const (
	ByConfigureServer Way = "ConfigureServer"
	ByNewHandler      Way = "NewHandler"
	ByHTTP2Only       Way = "ConfigureServer, HTTP/2 alone"
	ByNetHTTP         Way = "net/http"          // without this library: the baseline
	ByNetHTTP1        Way = "net/http HTTP/1.1" // as that, and HTTP/1.1 only
	ByXNet            Way = "x/net h2c"
)

// withNetHTTP is behind the names of ways in which this library uses the engine of net/http.
const withNetHTTP = " with the engine of net/http"

// Ways are those of this library: with both engines, and in tests, of which CI runs several
// rounds with the race detector, with the default one.
var Ways = func() []Way {
	if testing.Testing() {
		return []Way{ByConfigureServer, ByNewHandler}
	}
	return []Way{
		ByConfigureServer, ByConfigureServer + withNetHTTP,
		ByNewHandler, ByNewHandler + withNetHTTP,
	}
}()

// IsOurs reports whether the engine is the one of this library.
func (w Way) IsOurs() bool { return !strings.HasSuffix(string(w), withNetHTTP) }

// IsNewHandler reports whether w is ByNewHandler, with either engine.
func (w Way) IsNewHandler() bool { return strings.HasPrefix(string(w), string(ByNewHandler)) }

// A Server serves a Handler on a loopback port of its own.
type Server struct {
	*Handler
	Addr string
	Port string
	URL  string
	H2C  *h2c.Server // nil for those without this library
	HTTP *http.Server
	Log  peer.Log

	served chan error
}

// A Config says what is not as usual.
type Config struct {
	H2C    *h2c.Server                     // nil for the defaults
	Serve  http.Handler                    // nil for the Handler
	Listen func(net.Listener) net.Listener // nil, or wraps the listener
	HTTP2  *http.HTTP2Config               // nil for the defaults of net/http
	Breaks h2c.Reason                      // of handshakes that are meant to break
}

// Start starts a server.
func Start(way Way, c Config) (*Server, error) {
	if c.H2C == nil {
		c.H2C = new(h2c.Server)
	}
	s := &Server{Handler: NewHandler(), H2C: c.H2C, served: make(chan error, 1)}
	if c.Serve == nil {
		c.Serve = s.Handler
	}
	w, netHTTP := strings.CutSuffix(string(way), withNetHTTP)
	if netHTTP {
		s.H2C.Engine = h2c.EngineNetHTTP
	}
	s.HTTP = &http.Server{Handler: c.Serve, ErrorLog: log.New(&s.Log, "", 0), HTTP2: c.HTTP2}
	switch Way(w) {
	case ByConfigureServer, ByHTTP2Only:
		if Way(w) == ByHTTP2Only {
			s.HTTP.Protocols = new(http.Protocols)
			s.HTTP.Protocols.SetUnencryptedHTTP2(true)
		}
		if err := h2c.ConfigureServer(s.HTTP, s.H2C); err != nil {
			return nil, err
		}
	case ByNewHandler:
		s.HTTP.Handler = h2c.NewHandler(c.Serve, s.H2C)
	case ByNetHTTP:
		s.H2C = nil
		s.HTTP.Protocols = new(http.Protocols)
		s.HTTP.Protocols.SetHTTP1(true)
		s.HTTP.Protocols.SetUnencryptedHTTP2(true)
	case ByNetHTTP1:
		s.H2C = nil
	case ByXNet:
		s.H2C = nil
		//lint:ignore SA1019 as above
		s.HTTP.Handler = xh2c.NewHandler(c.Serve, new(http2.Server))
	default:
		return nil, fmt.Errorf("no way %q to start a server", way)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.Addr = l.Addr().String()
	s.URL = "http://" + s.Addr
	_, s.Port, _ = net.SplitHostPort(s.Addr)
	if c.Listen != nil {
		l = c.Listen(l)
	}
	go func() { s.served <- s.HTTP.Serve(l) }()
	return s, nil
}

// Close ends the server and all of its connections.
func (s *Server) Close() error {
	err := s.HTTP.Close()
	if s.H2C != nil {
		err = errors.Join(err, s.H2C.Close())
	}
	if e := <-s.served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// Connections returns how many connections the requests so far came on.
func (s *Server) Connections() int {
	remotes := make(map[string]bool)
	for _, r := range s.Seen() {
		remotes[r.Remote] = true
	}
	return len(remotes)
}
