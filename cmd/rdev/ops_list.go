package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newOpsListCommand(c *cli) *cobra.Command {
	var o listFlags
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List operations, newest first", Args: arguments(),
		Example: `  rdev ops list --state failed --since 24h
  rdev ops list -p shop --kind command.agent --all -o json | jq -r '.[].id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			operations, more, err := c.list(cmd, &o, operationsOf)
			if err != nil {
				return err
			}
			return c.showOperations(cmd, operations, more)
		},
	}
	o.add(c, cmd)
	cmd.Flags().StringVar(&o.filter.Kind, "kind", "", "of this kind only, such as command.shell")
	must(cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions([]cobra.Completion{
		contract.KindShell, contract.KindGit, contract.KindAgent, contract.KindProjectCreate, contract.KindProjectChange,
		contract.KindProjectRepair, contract.KindProjectDelete,
		contract.KindWorkBuild, contract.KindWorkTest, contract.KindWorkDeploy, contract.KindWorkCustom, contract.KindBuild,
	}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// operationsOf is a page of operations.
func operationsOf(ctx context.Context, api *client.Client, filter client.OperationFilter) ([]client.Operation, string, error) {
	page, err := api.Operations(ctx, filter)
	return page.Operations, page.NextCursor, err
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
