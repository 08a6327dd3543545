package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
)

func newBuildsCommand(c *cli) *cobra.Command {
	cmd := group("builds", "Run builds of many steps, and see how they do",
		`A build is an operation with steps, each of which runs on whichever worker is free as
soon as what it needs has completed. A file says which: build.yml, or .rdev/build.yml,
as JSON or YAML.

A step comes to a piece of work, which has an ID of its own: what is asked of
operations can be asked of it, as `+"`rdev ops output`"+` and `+"`rdev approvals`"+`.`)
	cmd.Aliases = []string{"build"}
	cmd.Example = `  rdev builds validate build.yml -p shop
  rdev builds run build.yml -p shop --param VERSION=1.2
  rdev builds list --state running
  rdev builds rerun 0192aaaa-0000-7000-8000-000000000001
  rdev builds download 0192aaaa-0000-7000-8000-000000000001 'bin/*' -d out`
	cmd.AddCommand(
		newBuildsRunCommand(c), newBuildsValidateCommand(c), newBuildsListCommand(c), newBuildsGetCommand(c),
		newBuildsOutputCommand(c), newBuildsCancelCommand(c), newBuildsRerunCommand(c),
		newBuildsArtifactsCommand(c), newBuildsDownloadCommand(c), newBuildsSchemaCommand(c),
	)
	return cmd
}

// buildsOf is a page of builds.
func buildsOf(ctx context.Context, api *client.Client, filter client.OperationFilter) ([]client.Operation, string, error) {
	page, err := api.Builds(ctx, filter)
	return page.Builds, page.NextCursor, err
}

// followFlags are of what starts a build.
type followFlags struct {
	startFlags
	step string // whose output alone is shown, or a matrix; "" for all
}

func (o *followFlags) add(cmd *cobra.Command) {
	o.startFlags.add(cmd)
	cmd.Flags().StringVar(&o.step, "step", "", "show the output of this step, or this matrix, only")
}

// run starts a build, unless it would not have the step that is to be shown.
func (o *followFlags) run(ctx context.Context, api *client.Client, build client.NewBuild) (client.Accepted, error) {
	if o.step != "" {
		planned, err := api.PlanBuild(ctx, build)
		if err == nil {
			_, err = stepsNamed(&planned.Build, o.step)
		}
		if err != nil {
			return client.Accepted{}, err
		}
	}
	return api.RunBuild(ctx, build, o.key)
}

func newBuildsRunCommand(c *cli) *cobra.Command {
	var o specFlags
	var how followFlags
	cmd := &cobra.Command{
		Use: "run [FILE]", Short: "Run a build, and follow it", Args: atMost("FILE"),
		Long: `Run the build that FILE specifies, and follow it: what its steps say comes out line by
line, with the name of the step in front. FILE is build.yml, or else .rdev/build.yml,
where it is not named, and stdin where it is -.

On a terminal the steps and how they stand are kept below the output. Elsewhere, and
with -o plain or NO_COLOR, each change of a step is told on stderr.

Ctrl-C asks for the cancel and keeps following to the end; Ctrl-C again leaves.
Without -p, the project is RDEV_PROJECT, or the only one there is.

Exit codes: 1 where it failed, or the specification is wrong, 130 where it was
cancelled, 2 for a mistake in the command line.`,
		Example: `  rdev builds run
  rdev builds run build.yml -p shop --param VERSION=1.2 --param TARGET=staging
  rdev builds run --step test                     # the output of one step alone
  id=$(rdev builds run --detach); rdev builds output "$id"
  generate | rdev builds run - -p shop -o json | jq -c 'select(.event == "state")'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			build, name, err := o.read(cmd, args)
			if err != nil {
				return err
			}
			return c.start(cmd, how.startFlags, c.followsBuild(how.step), func(ctx context.Context, api *client.Client) (client.Accepted, error) {
				if build.Project, err = c.project(ctx, api, o.project); err != nil {
					return client.Accepted{}, err
				}
				accepted, err := how.run(ctx, api, build)
				return accepted, inFile(err, name)
			})
		},
	}
	o.add(c, cmd)
	how.add(cmd)
	return cmd
}

func newBuildsRerunCommand(c *cli) *cobra.Command {
	var which client.Rerun
	var how followFlags
	cmd := &cobra.Command{
		Use: "rerun ID", Short: "Run a build once more, and follow it", Args: arguments("ID"),
		Long: `Run a build once more that has ended, as another one that says whose steps it has.
What the first one had completed is taken from it, with its artifacts: only what had
not, and what needs that, runs. With --from, that step runs again, too, and what needs
it; with --all, every step does. It is followed as rdev builds run follows it, with the
same exit codes.`,
		Example: `  rdev builds rerun 0192aaaa-0000-7000-8000-000000000001
  rdev builds rerun --from image 0192aaaa-0000-7000-8000-000000000001
  rdev builds rerun --all --detach 0192aaaa-0000-7000-8000-000000000001`,
		ValidArgsFunction: c.completes(false, "failed,cancelled,completed", buildsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			if which.All && which.From != "" {
				return usagef(cmd, "--from and --all do not go together")
			}
			return c.start(cmd, how.startFlags, c.followsBuild(how.step), func(ctx context.Context, api *client.Client) (client.Accepted, error) {
				if how.step != "" {
					old, err := api.Build(ctx, args[0])
					if err == nil && old.Build != nil {
						_, err = stepsNamed(old.Build, how.step)
					}
					if err != nil {
						return client.Accepted{}, err
					}
				}
				return api.RerunBuild(ctx, args[0], which, how.key)
			})
		},
	}
	cmd.Flags().StringVar(&which.From, "from", "", "run this step, or this matrix, again although it has completed")
	cmd.Flags().BoolVar(&which.All, "all", false, "run every step again")
	how.add(cmd)
	return cmd
}

func newBuildsCancelCommand(c *cli) *cobra.Command {
	cmd := c.cancelCommand((*client.Client).CancelBuild)
	cmd.Short = "Ask for the end of builds"
	cmd.Long = `Ask for the end of builds. What has not begun does not, and what runs is stopped. What
cannot be cancelled is told, the rest is, and rdev exits with 1.`
	cmd.Example = `  rdev builds cancel --wait 0192aaaa-0000-7000-8000-000000000001
  rdev builds list -p shop --state pending,running --all -o json | jq -r '.[].id' | xargs rdev builds cancel`
	cmd.ValidArgsFunction = c.completes(true, "pending,running", buildsOf)
	return cmd
}
