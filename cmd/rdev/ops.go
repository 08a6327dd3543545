package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newOpsCommand(c *cli) *cobra.Command {
	cmd := group("ops", "List, inspect, follow and cancel operations",
		"An operation is one thing asked of rdev: a command, work for the queue, the creation of a\nproject. It is kept with its whole history.")
	cmd.Aliases = []string{"op", "operations"}
	cmd.AddCommand(
		newOpsListCommand(c), newOpsGetCommand(c), newOpsEventsCommand(c),
		newOpsCancelCommand(c), newOpsOutputCommand(c), newOpsArtifactsCommand(c), newOpsDownloadCommand(c),
	)
	return cmd
}

func newOpsEventsCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "events ID", Short: "Show an operation's history, from the log", Args: arguments("ID"),
		Example:           "  rdev ops events 0192aaaa-0000-7000-8000-000000000001",
		ValidArgsFunction: c.completes(false, "", operationsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			events, err := api.History(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if c.json() {
				for _, event := range events {
					if err := writeJSONLine(out, event); err != nil {
						return err
					}
				}
				return nil
			}
			var rows [][]string
			for i, event := range events {
				if event.Type == contract.TypeProgressed && i+1 < len(events) && events[i+1].Type == event.Type {
					continue // the next one tells all of it
				}
				details := render.Details(render.Event{
					Type: event.Type, Time: event.Time, Operation: &event.Operation.Operation,
				})
				rows = append(rows, []string{
					strconv.FormatUint(event.Seq, 10), event.Time.Local().Format("2006-01-02 15:04:05.000"), render.Line(event.Type), details,
				})
			}
			return render.Table(out, []string{"SEQ", "TIME", "EVENT", "DETAILS"}, rows)
		},
	}
}

func newOpsCancelCommand(c *cli) *cobra.Command {
	cmd := c.cancelCommand((*client.Client).Cancel)
	cmd.Short = "Ask for the end of operations"
	cmd.Example = "  rdev ops cancel --wait 0192aaaa-0000-7000-8000-000000000001"
	cmd.ValidArgsFunction = c.completes(true, "pending,running", operationsOf)
	return cmd
}

func newOpsOutputCommand(c *cli) *cobra.Command {
	var from uint64
	follow := true
	cmd := &cobra.Command{
		Use: "output ID", Short: "Write an operation's output, and follow it while it runs", Args: arguments("ID"),
		Example: `  rdev ops output 0192aaaa-0000-7000-8000-000000000001 > build.log
  rdev ops output --follow=false ID               # what there is by now
  rdev ops output -o json ID | jq .seq            # for --from-seq`,
		ValidArgsFunction: c.completes(false, "", operationsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			return c.writeOutput(cmd, api, args[0], from, follow)
		},
	}
	cmd.Flags().Uint64Var(&from, "from-seq", 0, "begin at this sequence of the output")
	cmd.Flags().BoolVarP(&follow, "follow", "f", true, "go on until the operation ends")
	return cmd
}

func (c *cli) writeOutput(cmd *cobra.Command, api *client.Client, id string, from uint64, follow bool) error {
	follower := c.newFollower(cmd)
	for output, err := range api.Output(cmd.Context(), id, from, follow) {
		if err != nil {
			return err
		}
		if err := follower.write(output); err != nil {
			return fmt.Errorf("write the output of operation %s: %w", id, err)
		}
	}
	return nil
}
