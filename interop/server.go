package interop

import (
	"bytes"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"sync"

	"golang.org/x/net/http2"
	//lint:ignore SA1019 Servers in use have it.
	xh2c "golang.org/x/net/http2/h2c"

	"github.com/seed78dc1b7f/h2c"
)

// A way is how a server comes to speak HTTP/2.
type way string

const (
	byConfigureServer way = "ConfigureServer"
	byNewHandler      way = "NewHandler"
	byNetHTTP         way = "net_http"  // without this library: the baseline
	byNetHTTP1        way = "net_http1" // as that, and HTTP/1.1 only
	byXNet            way = "x_net_h2c"
)

// A server serves a handler on a loopback port of its own.
type server struct {
	*handler
	addr string
	url  string
	h2c  *h2c.Server // nil for those without this library

	http   *http.Server
	served chan error
	log    logBuffer
}

// startServer starts a server. conf is nil for the defaults.
func startServer(w way, conf *h2c.Server) (*server, error) {
	if conf == nil {
		conf = new(h2c.Server)
	}
	s := &server{
		handler: newHandlerUnderTest(),
		h2c:     conf,
		served:  make(chan error, 1),
	}
	s.http = &http.Server{Handler: s.handler, ErrorLog: log.New(&s.log, "", 0)}
	switch w {
	case byConfigureServer:
		if err := h2c.ConfigureServer(s.http, s.h2c); err != nil {
			return nil, err
		}
	case byNewHandler:
		s.http.Handler = h2c.NewHandler(s.handler, s.h2c)
	case byNetHTTP:
		s.h2c = nil
		s.http.Protocols = new(http.Protocols)
		s.http.Protocols.SetHTTP1(true)
		s.http.Protocols.SetUnencryptedHTTP2(true)
	case byNetHTTP1:
		s.h2c = nil
	case byXNet:
		s.h2c = nil
		//lint:ignore SA1019 as above
		s.http.Handler = xh2c.NewHandler(s.handler, new(http2.Server))
	default:
		return nil, fmt.Errorf("no way %q to start a server", w)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.addr = l.Addr().String()
	s.url = "http://" + s.addr
	go func() { s.served <- s.http.Serve(l) }()
	return s, nil
}

// close ends the server and all of its connections.
func (s *server) close() error {
	err := s.http.Close()
	if s.h2c != nil {
		err = errors.Join(err, s.h2c.Close())
	}
	if e := <-s.served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// connections returns how many connections the requests so far came on.
func (s *server) connections() int {
	remotes := make(map[string]bool)
	for _, r := range s.seen() {
		remotes[r.Remote] = true
	}
	return len(remotes)
}

// logBuffer keeps what a server logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
