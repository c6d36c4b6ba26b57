// Interop proves the library against real peers; see README.md beside this file.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
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

func main() {
	var (
		peer    = flag.String("peer", "", "run rows that match this `regexp` only")
		kase    = flag.String("case", "", "run cases that match this `regexp` only")
		list    = flag.Bool("list", false, "list the cases, and run none")
		verbose = flag.Bool("v", false, "show the transcripts of failing cases: HTTP/1.1 heads and frames")
		require = flag.Bool("require", false, "an absent peer is a failure")
	)
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	peers, cases := regexp.MustCompile(*peer), regexp.MustCompile(*kase)
	failed := false
	for _, c := range cells() {
		if !peers.MatchString(c.Peer+", "+c.Entry) || !cases.MatchString(c.Case) {
			continue
		}
		if *list {
			fmt.Println(c.Name(), c.IDs)
			continue
		}
		r := c.Run(ctx, matrix.Options{Require: *require, Tap: *verbose})
		fmt.Printf("%-9s %s (%v) %s\n", r.Status, c.Name(), r.Took.Round(1e6), r.Reason)
		for _, f := range r.Failures {
			fmt.Println("   ", f)
		}
		if r.Status == matrix.Failed {
			failed = true
			for _, l := range r.Log {
				fmt.Println("    log:", l)
			}
			fmt.Print(r.Transcript)
		}
	}
	for _, f := range matrix.Close() {
		fmt.Println(f)
		failed = true
	}
	if failed {
		os.Exit(1)
	}
}
