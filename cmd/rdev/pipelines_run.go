package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newPipelinesRunCommand(c *cli) *cobra.Command {
	var pipeline client.NewPipeline
	var variables []string
	project, key := "", ""
	cmd := &cobra.Command{
		Use: "run", Short: "Run a pipeline of a branch", Args: arguments(),
		Long: `Run the pipeline of the newest commit of a branch, that of the repository without
--branch, and print its number. The pipeline has to be for the event manual:
.woodpecker.yml says so by "when: event: [push, manual]".`,
		Example: `  rdev pipelines run -p shop
  rdev pipelines run --branch release --var TARGET=staging
  number=$(rdev pipelines run -o json | jq .number)`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if pipeline.Variables, err = pairs(cmd, "--var", variables); err != nil {
				return err
			}
			api, project, err := c.inCI(cmd.Context(), project)
			if err != nil {
				return err
			}
			started, err := api.RunPipeline(cmd.Context(), project, pipeline, key)
			if err != nil {
				return err
			}
			return c.tellPipeline(cmd, started)
		},
	}
	c.projectFlag(cmd, &project, "of this project")
	cmd.Flags().StringVar(&pipeline.Branch, "branch", "", "branch; that of the repository without")
	cmd.Flags().StringArrayVar(&variables, "var", nil, "KEY=value for the environment of its steps (repeatable)")
	cmd.Flags().StringVar(&key, "idempotency-key", "", "start it once for this key, however often this is run")
	return cmd
}

func newPipelinesRerunCommand(c *cli) *cobra.Command {
	return c.pipelineCommand("rerun", "Run a pipeline once more, as a new one",
		"Run a pipeline once more, with the same commit and variables, and print the number of the new one.", (*client.Client).RerunPipeline)
}

func newPipelinesCancelCommand(c *cli) *cobra.Command {
	return c.pipelineCommand("cancel", "End a pipeline",
		"End a pipeline that waits or runs. One that has ended already is an error, unless it was cancelled.", (*client.Client).CancelPipeline)
}

// pipelineCommand is a command that does something with one pipeline, and tells how it, or
// what came of it, stands.
func (c *cli) pipelineCommand(verb, short, long string, do func(*client.Client, context.Context, string, int64) (contract.Pipeline, error)) *cobra.Command {
	project := ""
	cmd := &cobra.Command{
		Use: verb + " NUMBER", Short: short, Long: long, Args: arguments("NUMBER"),
		Example:           "  rdev pipelines " + verb + " 7 -p shop",
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
			pipeline, err := do(api, cmd.Context(), project, number)
			if err != nil {
				return err
			}
			return c.tellPipeline(cmd, pipeline)
		},
	}
	c.projectFlag(cmd, &project, "of this project")
	return cmd
}

// tellPipeline writes the number and the status of a pipeline.
func (c *cli) tellPipeline(cmd *cobra.Command, pipeline contract.Pipeline) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, pipeline)
	}
	_, err := fmt.Fprintf(out, "%d %s %s\n", pipeline.Number, c.style(out).Pipeline(pipeline.Status), render.Line(pipeline.URL))
	return err
}
