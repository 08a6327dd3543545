package main

import (
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newBuildsListCommand(c *cli) *cobra.Command {
	var o listFlags
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List builds, newest first", Args: arguments(),
		Example: `  rdev builds list --state pending,running
  rdev builds list -p shop --since 24h --all -o json | jq -r '.[] | select(.state == "failed") | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			builds, more, err := c.list(cmd, &o, buildsOf)
			if err != nil {
				return err
			}
			return c.showBuilds(cmd, builds, more)
		},
	}
	o.add(c, cmd)
	return cmd
}

func (c *cli) showBuilds(cmd *cobra.Command, builds []client.Operation, more bool) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, builds)
	}
	if len(builds) == 0 {
		c.note(cmd, "no builds")
		return nil
	}
	style, now := c.style(out), time.Now()
	var rows [][]string
	for _, op := range builds {
		name := ""
		if op.Build != nil {
			name = op.Build.Name
		}
		rows = append(rows, []string{
			render.Line(op.ID), first(render.Line(name), "-"), render.Line(op.Project), style.Standing(now, op.Operation),
			first(render.Steps(op.Build), "-"), render.Age(now, op.CreatedAt), render.Took(now, op.Operation),
		})
	}
	header := []string{"ID", "NAME", "PROJECT", style.Plain("STATE"), "STEPS", "AGE", "TOOK"}
	if err := render.Table(out, header, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

func newBuildsGetCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "get ID", Short: "Show one build, and its steps", Args: arguments("ID"),
		Example: `  rdev builds get 0192aaaa-0000-7000-8000-000000000001
  rdev builds get -o json ID | jq -r '.build.steps[] | select(.state == "failed") | .operation'`,
		ValidArgsFunction: c.completes(false, "", buildsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			operation, err := api.Build(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), operation)
			}
			return c.showOperation(cmd, operation.Operation)
		},
	}
}

// showBuild writes what is known of a build beside its steps, a fact to a line.
func showBuild(row func(name, value string), build *contract.Build) {
	if build == nil {
		return
	}
	row("name", render.Line(build.Name))
	row("repository", render.Repository(build.Repository))
	row("priority", render.Line(string(build.Priority)))
	row("params", render.Labels(build.Params))
	row("labels", render.Labels(build.Labels))
	row("timeout", render.Span(build.Timeout))
	if build.FailFast {
		row("fail fast", "yes")
	}
	row("rerun of", render.Line(build.RerunOf))
}

// showSteps writes the steps of a build, and how they stand.
func showSteps(cmd *cobra.Command, style render.Style, now time.Time, build *contract.Build) error {
	if build == nil {
		return nil
	}
	var rows [][]string
	for _, step := range build.Steps {
		exit := "-"
		if step.ExitCode != nil {
			exit = strconv.Itoa(*step.ExitCode)
		}
		rows = append(rows, []string{
			render.Line(step.Name), style.Step(step.State), render.StepTook(now, step), exit,
			first(render.Line(step.Operation), "-"), first(render.StepNote(step), "-"),
		})
	}
	return showPart(cmd, []string{"STEP", style.Plain("STATE"), "TOOK", "EXIT", "OPERATION", "WHY"}, rows)
}
