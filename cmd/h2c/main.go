// Command h2c is a tool for HTTP/2 on cleartext connections.
//
//	h2c get [flags] URL...
//	h2c serve [flags]
//	h2c probe [flags] URL
//
// serve is a server for files, for what is behind a reverse proxy, or for diagnostics of
// the connection. probe shows what a server does with HTTP/2. See h2c COMMAND -h.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit statuses.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// A command is what the first argument names. It runs until ctx ends, and returns the
// exit status.
type command struct {
	name, summary string
	run           func(ctx context.Context, args []string, stdout, stderr io.Writer) int
}

var commands = []command{
	{"get", "get URLs over HTTP/2 or HTTP/1.1, and show the exchange", get},
	{"serve", "serve HTTP/2 and HTTP/1.1 on cleartext connections", serve},
	{"probe", "show what a server, or the proxy before it, does with HTTP/2", probe},
}

func main() {
	os.Exit(signaled(func(ctx context.Context) int {
		return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}))
}

// signaled calls f with a context that the first SIGINT or SIGTERM ends. A second one
// kills the process.
func signaled(f func(context.Context) int) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	return f(ctx)
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		usage(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		usage(stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.run(ctx, args[1:], stdout, stderr)
		}
	}
	fmt.Fprintf(stderr, "h2c: unknown command %q\n\n", args[0])
	usage(stderr)
	return exitUsage
}

func usage(w io.Writer) {
	fmt.Fprint(w, "Usage: h2c COMMAND [flags]\n\nCommands:\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s%s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\nFlags of a command: h2c COMMAND -h\n")
}

// parseFlags parses the arguments of a command that takes flags alone. If ok is false, the
// command is to exit with the status: the user has been told why.
func parseFlags(fs *flag.FlagSet, head string, args []string, stdout, stderr io.Writer) (status int, ok bool) {
	fs.SetOutput(io.Discard) // a message goes before the usage, and help to stdout
	err := fs.Parse(args)
	if err == nil && fs.NArg() > 0 {
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	switch {
	case err == nil:
		return exitOK, true
	case errors.Is(err, flag.ErrHelp):
		flagUsage(fs, head, stdout)
		return exitOK, false
	}
	return flagError(fs, err, stderr), false
}

// parseMixed parses flags and other arguments, in any order.
func parseMixed(fs *flag.FlagSet, args []string, other func(string) error) error {
	fs.SetOutput(io.Discard)
	for {
		if err := fs.Parse(args); err != nil {
			return err
		}
		if fs.NArg() == 0 {
			return nil
		}
		if err := other(fs.Arg(0)); err != nil {
			return err
		}
		args = fs.Args()[1:]
	}
}

// flagError tells of a mistake in the flags, and returns the exit status for it.
func flagError(fs *flag.FlagSet, err error, stderr io.Writer) int {
	fmt.Fprintf(stderr, "%s: %v\nFor help: %[1]s -h\n", fs.Name(), err)
	return exitUsage
}

func flagUsage(fs *flag.FlagSet, head string, w io.Writer) {
	fmt.Fprint(w, head, "\nFlags:\n")
	fs.SetOutput(w)
	fs.PrintDefaults()
}
