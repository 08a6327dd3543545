package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newTailCommand(c *cli) *cobra.Command {
	var filter client.EventFilter
	most := 0
	cmd := &cobra.Command{
		Use: "tail", Short: "Follow every event of the log", Args: arguments(),
		Long: `Follow the log: each event once, in order, also over a restart of the gateway.
Ctrl-C ends it; the sequence in front of each line is where to go on.`,
		Example: `  rdev tail
  rdev tail --from-seq 1                          # all that is kept, then live
  rdev tail --type operation.failed -p shop
  rdev tail -o json | jq -c '[.seq, .type, .id]'`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.tail(cmd, filter, most) },
	}
	flags := cmd.Flags()
	flags.Uint64Var(&filter.From, "from-seq", 0, "begin at this sequence instead of now")
	flags.StringVar(&filter.Type, "type", "", "of this type only, such as operation.failed or operation.*")
	flags.IntVar(&most, "count", 0, "leave after so many events")
	c.projectFlag(cmd, &filter.Project, "of this project only")
	return cmd
}

func (c *cli) tail(cmd *cobra.Command, filter client.EventFilter, most int) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	style, written := c.style(out), 0
	for event, err := range api.Events(cmd.Context(), filter) {
		if err != nil {
			return err
		}
		if c.json() {
			err = writeJSONLine(out, event)
		} else {
			_, err = fmt.Fprintln(out, style.Event(viewOf(event)))
		}
		if err != nil {
			return fmt.Errorf("write event %d: %w", event.Seq, err)
		}
		if written++; written == most {
			return nil
		}
	}
	return nil
}

// viewOf is an event as it is rendered.
func viewOf(event client.Event) render.Event {
	var op *contract.Operation
	if event.Operation != nil {
		op = &event.Operation.Operation
	}
	return render.Event{
		Seq: event.Seq, Time: event.Time, Entity: event.Entity, Type: event.Type, ID: event.ID,
		Project: event.Project, Actor: event.Actor, Operation: op, Budget: event.Budget,
	}
}
