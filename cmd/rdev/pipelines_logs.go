package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// stepLog is what a step of a pipeline has said, as JSON has it.
type stepLog struct {
	Workflow string   `json:"workflow"`
	Step     string   `json:"step"`
	ID       int64    `json:"id"`
	Lines    []string `json:"lines"`
}

func newPipelinesLogsCommand(c *cli) *cobra.Command {
	project := ""
	cmd := &cobra.Command{
		Use: "logs NUMBER [STEP]", Short: "Write what the steps of a pipeline have said so far",
		Long: `Write what the steps of a pipeline have said so far, step by step with its name in front
of each line; or with STEP, the name or the id of one, its lines alone.`,
		Example: `  rdev pipelines logs 7 -p shop
  rdev pipelines logs 7 test > test.log
  rdev pipelines logs 7 -o json | jq -r '.[] | select(.step == "test") | .lines[]'`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments([]string{"NUMBER", "STEP"}[:max(1, min(len(args), 2))]...)(cmd, args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := pipelineNumber(cmd, args[0])
			if err != nil {
				return err
			}
			api, project, err := c.inCI(cmd.Context(), project)
			if err != nil {
				return err
			}
			pipeline, err := api.Pipeline(cmd.Context(), project, number)
			if err != nil {
				return err
			}
			logs, err := logsNamed(pipeline, strings.Join(args[1:], ""))
			if err != nil {
				return err
			}
			return c.writeLogs(cmd, api, project, number, logs, len(args) == 1)
		},
	}
	c.projectFlag(cmd, &project, "of this project")
	return cmd
}

// logsNamed are the steps that a name or an id means, all where it is "".
func logsNamed(pipeline contract.Pipeline, name string) (named []stepLog, _ error) {
	var all []string
	for _, workflow := range pipeline.Workflows {
		for _, step := range workflow.Steps {
			all = append(all, render.Line(step.Name))
			if name == "" || name == step.Name || name == strconv.FormatInt(step.ID, 10) {
				named = append(named, stepLog{Workflow: workflow.Name, Step: step.Name, ID: step.ID})
			}
		}
	}
	switch {
	case len(all) == 0:
		return nil, errors.New("the pipeline has no steps, and so no logs")
	case len(named) == 0:
		return nil, &hinted{fmt.Errorf("the pipeline has no step %q", name), "It has " + strings.Join(all, ", ") + "."}
	case len(named) > 1 && name != "":
		return nil, &hinted{fmt.Errorf("the pipeline has %d steps %q", len(named), name), "Say which by its id: rdev pipelines get " + strconv.FormatInt(pipeline.Number, 10) + "."}
	}
	return named, nil
}

func (c *cli) writeLogs(cmd *cobra.Command, api *client.Client, project string, number int64, logs []stepLog, prefixed bool) error {
	out := cmd.OutOrStdout()
	for i := range logs {
		lines, err := api.PipelineLogs(cmd.Context(), project, number, logs[i].ID)
		if err != nil {
			return err
		}
		logs[i].Lines = append([]string{}, lines...)
		if c.json() {
			continue
		}
		prefix := ""
		if prefixed {
			prefix = c.style(out).Voice(i, render.Line(logs[i].Step)) + " | "
		}
		to := &render.Prefixed{Out: out, Prefix: prefix, Screen: isTerminal(out), Color: c.style(out).Color}
		for _, line := range lines {
			if _, err := io.WriteString(to, line+"\n"); err != nil {
				return fmt.Errorf("write the logs of pipeline %d: %w", number, err)
			}
		}
	}
	if c.json() {
		return writeJSON(out, logs)
	}
	return nil
}
