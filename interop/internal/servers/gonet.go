//go:build unix

package servers

import (
	"context"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/seed78dc1b7f/h2c/interop/internal/origin"
	"github.com/seed78dc1b7f/h2c/interop/internal/peer"
)

// Servers of this process.
var (
	library = &peer.Peer{Name: "this library", Says: func() string { return "" }}
	netHTTP = &peer.Peer{Name: "net/http", Says: runtime.Version}
	xNet    = &peer.Peer{Name: "golang.org/x/net", Says: func() string { return moduleVersion("golang.org/x/net") }}
)

// The server of this library declines an offer with a body above 64 KiB.
var (
	byConfigureServer = &Server{
		Name: "h2c ConfigureServer", Peer: library,
		WithMore: Declined,
		start:    inProcess(origin.ByConfigureServer),
	}
	byNewHandler = &Server{
		Name: "h2c NewHandler", Peer: library,
		WithMore: Declined,
		start:    inProcess(origin.ByNewHandler),
	}
)

var byNetHTTP = &Server{
	Name: "net/http", Peer: netHTTP, Speaks: NoUpgrade,
	start: inProcess(origin.ByNetHTTP),
}

var byNetHTTP1 = &Server{
	Name: "net/http HTTP/1.1", Peer: netHTTP, Speaks: OnlyHTTP1,
	start: inProcess(origin.ByNetHTTP1),
}

// byXNet reads the body of an offer into memory, whatever its length.
var byXNet = &Server{
	Name: "x/net h2c", Peer: xNet,
	Cannot: map[string]string{
		"upgrade: cancel in handler": notOfItsStream,
		"shutdown":                   "neither Shutdown nor Close of its http.Server ends its connections",
	},
	start: inProcess(origin.ByXNet),
}

const notOfItsStream = "the context of a request that came with an Upgrade is not the one of its stream"

func inProcess(w origin.Way) func(string) (*Instance, error) {
	return func(string) (*Instance, error) {
		s, err := origin.Start(w, origin.Config{})
		if err != nil {
			return nil, err
		}
		var down sync.WaitGroup
		i := &Instance{
			URL: s.URL,
			terminate: func() {
				down.Go(func() {
					ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
					defer cancel()
					s.HTTP.Shutdown(ctx)
					if s.H2C != nil {
						s.H2C.Shutdown(ctx)
					}
				})
			},
			stop: func() error {
				err := s.Close()
				down.Wait()
				return err
			},
			log: &s.Log,
		}
		i.handledBy(s)
		return i, nil
	}
}

// moduleVersion returns the version of a module that this program is built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if m.Path == path {
				return strings.TrimPrefix(m.Version, "v")
			}
		}
	}
	return "unknown"
}
