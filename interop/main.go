// Interop proves the library against real peers: clients that talk to servers of this
// library, servers that its Transport talks to, and proxies in front of its servers. Each
// peer speaks h2c in the way that it happens to, and each case with it is a cell of a matrix.
//
//	interop/install-peers.sh
//	go run ./interop
//
// runs all of it. The exit status is 0 only if nothing failed. There is one file for each
// peer (internal/clients, internal/servers, internal/proxies, internal/grpctest) and one for
// each group of cases beside this one. The same cells are the subtests of TestMatrix.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	stdlog "log"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"syscall"

	"github.com/seed78dc1b7f/h2c/interop/internal/matrix"
)

// cells returns all cells of the matrix, table by table and row by row.
func cells() []matrix.Cell {
	var all []matrix.Cell
	for _, group := range []struct {
		cells func() []matrix.Cell
		known []matrix.Deviation
	}{
		{clientCells, clientDeviations},
		{toolCells, toolDeviations},
		{serverCells, serverDeviations},
		{proxyCells, proxyDeviations},
		{grpcCells, grpcDeviations},
	} {
		all = append(all, matrix.Know(group.cells(), group.known)...)
	}
	return all
}

// resultsFile is where -markdown writes, from the root of the repository.
const resultsFile = "interop/RESULTS.md"

func main() {
	signal.Ignore(syscall.SIGPIPE) // so that the peers are ended when the output is not read
	stdlog.SetOutput(io.Discard)   // where net/http says that a peer deviates, as the matrix does
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the command, and returns its exit status: 0 if nothing failed, 1 if something did,
// 2 if the arguments are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("interop", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		row      = flags.String("peer", "", "run the rows that match `regexp` only")
		column   = flags.String("case", "", "run the cases that match `regexp` only")
		list     = flags.Bool("list", false, "list the cells and the requirements that they prove, and run none")
		asJSON   = flags.Bool("json", false, "write the results as JSON instead of tables")
		markdown = flags.Bool("markdown", false, "write all results to "+resultsFile+" as well")
		verbose  = flags.Bool("v", false, "show what went over the connections of a cell that failed: HTTP/1.1 heads and frames")
		again    = flags.Bool("record", false, "instead, record transcripts of the cells for "+transcriptsDir)
		require  = flags.Bool("require", false, "an absent peer is a failure")
		atOnce   = flags.Int("parallel", 2*runtime.GOMAXPROCS(0), "run `n` cells at once")
	)
	wrong := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "interop: "+format+"\n", args...)
		return 2
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2 // Parse has said why
	}
	if flags.NArg() > 0 {
		return wrong("unexpected argument %q", flags.Arg(0))
	}
	if *atOnce < 1 {
		return wrong("-parallel must be at least 1")
	}
	if *markdown && (*row != "" || *column != "") {
		return wrong("-markdown is for the whole matrix, without -peer and -case")
	}
	if *list && (*asJSON || *markdown || *again) {
		return wrong("-list runs nothing, so -json, -markdown and -record are not for it")
	}
	if _, err := os.Stat(resultsFile); *markdown && err != nil {
		return wrong("-markdown is for the root of the repository: %v", err)
	}
	selected, err := choose(cells(), *row, *column)
	if err != nil {
		return wrong("%v", err)
	}
	if *list {
		for _, c := range selected {
			fmt.Fprintln(stdout, c.Name(), c.IDs)
		}
		return 0
	}

	if *again {
		err := record(ctx, selected, stderr)
		for _, f := range matrix.Close() {
			err = errors.Join(err, errors.New(f))
		}
		if err != nil {
			fmt.Fprintf(stderr, "interop: %v\n", err)
			return 1
		}
		return 0
	}

	p := newProgress(stderr, len(selected))
	results := matrix.Run(ctx, selected, matrix.Options{Require: *require, Tap: *verbose}, *atOnce, p.tell)
	p.end()
	leftovers := matrix.Close()

	if *asJSON {
		err = matrix.WriteJSON(stdout, results)
	} else {
		matrix.WriteTables(stdout, results)
	}
	if err == nil && *markdown {
		err = writeFile(resultsFile, results)
	}
	if err != nil {
		fmt.Fprintf(stderr, "interop: %v\n", err)
		return 1
	}
	for _, f := range leftovers {
		fmt.Fprintf(stderr, "when all was over: %s\n", f)
	}
	fmt.Fprintf(stderr, "%d cells: %s\n", len(results), matrix.Summary(results))
	if matrix.Count(results, matrix.Failed) > 0 || len(leftovers) > 0 {
		return 1
	}
	return 0
}

// choose returns the cells whose row and column match, which are some.
func choose(all []matrix.Cell, row, column string) ([]matrix.Cell, error) {
	rows, err := regexp.Compile(row)
	if err != nil {
		return nil, fmt.Errorf("-peer: %w", err)
	}
	columns, err := regexp.Compile(column)
	if err != nil {
		return nil, fmt.Errorf("-case: %w", err)
	}
	var selected []matrix.Cell
	for _, c := range all {
		if rows.MatchString(c.Row()) && columns.MatchString(c.Case) {
			selected = append(selected, c)
		}
	}
	if len(selected) == 0 {
		return nil, fmt.Errorf("no cell matches; -list lists them")
	}
	return selected, nil
}

func writeFile(name string, results []matrix.Result) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := matrix.WriteMarkdown(f, results); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
