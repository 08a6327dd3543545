package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newBuildsOutputCommand(c *cli) *cobra.Command {
	var from uint64
	step, once := "", false
	cmd := &cobra.Command{
		Use: "output ID", Short: "Write what the steps of a build say, and follow it while it runs", Args: arguments("ID"),
		Long: `Write what the steps of a build say, line by line with the name of the step in front,
and go on until it ends. With --step, and the name of one step, its output comes as it
is, byte for byte.`,
		Example: `  rdev builds output 0192aaaa-0000-7000-8000-000000000001
  rdev builds output ID --step test > test.log
  rdev builds output --no-follow ID               # what there is by now
  rdev builds output -o json ID | jq .seq         # for --from-seq`,
		ValidArgsFunction: c.completes(false, "", buildsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			build, err := api.Build(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if step != "" && build.Build != nil {
				named, err := stepsNamed(build.Build, step)
				if err != nil {
					return err
				}
				if len(named) == 1 && named[0].Operation != "" {
					return c.writeOutput(cmd, api, named[0].Operation, from, !once)
				}
			}
			return c.writeBuild(cmd, api, build, step, from, !once)
		},
	}
	cmd.Flags().StringVar(&step, "step", "", "of this step, or this matrix, only")
	cmd.Flags().Uint64Var(&from, "from-seq", 0, "begin at this sequence of the output")
	cmd.Flags().BoolVar(&once, "no-follow", false, "write what there is by now, and leave")
	return cmd
}

// stepsNamed are the steps that a name means: one, or all of a matrix. It is an error where
// it means none.
func stepsNamed(build *contract.Build, name string) ([]contract.BuildStep, error) {
	var named []contract.BuildStep
	var all []string
	for _, step := range build.Steps {
		all = append(all, render.Line(step.Name))
		if step.Name == name || step.Of == name {
			named = append(named, step)
		}
	}
	if len(named) == 0 {
		return nil, &hinted{fmt.Errorf("the build has no step %q", name), "It has " + strings.Join(all, ", ") + "."}
	}
	return named, nil
}

func (c *cli) writeBuild(cmd *cobra.Command, api *client.Client, build client.Operation, step string, from uint64, follow bool) error {
	viewer := c.newBuildFollower(cmd, step)
	defer viewer.end()
	if err := viewer.begin(build.Operation); err != nil {
		return fmt.Errorf("write the output of build %s: %w", build.ID, err)
	}
	for output, err := range api.BuildOutput(cmd.Context(), build.ID, step, from, follow) {
		if err != nil {
			return err
		}
		if err := viewer.write(output); err != nil {
			return fmt.Errorf("write the output of build %s: %w", build.ID, err)
		}
	}
	return nil
}

// buildHint says what to do about a build that failed.
func buildHint(op contract.Operation) string {
	id := render.Line(op.ID)
	hint := "Once more: rdev builds rerun " + id
	for _, step := range op.Build.Steps {
		if step.State == contract.StepFailed && !step.AllowFailure && step.Operation != "" {
			return "Its output: rdev builds output " + id + " --step " + render.Line(step.Name) + "\n" + hint
		}
	}
	return hint
}
