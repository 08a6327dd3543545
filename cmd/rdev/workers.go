package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newWorkersCommand(c *cli) *cobra.Command {
	cmd := group("workers", "List workers, and have them take no more work",
		"A worker carries work of any project out, one piece at a time: see `rdev work`.")
	cmd.Aliases = []string{"worker"}
	cmd.AddCommand(
		newWorkersListCommand(c),
		newWorkersChangeCommand(c, "drain", "Have a worker take no more work", "Have a worker take no more work. What it does goes on to its end.",
			": it ends what it does, and takes nothing more", (*client.Client).DrainWorker),
		newWorkersChangeCommand(c, "resume", "Have a worker take work again", "Have a worker take work again that was drained.",
			"", (*client.Client).ResumeWorker),
	)
	return cmd
}

func newWorkersListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List workers, and what they do", Args: arguments(),
		Example: `  rdev workers list
  rdev workers list -o json | jq -r '.[] | select(.operation == null) | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			workers, err := api.Workers(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if c.json() {
				return writeJSON(out, append([]client.Worker{}, workers...))
			}
			if len(workers) == 0 {
				c.note(cmd, "no workers: work waits until there are some")
				return nil
			}
			style, now := c.style(out), time.Now()
			var rows [][]string
			for _, w := range workers {
				since := "-"
				if w.Since != nil {
					since = render.Ago(now, w.Since)
				}
				rows = append(rows, []string{
					render.Line(w.ID), style.Worker(w.State), render.Line(w.Runtime), first(render.Line(w.Operation), "-"),
					first(render.Line(w.Project), "-"), since,
				})
			}
			return render.Table(out, []string{"ID", style.Plain("STATE"), "RUNTIME", "OPERATION", "PROJECT", "SINCE"}, rows)
		},
	}
}

// newWorkersChangeCommand makes the command of a change, drain or resume, and tells
// what it means.
func newWorkersChangeCommand(
	c *cli, verb, short, long, means string, change func(*client.Client, context.Context, string) (client.Worker, error),
) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Long: long, Args: arguments("ID"),
		Example:           "  rdev workers " + verb + " local-1",
		ValidArgsFunction: c.completeWorkers,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			worker, err := change(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), worker)
			}
			return c.done(cmd, fmt.Sprintf("worker %s is %s%s", render.Line(worker.ID), render.Line(string(worker.State)), means))
		},
	}
}

func (c *cli) completeWorkers(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	api, err := c.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	workers, err := api.Workers(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var ids []cobra.Completion
	for _, w := range workers {
		ids = append(ids, cobra.CompletionWithDesc(w.ID, render.Line(string(w.State))))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
