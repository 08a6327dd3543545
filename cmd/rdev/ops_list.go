package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// completionTimeout bounds how long a press of the tab key may take.
const completionTimeout = 2 * time.Second

func newOpsListCommand(c *cli) *cobra.Command {
	var filter client.OperationFilter
	var since string
	all := false
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List operations, newest first", Args: arguments(),
		Example: `  rdev ops list --state failed --since 24h
  rdev ops list -p shop --kind command.agent --all -o json | jq -r '.[].id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if filter.Since, err = parseSince(since, time.Now()); err != nil {
				return usagef(cmd, "%v", err)
			}
			if err := checkStates(cmd, filter.State); err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			operations, more, err := listOperations(cmd.Context(), api, filter, all)
			if err != nil {
				return err
			}
			return c.showOperations(cmd, operations, more)
		},
	}
	flags := cmd.Flags()
	stateFlag(cmd, &filter.State)
	c.projectFlag(cmd, &filter.Project, "of this project only")
	flags.StringVar(&filter.Kind, "kind", "", "of this kind only, such as command.shell")
	flags.StringVar(&since, "since", "", "created since then: 2h, or 2026-11-25T10:00:00Z")
	flags.IntVar(&filter.Limit, "limit", 0, "at most so many (the gateway's default)")
	flags.BoolVar(&all, "all", false, "all pages")
	must(cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]cobra.Completion{
		contract.KindShell, contract.KindGit, contract.KindAgent, contract.KindProjectCreate, contract.KindProjectDelete,
		contract.KindWorkBuild, contract.KindWorkTest, contract.KindWorkDeploy, contract.KindWorkCustom,
	}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// stateFlag adds --state with completion.
func stateFlag(cmd *cobra.Command, target *string) {
	cmd.Flags().StringVar(target, "state", "", "pending, running, completed, failed, cancelled, or several with commas")
	must(cmd.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(
		[]cobra.Completion{"pending", "running", "completed", "failed", "cancelled"}, cobra.ShellCompDirectiveNoFileComp)))
}

// checkStates wants states with commas between them, or nothing.
func checkStates(cmd *cobra.Command, states string) error {
	for state := range strings.SplitSeq(states, ",") {
		if states != "" && !contract.State(state).Valid() {
			return usagef(cmd, "--state %s is not known: pending, running, completed, failed, cancelled", state)
		}
	}
	return nil
}

// listOperations is readPages of operations.
func listOperations(ctx context.Context, api *client.Client, filter client.OperationFilter, all bool) ([]client.Operation, bool, error) {
	return readPages(filter.Limit, all, func(limit int, cursor string) ([]client.Operation, string, error) {
		filter.Limit, filter.Cursor = limit, cursor
		page, err := api.Operations(ctx, filter)
		return page.Operations, page.NextCursor, err
	})
}

// readPages reads pages until there are as many as most, 0 for one page, or with
// all, until there are no more. It tells whether there are.
func readPages[T any](most int, all bool, read func(limit int, cursor string) (page []T, next string, err error)) ([]T, bool, error) {
	list, cursor := []T{}, ""
	for {
		page, next, err := read(min(most, contract.MaxPage), cursor)
		if err != nil {
			return nil, false, err
		}
		list = append(list, page...)
		more := next != "" && next != cursor
		if !all && most > 0 && len(list) > most {
			return list[:most], true, nil
		}
		if !more || (!all && len(list) >= most) {
			return list, more, nil
		}
		cursor = next
	}
}

func (c *cli) showOperations(cmd *cobra.Command, operations []client.Operation, more bool) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, operations)
	}
	if len(operations) == 0 {
		c.note(cmd, "no operations")
		return nil
	}
	style, now := c.style(out), time.Now()
	var rows [][]string
	for _, op := range operations {
		rows = append(rows, []string{
			render.Line(op.ID), render.Line(op.Kind), render.Line(op.Project), style.Standing(now, op.Operation),
			render.Age(now, op.CreatedAt), render.Took(now, op.Operation), render.Exit(op.Operation),
		})
	}
	header := []string{"ID", "KIND", "PROJECT", style.Plain("STATE"), "AGE", "TOOK", "EXIT"}
	if err := render.Table(out, header, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

// noteMore tells how to see what a list left out.
func (c *cli) noteMore(cmd *cobra.Command, more bool) {
	if more {
		c.note(cmd, "there are more: --limit, --all")
	}
}

// parseSince reads a time, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	since, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return since, fmt.Errorf("--since %q is neither like 2h nor like 2026-11-25T10:00:00Z", text)
	}
	return since, nil
}

func (c *cli) completeOperations(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	api, err := c.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	page, err := api.Operations(ctx, client.OperationFilter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeIDs(page.Operations, nil), cobra.ShellCompDirectiveNoFileComp
}
