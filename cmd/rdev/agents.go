package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newAgentsCommand(c *cli) *cobra.Command {
	cmd := group("agents", "List the agents there are, and read their recorded output",
		"Agents are given prompts with `rdev run --agent PROVIDER`.")
	cmd.Aliases = []string{"agent"}
	cmd.AddCommand(newAgentsListCommand(c), newAgentsParseCommand(c))
	return cmd
}

func newAgentsListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the agents that the gateway knows", Args: arguments(),
		Example: "  rdev agents list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			agents, err := api.Agents(cmd.Context())
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), append([]contract.AgentInfo{}, agents...))
			}
			var rows [][]string
			for _, agent := range agents {
				var tells []string
				if agent.ReportsUsage {
					tells = append(tells, "tokens")
				}
				if agent.ReportsCost {
					tells = append(tells, "cost")
				}
				rows = append(rows, []string{
					render.Line(agent.Name), render.Line(agent.Version), render.Line(agent.Binary), strings.Join(tells, ", "),
				})
			}
			return render.Table(cmd.OutOrStdout(), []string{"AGENT", "VERSION", "PROGRAM", "TELLS"}, rows)
		},
	}
}
