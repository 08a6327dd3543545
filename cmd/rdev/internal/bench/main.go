// Command bench measures rdev beside what it stands on: raw NATS, raw HTTP, a
// raw pipe, raw PostgreSQL. It is run as `make bench`.
//
// Everything that loads or serves is a process of its own, this same program
// with another role, so that their CPU time can be told apart. Raw limit and
// rdev take turns within one run; figures are medians over the repetitions.
//
//	bench ──┬── role load, row, operations, lines, readers, work   what asks
//	        ├── role nats, http, river                             raw limits, and a peer
//	        ├── role database                                      a PostgreSQL
//	        ├── role sink, hostile                                 what webhooks are sent to
//	        ├── role executors                                     who carries out work that is none
//	        └── role keep ── rdev up ── …, or single services      what is measured
//
// With -cluster, as `make bench-cluster`, projects are in the pods of a real
// cluster, and beside rdev stands kubectl exec.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 2 && args[0] == "role":
		return play(ctx, args[1])
	case len(args) == 3 && args[0] == "tick":
		return tick(ctx, os.Stdout, args[1], args[2])
	}
	s, err := parse(args)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("not over after %s", s.limit))
	defer cancel()
	return measure(ctx, s)
}

// settings are what the flags say, and the sizes that follow from them.
type settings struct {
	rdev   string // path of the program
	only   []string
	output string
	reps   int
	limit  time.Duration
	events int

	hold       time.Duration // of a closed or open loop
	operations int           // no-op commands of a repetition
	readers    int
	lines      int
	deliveries int    // events that webhooks are sent
	endpoints  int    // webhooks that want one event
	items      int    // pieces of work of a repetition
	backlog    int    // pieces of work that wait behind those
	profile    string // directory for CPU profiles, "" for none
	cluster    bool   // measure rdev with projects in pods
}

func parse(args []string) (settings, error) {
	s := settings{hold: 3 * time.Second, operations: 128, readers: 1000, lines: 600, deliveries: 48_000, endpoints: 10_000, items: 3000, backlog: 100_000}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", "", "`metrics` to measure, separated by commas; all where empty")
	flags.BoolVar(&s.cluster, "cluster", false, "measure projects in pods, on a real cluster of one node (needs root)")
	quick := flags.Bool("quick", false, "see within a minute or so that everything works; the figures mean little")
	flags.StringVar(&s.rdev, "rdev", "bin/rdev", "the `program` to measure, with rdev-runner beside it")
	flags.StringVar(&s.output, "o", "table", "table or json")
	flags.IntVar(&s.reps, "reps", 3, "repetitions")
	flags.IntVar(&s.events, "events", 1_000_000, "events that the replay reads")
	flags.DurationVar(&s.limit, "limit", 10*time.Minute, "end the run after this time, whatever was measured")
	flags.StringVar(&s.profile, "perf", "", "record rdev with perf into this `directory` while it is loaded")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	s.only = s.metricNames()
	if *only != "" {
		s.only = strings.Split(*only, ",")
	}
	for _, name := range s.only {
		if !slices.Contains(s.metricNames(), name) {
			return s, fmt.Errorf("-only: there is no metric %q, only %s", name, strings.Join(s.metricNames(), ", "))
		}
	}
	if s.output != "table" && s.output != "json" {
		return s, fmt.Errorf("-o: %q is neither table nor json", s.output)
	}
	if *quick {
		s.reps, s.hold, s.operations, s.readers, s.lines = 1, 500*time.Millisecond, 16, 100, 100
		s.events = min(s.events, 15_000)
		s.deliveries, s.endpoints = 3000, 500
		s.items, s.backlog = 200, 1000
	}
	if s.reps < 1 || s.events < 1 || flags.NArg() > 0 {
		return s, errors.New("-reps and -events must be positive, and there are no arguments")
	}
	return s, nil
}
