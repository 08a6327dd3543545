package main

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newWorkListCommand(c *cli) *cobra.Command {
	var o listFlags
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List work, newest first", Args: arguments(),
		Example: `  rdev work list --state pending,running
  rdev work list -p shop --kind test --since 24h --all -o json | jq -r '.[] | select(.work.labels.pipeline == "nightly") | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind := o.filter.Kind; kind != "" && !slices.Contains(contract.WorkKinds(), kind) {
				return usagef(cmd, "--kind %s is not known: %s", kind, strings.Join(contract.WorkKinds(), ", "))
			}
			work, more, err := c.list(cmd, &o, workOf)
			if err != nil {
				return err
			}
			return c.showWork(cmd, work, more)
		},
	}
	o.add(c, cmd)
	cmd.Flags().StringVar(&o.filter.Kind, "kind", "", "of this kind only: "+strings.Join(contract.WorkKinds(), ", "))
	must(cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(contract.WorkKinds(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (c *cli) showWork(cmd *cobra.Command, work []client.Operation, more bool) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, work)
	}
	if len(work) == 0 {
		c.note(cmd, "no work")
		return nil
	}
	style, now := c.style(out), time.Now()
	var rows [][]string
	for _, op := range work {
		priority := ""
		if op.Work != nil {
			priority = string(op.Work.Priority)
		}
		rows = append(rows, []string{
			render.Line(op.ID), render.Line(strings.TrimPrefix(op.Kind, contract.WorkPrefix)), render.Line(op.Project), style.Standing(now, op.Operation),
			first(render.Line(priority), "-"), first(render.Line(op.Worker()), "-"), strconv.Itoa(len(render.Tries(op.Operation))),
			render.Age(now, op.CreatedAt), render.Took(now, op.Operation), render.Exit(op.Operation),
		})
	}
	header := []string{"ID", "KIND", "PROJECT", style.Plain("STATE"), "PRIORITY", "WORKER", "TRIES", "AGE", "TOOK", "EXIT"}
	if err := render.Table(out, header, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

func newWorkGetCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one piece of work, and its tries", Args: arguments("ID"),
		Example: `  rdev work get 0192aaaa-0000-7000-8000-000000000001
  rdev work get -o json ID | jq '.work.tries[].failure'`,
		ValidArgsFunction: c.completes(false, "", workOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			operation, err := api.WorkItem(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), operation)
			}
			return c.showOperation(cmd, operation.Operation)
		},
	}
}

// showQueueing writes what is known of work beside its command, a fact to a line.
func showQueueing(row func(name, value string), now time.Time, op contract.Operation) {
	work := op.Work
	if work == nil {
		return
	}
	row("repository", render.Repository(work.Repository))
	row("priority", render.Line(string(work.Priority)))
	row("worker", render.Line(op.Worker()))
	if render.Delayed(now, op) {
		row("due", work.RunAt.Local().Format(time.RFC3339)+" ("+render.Due(now, work.RunAt)+")")
	}
	tries := "at most " + strconv.Itoa(work.MaxAttempts)
	if work.MaxAttempts > 1 {
		tries += ", the second after " + render.Span(work.Backoff)
	}
	row("tries", tries)
	row("labels", render.Labels(work.Labels))
	row("unique key", render.Line(work.UniqueKey))
	row("retry of", render.Line(work.RetryOf))
	if work.Step != nil {
		row("step", render.Line(work.Step.Step)+" of build "+render.Line(work.Step.Build))
	}
}

// showTries writes the tries at work, where one has failed and was followed by another.
func showTries(cmd *cobra.Command, now time.Time, op contract.Operation) error {
	if op.Work == nil || len(op.Work.Tries) == 0 {
		return nil
	}
	var rows [][]string
	for i, try := range render.Tries(op) {
		rows = append(rows, render.Try(now, i+1, try))
	}
	return showPart(cmd, []string{"TRY", "WORKER", "STARTED", "TOOK", "EXIT", "FAILURE"}, rows)
}
