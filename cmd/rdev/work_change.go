package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newWorkCancelCommand(c *cli) *cobra.Command {
	wait := false
	cmd := &cobra.Command{
		Use: "cancel ID…", Short: "Ask for the end of work",
		Long: `Ask for the end of work. What waits ends at once, and what runs is stopped. What
cannot be cancelled is told, the rest is, and rdev exits with 1.`,
		Example: `  rdev work cancel --wait 0192aaaa-0000-7000-8000-000000000001
  rdev work list -p shop --state pending --all -o json | jq -r '.[].id' | xargs rdev work cancel`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("ID")(cmd, args[:min(len(args), 1)])
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return c.completeWorkIn(cmd, args, "pending,running")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return c.cancelWork(cmd, api, args[0], wait)
			}
			failed := 0
			for _, id := range args {
				if err := c.cancelWork(cmd, api, id, wait); err != nil {
					if cmd.Context().Err() != nil {
						return err
					}
					failed++
					report(cmd.ErrOrStderr(), fmt.Errorf("%s: %w", render.Line(id), err))
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d were not cancelled", failed, len(args))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "wait for the end")
	return cmd
}

func (c *cli) cancelWork(cmd *cobra.Command, api *client.Client, id string, wait bool) error {
	operation, err := api.CancelWork(cmd.Context(), id)
	if err != nil {
		return err
	}
	return c.tellCancel(cmd, api, operation, wait)
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
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return c.completeWorkIn(cmd, args, "failed,cancelled,completed")
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			interrupts := watchInterrupts(cmd.Context())
			defer interrupts.stop()
			accepted, err := api.RetryWork(interrupts.ctx, args[0], how.key)
			if err != nil {
				return interrupts.explain(err, "")
			}
			return c.started(cmd, api, accepted, how, interrupts)
		},
	}
	how.add(cmd)
	return cmd
}
