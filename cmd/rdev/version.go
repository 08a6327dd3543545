package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/libs/service"
)

func newVersionCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Tell the version of this program", Args: arguments(),
		Example: "  rdev version\n  rdev version -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			build := service.ReadBuild()
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), build)
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "rdev", build)
			return err
		},
	}
}
