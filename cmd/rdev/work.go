package main

import (
	"context"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newWorkCommand(c *cli) *cobra.Command {
	cmd := group("work", "Queue builds, tests and other work for any free worker, and see how it does",
		`Work is an operation that runs on whichever worker is free, in an empty workspace or
in a repository that is checked out for it. It waits in a queue: what has a higher
priority goes first, and projects take turns. Work that fails can be tried again by
itself.

Its output, its history and its approvals are those of any operation:
`+"`rdev ops output`, `rdev ops events`, `rdev approvals`.")
	cmd.Example = `  rdev work run -p shop --kind test --repo https://git.example.com/shop.git@main -- make test
  rdev work add nightly.json
  rdev work list --state pending,running
  rdev work stats`
	cmd.AddCommand(
		newWorkRunCommand(c), newWorkAddCommand(c), newWorkListCommand(c), newWorkGetCommand(c),
		newWorkCancelCommand(c), newWorkRetryCommand(c), newWorkStatsCommand(c),
	)
	return cmd
}

func priorities() []string {
	return []string{string(contract.PriorityHigh), string(contract.PriorityNormal), string(contract.PriorityLow)}
}

// completeWork completes work, whatever became of it.
func (c *cli) completeWork(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return c.completeWorkIn(cmd, nil, "")
}

// completeWorkIn completes work in some states, all where that is "", but for what is
// named already.
func (c *cli) completeWorkIn(cmd *cobra.Command, named []string, states string) ([]cobra.Completion, cobra.ShellCompDirective) {
	api, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	page, err := api.Work(ctx, client.OperationFilter{State: states})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeIDs(page.Work, named), cobra.ShellCompDirectiveNoFileComp
}

// completeIDs are the ids of operations, but for those that are named already.
func completeIDs(operations []client.Operation, named []string) []cobra.Completion {
	var ids []cobra.Completion
	for _, op := range operations {
		if !slices.Contains(named, op.ID) {
			about := strings.Join([]string{op.Kind, op.Project, string(op.State)}, " ")
			ids = append(ids, cobra.CompletionWithDesc(op.ID, render.Line(about)))
		}
	}
	return ids
}
