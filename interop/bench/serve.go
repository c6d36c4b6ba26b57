//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/net/http2"
	//lint:ignore SA1019 It is one of those to compare with.
	xh2c "golang.org/x/net/http2/h2c"
	"google.golang.org/grpc"

	"github.com/seed78dc1b7f/h2c"
)

// serveFlag makes this program a server instead: "bench -serve NAME".
const serveFlag = "-serve"

// restCommand is what a server is told for an answer: the octets of its heap, once all
// garbage is gone.
const restCommand = "rest"

func isServer(args []string) bool { return len(args) == 3 && args[1] == serveFlag }

// The servers, by the names of their subjects.
var goServers = map[string]func(net.Listener) error{
	library:   configured(http.HandlerFunc(handle)),
	netHTTP2:  served(plain(http.HandlerFunc(handle))),
	netHTTP1:  func(l net.Listener) error { return http.Serve(l, http.HandlerFunc(handle)) },
	xNet:      served(behindXNet(http.HandlerFunc(handle))),
	grpcAlone: func(l net.Listener) error { return newGRPC().Serve(l) },
	grpcSplit: func(l net.Listener) error {
		http2, http1 := new(h2c.Server).Split(l)
		go http.Serve(http1, http.HandlerFunc(handle))
		return newGRPC().Serve(http2)
	},
	grpcConfigured: func(l net.Listener) error { return configured(newGRPC())(l) },
	grpcXNet:       func(l net.Listener) error { return served(behindXNet(newGRPC()))(l) },
}

func configured(h http.Handler) func(net.Listener) error {
	return func(l net.Listener) error {
		hs := &http.Server{Handler: h}
		if err := h2c.ConfigureServer(hs, nil); err != nil {
			return err
		}
		return hs.Serve(l)
	}
}

func plain(h http.Handler) *http.Server {
	hs := &http.Server{Handler: h, Protocols: new(http.Protocols)}
	hs.Protocols.SetUnencryptedHTTP2(true)
	return hs
}

func behindXNet(h http.Handler) *http.Server {
	//lint:ignore SA1019 as above
	return &http.Server{Handler: xh2c.NewHandler(h, new(http2.Server))}
}

func served(hs *http.Server) func(net.Listener) error { return hs.Serve }

// serve is a server until there is no more input, and returns its exit status. The first
// line that it writes is its address.
func serve(name string, stdin io.Reader, stdout, stderr io.Writer) int {
	server := goServers[name]
	if server == nil {
		fmt.Fprintf(stderr, "no server %q\n", name)
		return 2
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	fmt.Fprintln(stdout, l.Addr())
	failed := make(chan error, 1)
	go func() { failed <- server(l) }()
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdin); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for {
		select {
		case err := <-failed:
			fmt.Fprintln(stderr, err)
			return 1
		case line, more := <-lines:
			if !more {
				return 0
			}
			if line == restCommand {
				fmt.Fprintln(stdout, rest())
			}
		}
	}
}

// rest frees what it can, and returns the octets of the heap and the stacks.
func rest() uint64 {
	for range 3 { // what is pooled survives one collection
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// Paths that the servers serve, beside /OCTETS.
const uploadPath = "/sink"

const hello = "Hello, World!"

// sizes are the octets of the files.
var sizes = []int{len(hello), 1 << 10, 16 << 10, 1 << 20, 64 << 20}

func sizePath(n int) string { return "/" + strconv.Itoa(n) }

var (
	chunk     = make([]byte, 1<<20)
	downloads = func() map[string]int {
		m := make(map[string]int)
		for _, n := range sizes {
			m[sizePath(n)] = n
		}
		return m
	}()
)

// handle is the handler of the HTTP servers.
func handle(w http.ResponseWriter, r *http.Request) {
	n, ok := downloads[r.URL.Path]
	switch {
	case r.URL.Path == uploadPath:
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, hello)
	case !ok:
		http.NotFound(w, r)
	case n == len(hello):
		io.WriteString(w, hello)
	default:
		h := w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.Itoa(n))
		for n > 0 {
			m, err := w.Write(chunk[:min(n, len(chunk))])
			if err != nil {
				return
			}
			n -= m
		}
	}
}

// newGRPC returns grpc-go's server of the service.
func newGRPC() *grpc.Server {
	gs := grpc.NewServer()
	registerService(gs)
	return gs
}
