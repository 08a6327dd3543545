package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newWorkStatsCommand(c *cli) *cobra.Command {
	project := ""
	cmd := &cobra.Command{
		Use: "stats", Short: "Show how the queue does", Args: arguments(),
		Long: `Show how the queue does: what waits now, and what became of work in the last hour.
Queued is what would run now if a worker were free; delayed is what waits for its
time.`,
		Example: `  rdev work stats
  rdev work stats -p shop -o json | jq .wait_seconds.p95`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			stats, err := api.WorkStats(cmd.Context(), project)
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), stats)
			}
			return showStats(cmd, stats)
		},
	}
	c.projectFlag(cmd, &project, "of this project only")
	return cmd
}

func showStats(cmd *cobra.Command, stats client.WorkStats) error {
	out := cmd.OutOrStdout()
	queued := strconv.Itoa(stats.Queued)
	if stats.Queued > 0 {
		queued += ", the oldest for " + render.Seconds(stats.OldestAge)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range [][2]string{
		{"queued", queued},
		{"delayed", strconv.Itoa(stats.Delayed)},
		{"running", strconv.Itoa(stats.Running)},
		{"last hour", fmt.Sprintf("%d completed, %d failed, %d cancelled, %d tried again", stats.Completed, stats.Failed, stats.Cancelled, stats.Retried)},
		{"throughput", strconv.FormatFloat(stats.Throughput, 'f', 1, 64) + " a minute"},
		{"waited", fmt.Sprintf("p50 %s, p95 %s", render.Seconds(stats.Wait.P50), render.Seconds(stats.Wait.P95))},
	} {
		fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		name   string
		counts map[string]client.WorkCounts
	}{{"PROJECT", stats.ByProject}, {"KIND", stats.ByKind}} {
		var rows [][]string
		for _, name := range slices.Sorted(maps.Keys(part.counts)) {
			n := part.counts[name]
			rows = append(rows, []string{render.Line(name), strconv.Itoa(n.Queued), strconv.Itoa(n.Delayed), strconv.Itoa(n.Running)})
		}
		if err := showPart(cmd, []string{part.name, "QUEUED", "DELAYED", "RUNNING"}, rows); err != nil {
			return err
		}
	}
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(stats.ByWorker)) {
		w := stats.ByWorker[id]
		rows = append(rows, []string{render.Line(id), first(render.Line(w.Operation), "-"), strconv.Itoa(w.Completed), strconv.Itoa(w.Failed)})
	}
	return showPart(cmd, []string{"WORKER", "OPERATION", "COMPLETED", "FAILED"}, rows)
}

// showPart writes a table below an empty line, or nothing where it has no rows.
func showPart(cmd *cobra.Command, header []string, rows [][]string) error {
	if len(rows) == 0 {
		return nil
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return render.Table(out, header, rows)
}
