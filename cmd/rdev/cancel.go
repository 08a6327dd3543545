package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

// cancelCommand is a command that asks for the end of one or more operations. What it is
// called, and what it says of itself, is left to be set.
func (c *cli) cancelCommand(cancel func(*client.Client, context.Context, string) (client.Operation, error)) *cobra.Command {
	wait := false
	one := func(cmd *cobra.Command, api *client.Client, id string) error {
		operation, err := cancel(api, cmd.Context(), id)
		if err != nil {
			return err
		}
		return c.tellCancel(cmd, api, operation, wait)
	}
	cmd := &cobra.Command{
		Use: "cancel ID…",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("ID")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				return one(cmd, api, args[0])
			}
			failed := 0
			for _, id := range args {
				if err := one(cmd, api, id); err != nil {
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

// tellCancel tells what became of an operation whose end was asked for; with wait,
// when it has ended.
func (c *cli) tellCancel(cmd *cobra.Command, api *client.Client, operation client.Operation, wait bool) error {
	if wait {
		var err error
		if operation, err = c.await(cmd, api, operation, "cancelling "+operation.ID); err != nil {
			return err
		}
	}
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), operation)
	}
	state := c.style(cmd.OutOrStdout()).State(operation.State)
	if !operation.State.Ended() {
		state = "cancel requested, still " + state
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", render.Line(operation.ID), state)
	return err
}
