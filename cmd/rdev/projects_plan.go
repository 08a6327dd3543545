package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newProjectsPlanCommand(c *cli) *cobra.Command {
	var wanted projectFlags
	var keep []string
	deletes, repairs := false, false
	cmd := &cobra.Command{
		Use: "plan SLUG", Short: "Show what would be done to a project, and do nothing", Args: arguments("SLUG"),
		Long: `Show what rdev projects create would do with the same flags: the steps, and of each
what keeps it from being done. With --delete or --repair it is what these would do.
Nothing is made, changed or reserved.

Exit codes: 0 where all of it could be done now, 1 where it could not, or there is an
error, 2 for a mistake in the command line.`,
		Example: `  rdev projects plan shop --template go-api --database
  rdev projects plan shop --repair
  rdev projects plan shop --delete --keep repository -o json | jq -r '.steps[] | select(.action == "keep") | .what'`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case deletes && repairs:
				return usagef(cmd, "--delete and --repair do not go together")
			case len(keep) > 0 && !deletes:
				return usagef(cmd, "--keep goes with --delete only")
			}
			if deletes || repairs {
				if name := strange(cmd.LocalNonPersistentFlags(), "delete", "repair", "keep"); name != "" {
					return usagef(cmd, "--%s is for a new project, and goes neither with --delete nor with --repair", name)
				}
				if deletes {
					return c.plan(cmd, client.DeleteProject(args[0], keep...))
				}
				return c.plan(cmd, client.RepairProject(args[0]))
			}
			project, err := wanted.request(cmd, args[0])
			if err != nil {
				return err
			}
			return c.plan(cmd, client.CreateProject(project))
		},
	}
	wanted.add(cmd)
	cmd.Flags().BoolVar(&deletes, "delete", false, "what rdev projects delete would do")
	cmd.Flags().BoolVar(&repairs, "repair", false, "what rdev projects repair would do")
	keepFlag(cmd, &keep)
	return cmd
}

// strange is a flag that is given and is none of those named, "" where there is none.
func strange(flags *pflag.FlagSet, named ...string) (found string) {
	flags.VisitAll(func(flag *pflag.Flag) {
		if flag.Changed && !slices.Contains(named, flag.Name) {
			found = flag.Name
		}
	})
	return found
}

// plan shows what a change of a project would do. Where it cannot be done the error says so.
func (c *cli) plan(cmd *cobra.Command, change client.ProjectChange) error {
	api, err := c.connect()
	if err != nil {
		return err
	}
	plan, err := api.PlanProject(cmd.Context(), change)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	switch {
	case c.json():
		err = writeJSON(out, plan)
	case len(plan.Steps) == 0:
		c.note(cmd, "there is nothing to do")
	default:
		style := c.style(out)
		var rows [][]string
		for _, step := range plan.Steps {
			rows = append(rows, []string{
				render.Line(step.Name), first(render.Line(string(step.Action)), "-"), first(render.About(step), "-"), first(style.Bad(render.Whole(step.Failure)), "-"),
			})
		}
		err = render.Table(out, []string{"STEP", "ACTION", "WHAT", "PROBLEM"}, rows)
	}
	if err == nil && !plan.OK {
		err = &hinted{errors.New("it cannot be done as it is asked for"), "Nothing was made or changed."}
	}
	return err
}

func newProjectsDriftCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "drift SLUG", Short: "Compare a project with the world", Args: arguments("SLUG"),
		Long: `Compare each part of a project with what it is to be:

  ok         it is as it is to be
  differs    it is there, and another than it is to be, or is gone
  missing    the project is to have it, and it was never made
  leftover   the project is not to have it, and it could not be removed
  unknown    nobody can tell at the moment: DIFFERENCES says why

Nothing is changed: rdev projects repair does that.

Exit codes: 0 where all is as it is to be, 1 where anything is not, or there is an
error, 2 for a mistake in the command line.`,
		Example: `  rdev projects drift shop
  rdev projects drift shop || rdev projects repair shop
  rdev projects drift shop -o json | jq -r '.resources[] | select(.state != "ok") | .name'`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			found, err := api.Drift(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				err = writeJSON(cmd.OutOrStdout(), found)
			} else {
				err = c.showDrift(cmd, found)
			}
			if err == nil && found.Drift {
				err = &hinted{
					fmt.Errorf("project %s is not as it is to be", render.Line(args[0])),
					"See what a repair does, and repair it: rdev projects plan " + render.Line(args[0]) + " --repair, rdev projects repair " + render.Line(args[0]),
				}
			}
			return err
		},
	}
}

func (c *cli) showDrift(cmd *cobra.Command, found client.Differences) error {
	out := cmd.OutOrStdout()
	style := c.style(out)
	var rows [][]string
	for _, part := range found.Resources {
		state := render.Line(string(part.State))
		switch part.State {
		case contract.DifferenceNone:
			state = style.Good(state)
		case contract.DifferenceUnknown:
			state = style.Warn(state)
		case contract.DifferenceDiffers, contract.DifferenceMissing, contract.DifferenceLeftover:
			state = style.Bad(state)
		}
		rows = append(rows, []string{
			render.Line(part.Name), state, render.Line(part.What), first(render.Line(strings.Join(part.Differences, "; ")), "-"),
		})
	}
	return render.Table(out, []string{"PART", style.Plain("STATE"), "WHAT", "DIFFERENCES"}, rows)
}

func newProjectsRepairCommand(c *cli) *cobra.Command {
	var how changeFlags
	cmd := &cobra.Command{
		Use: "repair SLUG", Short: "Make a project what it is to be", Args: arguments("SLUG"),
		Long: `Make again what a project is to have and has not, or has as another than it is to be,
and remove what it is not to have any more. Where that is nothing, nothing is done: it is
harmless to ask again. Of a project that could not be created or deleted as a whole, it
removes what is left.

What people have put into a workspace, a repository, a database or a cache is never
looked at, nor changed.`,
		Example: `  rdev projects repair shop --dry-run
  rdev projects repair shop`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, how, client.RepairProject(args[0]), "repairing "+args[0], "repaired "+args[0])
		},
	}
	how.add(cmd)
	return cmd
}
