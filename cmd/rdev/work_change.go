package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
)

func newWorkCancelCommand(c *cli) *cobra.Command {
	cmd := c.cancelCommand((*client.Client).CancelWork)
	cmd.Short = "Ask for the end of work"
	cmd.Long = `Ask for the end of work. What waits ends at once, and what runs is stopped. What
cannot be cancelled is told, the rest is, and rdev exits with 1.`
	cmd.Example = `  rdev work cancel --wait 0192aaaa-0000-7000-8000-000000000001
  rdev work list -p shop --state pending --all -o json | jq -r '.[].id' | xargs rdev work cancel`
	cmd.ValidArgsFunction = c.completes(true, "pending,running", workOf)
	return cmd
}

func newWorkRetryCommand(c *cli) *cobra.Command {
	var how startFlags
	cmd := &cobra.Command{
		Use: "retry ID", Short: "Queue work once more that has ended, and follow it", Args: arguments("ID"),
		Long: `Queue work once more that has ended, with all that it was queued with, as a new
operation that says whose retry it is. It does not wait for a time that was asked for
then. It is followed as rdev work run follows it, with the same exit codes.`,
		Example: `  rdev work retry 0192aaaa-0000-7000-8000-000000000001
  rdev work retry --detach 0192aaaa-0000-7000-8000-000000000001`,
		ValidArgsFunction: c.completes(false, "failed,cancelled,completed", workOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.start(cmd, how, c.follows, func(ctx context.Context, api *client.Client) (client.Accepted, error) {
				return api.RetryWork(ctx, args[0], how.key)
			})
		},
	}
	how.add(cmd)
	return cmd
}
