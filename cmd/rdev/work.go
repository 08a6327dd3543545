package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
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

// workOf is a page of work.
func workOf(ctx context.Context, api *client.Client, filter client.OperationFilter) ([]client.Operation, string, error) {
	page, err := api.Work(ctx, filter)
	return page.Work, page.NextCursor, err
}
