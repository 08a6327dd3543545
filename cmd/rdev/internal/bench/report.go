package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// metric is one thing to measure.
type metric struct {
	name, what string
	measure    func(context.Context, settings, *result) error
}

func (s settings) metrics() []metric {
	if s.cluster {
		return clusterMetrics()
	}
	return []metric{
		{"accept", "commands accepted by 64 clients, beside the same clients on raw NATS and raw HTTP", measureAccept},
		{"latency", "POST to 202 at 200/s, open loop, beside a raw publish and a raw POST", measureLatency},
		{"row", "POST to the row in audit's table, at 20/s, beside a raw publish, POST and INSERT", measureRow},
		{"operations", "no-op commands from POST to the terminal row, over 32 projects, beside fork and exec alone", measureOperations},
		{"line", "a line from the program that prints it to the reader of the stream, beside a pipe", measureLine},
		{"readers", "readers of one operation's output, beside a raw SSE handler", measureReaders},
		{"replay", "the whole log into an empty database, beside COPY of the same rows", measureReplay},
		{"webhooks", "events delivered to 64 endpoints, beside as many clients that POST the same", measureWebhooks},
		{"work", "no-op pieces of work from POST to the terminal row, with 64 clients and 64 workers, beside River on the same PostgreSQL", measureWork},
	}
}

func (s settings) metricNames() (names []string) {
	for _, m := range s.metrics() {
		names = append(names, m.name)
	}
	return names
}

// report is a whole run.
type report struct {
	Time    time.Time `json:"time"`
	Go      string    `json:"go"`
	CPUs    int       `json:"cpus"`
	Reps    int       `json:"repetitions"`
	Results []*result `json:"results"`
}

// measure measures one metric after another. One that fails does not keep the
// others from being measured, or what was measured from being shown.
func measure(ctx context.Context, s settings) error {
	r := report{Time: time.Now().UTC(), Go: runtime.Version(), CPUs: runtime.NumCPU(), Reps: s.reps}
	var failures error
	for _, m := range s.metrics() {
		if !slices.Contains(s.only, m.name) {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s\n", m.name)
		found := &result{Metric: m.name, What: m.what, Load: loadAverage()}
		begin := time.Now()
		if err := m.measure(ctx, s, found); err != nil {
			failures = errors.Join(failures, fmt.Errorf("%s: %w", m.name, err))
			found.Notes = append(found.Notes, "not measured to the end: "+err.Error())
		}
		found.Seconds, found.Load = time.Since(begin).Seconds(), found.Load+" → "+loadAverage()
		r.Results = append(r.Results, found)
		if ctx.Err() != nil {
			failures = errors.Join(failures, context.Cause(ctx))
			break
		}
	}
	if s.output == "json" {
		e := json.NewEncoder(os.Stdout)
		e.SetIndent("", "  ")
		return errors.Join(e.Encode(r), failures)
	}
	return errors.Join(r.write(os.Stdout), failures)
}

func (r report) write(w io.Writer) error {
	fmt.Fprintf(w, "%s, %s, %d CPUs, %d repetitions; median (min..max)\n", r.Time.Format(time.DateTime), r.Go, r.CPUs, r.Reps)
	for _, found := range r.Results {
		fmt.Fprintf(w, "\n%s: %s\n", found.Metric, found.What)
		t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		for _, s := range found.Series {
			spread := ""
			if len(s.Values) > 1 {
				spread = fmt.Sprintf("(%s..%s)", number(slices.Min(s.Values)), number(slices.Max(s.Values)))
			}
			fmt.Fprintf(t, "  %s\t%s %s\t%s\n", s.Name, number(median(s.Values)), s.Unit, spread)
		}
		for _, m := range found.Marks {
			verdict := ""
			switch {
			case m.Most > 0 && m.reached():
				verdict = fmt.Sprintf("mark ≤ %s: reached", number(m.Most))
			case m.Most > 0:
				verdict = fmt.Sprintf("mark ≤ %s: MISSED", number(m.Most))
			case m.Least > 0 && m.reached():
				verdict = fmt.Sprintf("mark ≥ %s: reached", number(m.Least))
			case m.Least > 0:
				verdict = fmt.Sprintf("mark ≥ %s: MISSED", number(m.Least))
			}
			fmt.Fprintf(t, "  = %s\t%s %s\t%s\n", m.Name, number(m.Value), m.Unit, verdict)
		}
		if err := t.Flush(); err != nil {
			return err
		}
		for _, note := range found.Notes {
			fmt.Fprintf(w, "  note: %s\n", note)
		}
		fmt.Fprintf(w, "  load average %s, %.0f s\n", found.Load, found.Seconds)
	}
	return nil
}

// number writes three significant digits, and all digits of what is large.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "?"
	case math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case math.Abs(v) >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'f', 3, 64)
}
