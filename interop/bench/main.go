//go:build linux

// Bench compares what servers cost that speak cleartext HTTP/2: this library, others in Go
// and, where they are installed, servers in C. The subjects of a case take turns, round by
// round, and are compared within each round, so that what else the machine does meanwhile
// falls on all of them.
//
//	go run ./interop/bench                     all, about a quarter of an hour
//	go run ./interop/bench -run '^grpc/'       the cases that match
//	go run ./interop/bench -quick              a look at all
//	go run ./interop/bench -markdown           writes docs/performance.md as well
//
// There is one file for each group of cases.
package main

import (
	"cmp"
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
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// groups returns all there is to measure.
func groups() []*group {
	return []*group{httpGroup(), downloadGroup(), uploadGroup(), upgradeGroup(), idleGroup(), grpcGroup()}
}

func main() {
	if isServer(os.Args) {
		os.Exit(serve(os.Args[2], os.Stdin, os.Stdout, os.Stderr))
	}
	signal.Ignore(syscall.SIGPIPE) // so that the servers are ended when the output is not read
	stdlog.SetOutput(io.Discard)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// clientGC makes the collector of this process, where clients run, take less of the processors
// that the servers share with it.
const clientGC = 400

// run is the command, and returns its exit status: 0 if all was measured, 1 if something
// failed, 2 if the arguments are wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var (
		cases    = flags.String("run", "", "run the cases that match `regexp` only, as in http/10x100")
		subjects = flags.String("subject", "", "run the subjects that match `regexp` only, and the one that the others are compared with")
		rounds   = flags.Int("rounds", 0, "measure every subject `n` times (default 10, with -quick 1)")
		duration = flags.Duration("time", 0, "of each measurement (default 500ms, with -quick 50ms)")
		idle     = flags.Int("idle", 0, "open `n` connections that are to be idle (default 10,000, or what the limit of open files allows; with -quick 500)")
		quick    = flags.Bool("quick", false, "measure little")
		list     = flags.Bool("list", false, "list the cases, and run none")
		require  = flags.Bool("require", false, "an absent subject is a failure")
		markdown = flags.Bool("markdown", false, "write "+reportFile+" and "+chartFile+" as well")
	)
	wrong := func(format string, args ...any) int {
		fmt.Fprintf(stderr, "bench: "+format+"\n", args...)
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
	if *rounds < 0 || *rounds > maxRounds || *duration < 0 || *duration > maxDuration || *idle < 0 {
		return wrong("-rounds must be at most %d, -time at most %v, and nothing negative", maxRounds, maxDuration)
	}
	if *markdown && (*cases != "" || *subjects != "" || *quick) {
		return wrong("-markdown is for all, without -run, -subject and -quick")
	}
	if _, err := os.Stat(reportFile); *markdown && err != nil {
		return wrong("-markdown is for the root of the repository: %v", err)
	}
	o := options{rounds: 10, duration: 500 * time.Millisecond, idle: idleConnections()}
	if *quick {
		o = options{rounds: 1, duration: 50 * time.Millisecond, idle: 500}
	}
	o.rounds, o.duration, o.idle = cmp.Or(*rounds, o.rounds), cmp.Or(*duration, o.duration), cmp.Or(*idle, o.idle)

	all, err := choose(groups(), *cases, *subjects)
	if err != nil {
		return wrong("%v", err)
	}
	if *list {
		for _, g := range all {
			for _, c := range g.cases {
				fmt.Fprintln(stdout, g.name+"/"+c.name)
			}
		}
		return 0
	}

	if n := loadAverage(); n > busy*float64(runtime.NumCPU()) {
		fmt.Fprintf(stderr, "bench: this machine has other work (load %.1f): only ratios of CPU will say something\n", n)
	}
	defer debug.SetGCPercent(debug.SetGCPercent(clientGC))
	began := time.Now()
	results, err := measure(ctx, all, o, func(r *result) { r.write(stdout) })
	if err != nil {
		fmt.Fprintf(stderr, "bench: %v\n", err)
		return 1
	}
	writeOutcomes(stdout, outcomes(results))
	status := 0
	for _, r := range results {
		for _, s := range r.series {
			if s.err != nil || s.absent != nil && *require {
				status = 1
			}
		}
	}
	if *markdown {
		if err := writeReport(results, o, began); err != nil {
			fmt.Fprintf(stderr, "bench: %v\n", err)
			return 1
		}
	}
	return status
}

// busy is the load of each processor from which on there is a warning.
const busy = 0.5

// loadAverage returns that of the last minute, or 0.
func loadAverage() (n float64) {
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(b), &n)
	}
	return n
}

// choose keeps the cases and the subjects that match.
func choose(all []*group, cases, subjects string) ([]*group, error) {
	c, err := regexp.Compile(cases)
	if err != nil {
		return nil, err
	}
	s, err := regexp.Compile(subjects)
	if err != nil {
		return nil, err
	}
	var chosen []*group
	for _, g := range all {
		g.cases = slices.DeleteFunc(g.cases, func(bc benchCase) bool { return !c.MatchString(g.name + "/" + bc.name) })
		g.subjects = slices.DeleteFunc(g.subjects, func(sub *subject) bool { return sub != g.baseline && !s.MatchString(sub.name) })
		if len(g.cases) > 0 {
			chosen = append(chosen, g)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no case matches %q", cases)
	}
	return chosen, nil
}
