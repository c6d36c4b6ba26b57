package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"github.com/seed78dc1b7f/h2c"
)

const (
	// There is no timeout for a whole request or response: they may stream for hours.
	readHeaderTimeout = 10 * time.Second
	idleTimeout       = 2 * time.Minute

	defaultDrainTimeout = 30 * time.Second
)

const serveHead = `Usage: h2c serve [flags]

Serves HTTP/2, begun by Upgrade or by prior knowledge, and HTTP/1.1 on one cleartext
address. The first line of output says which: serving on http://HOST:PORT.
What it serves is -dir, or -proxy, or else diagnostics:

  /                        what this connection is, as HTML or JSON
  /echo                    the same as JSON, with the SHA-256 of the request body
  /bytes/N                 N octets, up to 2^40
  /drip?n=5&every=200ms    n lines, one each interval; up to 10000, and 1m
  /events                  server-sent events, one each second
  /status/CODE             a response with that status, 200 to 599
  /trailers                a response with trailers
  /early                   103 Early Hints, then 200
  /stats                   counters of the server

SIGINT or SIGTERM lets requests in progress finish, for 30 seconds at most, and exits; a
second signal kills. The exit status is 1 if something failed or did not finish, and 2
for a mistake in the flags.
`

// serveOptions are the flags of the command.
type serveOptions struct {
	addr           string
	dir            string
	proxy          *url.URL
	upgrade        bool
	priorKnowledge bool
	allowForwarded bool
	maxUpgradeBody int64
	verbose        bool

	drainTimeout time.Duration // not a flag
}

func (o *serveOptions) flags() *flag.FlagSet {
	o.drainTimeout = defaultDrainTimeout
	fs := flag.NewFlagSet("h2c serve", flag.ContinueOnError)
	fs.StringVar(&o.addr, "addr", "127.0.0.1:8080", "listen on `HOST:PORT`; port 0 takes a free one")
	fs.Func("dir", "serve the files in `DIR`; links that lead out of it are not followed", func(s string) error {
		if s == "" {
			return errors.New("empty") // not diagnostics by surprise
		}
		o.dir = s
		return nil
	})
	fs.Func("proxy", "pass requests on to `URL`, as a reverse proxy", func(s string) (err error) {
		o.proxy, err = parseTarget(s)
		return err
	})
	fs.BoolVar(&o.upgrade, "upgrade", true, "accept offers to upgrade")
	fs.BoolVar(&o.priorKnowledge, "prior-knowledge", true, "accept HTTP/2 from the first octet")
	fs.BoolVar(&o.allowForwarded, "allow-forwarded", false, "accept offers that came through a proxy")
	fs.Int64Var(&o.maxUpgradeBody, "max-upgrade-body", 0, "upgrade requests with a body of up to `N` octets;\n"+
		"0 means 65536, negative means only requests without a body")
	fs.BoolVar(&o.verbose, "v", false, "log how each connection was negotiated, and why not")
	return fs
}

func (o *serveOptions) check() error {
	_, port, err := net.SplitHostPort(o.addr)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	switch {
	case err != nil:
		return fmt.Errorf("-addr: %w", err)
	case o.dir != "" && o.proxy != nil:
		return errors.New("-dir and -proxy exclude each other")
	}
	return nil
}

// parseTarget returns the URL of a server to pass requests on to.
func parseTarget(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not of the form http://HOST[:PORT][/PATH], or https")
	}
	if _, err := net.LookupPort("tcp", u.Port()); err != nil {
		return nil, err
	}
	return u, nil
}

func serve(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var o serveOptions
	fs := o.flags()
	if status, ok := parseFlags(fs, serveHead, args, stdout, stderr); !ok {
		return status
	}
	if err := o.check(); err != nil {
		return flagError(fs, err, stderr)
	}
	if err := o.serve(ctx, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "h2c serve: %v\n", err)
		return exitError
	}
	return exitOK
}

// serve serves until ctx ends and the requests in progress then have finished.
func (o *serveOptions) serve(ctx context.Context, stdout, stderr io.Writer) error {
	logger := log.New(stderr, "", log.LstdFlags)
	hs, err := o.server(ctx, logger)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	defer l.Close()
	if _, err := fmt.Fprintf(stdout, "serving on http://%s\n", l.Addr()); err != nil {
		return err
	}

	served := make(chan error, 1)
	go func() { served <- hs.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	logger.Printf("draining, for %v at most; a second signal kills", o.drainTimeout)
	drain, cancel := context.WithTimeout(context.Background(), o.drainTimeout)
	defer cancel()
	if err := hs.Shutdown(drain); err != nil {
		hs.Close()
		return fmt.Errorf("requests did not finish within %v: %w", o.drainTimeout, err)
	}
	return nil
}

// server returns a server that is ready to serve. When ctx ends, responses without an end
// end.
func (o *serveOptions) server(ctx context.Context, logger *log.Logger) (*http.Server, error) {
	s := &h2c.Server{
		DisableUpgrade:        !o.upgrade,
		DisablePriorKnowledge: !o.priorKnowledge,
		MaxUpgradeBodyBytes:   o.maxUpgradeBody,
	}
	if o.allowForwarded {
		s.AllowUpgrade = h2c.AllowAll
	}
	hs := &http.Server{
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          logger,
	}
	switch {
	case o.dir != "":
		root, err := os.OpenRoot(o.dir)
		if err != nil {
			return nil, err
		}
		hs.Handler = http.FileServerFS(files{root.FS()})
	case o.proxy != nil:
		hs.Handler = newProxy(o.proxy, logger)
	default:
		hs.Handler = newDiagnostics(s.Stats, ctx.Done())
	}
	if o.verbose {
		l := newConnLog(logger)
		s.Trace = l.trace()
		hs.ConnState = l.connState
		hs.Handler = l.handler(hs.Handler)
	}
	return hs, h2c.ConfigureServer(hs, s)
}

// files are those of an [os.Root], where a link that leads out of it leads nowhere.
type files struct{ fs.FS }

func (f files) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	var errno syscall.Errno
	if err != nil && !errors.As(err, &errno) { // it is not the system that says no
		err = &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file, err
}
