package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
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
				return writeJSON(cmd.OutOrStdout(), append([]json.RawMessage{}, agents...))
			}
			var rows [][]string
			for _, raw := range agents {
				row, err := agentRow(raw)
				if err != nil {
					return fmt.Errorf("read the list of agents: %w", err)
				}
				rows = append(rows, row)
			}
			return render.Table(cmd.OutOrStdout(), []string{"AGENT", "VERSION", "AVAILABLE", "DETAILS"}, rows)
		},
	}
}

func agentRow(raw json.RawMessage) ([]string, error) {
	var agent struct {
		Provider  string   `json:"provider"`
		Name      string   `json:"name"`
		Version   string   `json:"version"`
		Available *bool    `json:"available"`
		Detail    string   `json:"detail"`
		Models    []string `json:"models"`
	}
	if err := json.Unmarshal(raw, &agent); err != nil {
		return nil, err
	}
	available := "-"
	if agent.Available != nil {
		available = map[bool]string{true: "yes", false: "no"}[*agent.Available]
	}
	return []string{
		render.Line(first(agent.Provider, agent.Name)), render.Line(first(agent.Version, "-")), available,
		render.Line(first(agent.Detail, strings.Join(agent.Models, ", "))),
	}, nil
}
