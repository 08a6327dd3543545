package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
)

// startFlags are of what starts an operation.
type startFlags struct {
	detach bool
	key    string
}

func (o *startFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&o.detach, "detach", "d", false, "print the operation's ID and leave")
	cmd.Flags().StringVar(&o.key, "idempotency-key", "", "do it once for this key, however often this is run")
}

// start asks for an operation, tells of it, and follows it to its end unless that is not
// wanted.
func (c *cli) start(
	cmd *cobra.Command, how startFlags, follows func(*cobra.Command, *client.Client, client.Operation) course,
	ask func(context.Context, *client.Client) (client.Accepted, error),
) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	interrupts := watchInterrupts(cmd.Context())
	defer interrupts.stop()
	accepted, err := ask(interrupts.ctx, api)
	if err != nil {
		return interrupts.explain(err, "", "")
	}
	if accepted.Replayed && how.key != "" {
		c.note(cmd, "this is operation %s, which the idempotency key has started before", accepted.ID)
	}
	if !how.detach {
		return followToTheEnd(accepted.Operation, follows(cmd, api, accepted.Operation), interrupts)
	}
	for _, line := range (&waits{}).news(accepted.Operation.Operation, time.Now()) {
		c.note(cmd, "%s", line)
	}
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), accepted.Operation)
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), accepted.ID)
	return err
}
