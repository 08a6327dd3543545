package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// specFlags are of what reads a specification.
type specFlags struct {
	project string
	params  []string
}

func (o *specFlags) add(c *cli, cmd *cobra.Command) {
	c.projectFlag(cmd, &o.project, "project that it is for (RDEV_PROJECT)")
	cmd.Flags().StringArrayVar(&o.params, "param", nil, "KEY=value for a parameter of the build (repeatable)")
}

// read makes the request of flags and arguments, but for the project, and tells what the
// file is called.
func (o *specFlags) read(cmd *cobra.Command, args []string) (build client.NewBuild, name string, err error) {
	if build.Params, err = pairs(cmd, "--param", o.params); err != nil {
		return build, "", err
	}
	text, name, err := readSpec(cmd.InOrStdin(), args)
	build.Spec = string(text)
	return build, name, err
}

// readSpec reads the file that is named, stdin where that is -, or the one that is found.
func readSpec(stdin io.Reader, args []string) (text []byte, name string, err error) {
	names := []string{"build.yml", filepath.Join(".rdev", "build.yml")}
	if len(args) > 0 {
		names = args[:1]
	}
	for _, name = range names {
		if name == "-" {
			name = "stdin"
			text, err = io.ReadAll(stdin)
		} else {
			text, err = os.ReadFile(name)
		}
		if err == nil {
			return text, name, nil
		}
		if !errors.Is(err, fs.ErrNotExist) || len(args) > 0 {
			return nil, name, fmt.Errorf("read the build: %w", err)
		}
	}
	return nil, "", &hinted{
		fmt.Errorf("there is no %s here", strings.Join(names, " and no ")), "Name the file that specifies the build, or - for stdin.",
	}
}

// fileError is the refusal of what a file says.
type fileError struct {
	*client.Problem

	name string
}

func (e *fileError) Unwrap() error { return e.Problem }

// inFile makes the refusal of a specification that of the file where it was.
func inFile(err error, name string) error {
	if problem, ok := errors.AsType[*client.Problem](err); ok && len(problem.Fields) > 0 {
		return &fileError{problem, name}
	}
	return err
}

// fileOf is the file that an error is about, "" for none.
func fileOf(err error) string {
	if in, ok := errors.AsType[*fileError](err); ok {
		return in.name
	}
	return ""
}

// atMost checks that a command has no more than the arguments named.
func atMost(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return arguments(names[:min(len(args), len(names))]...)(cmd, args)
	}
}

func newBuildsValidateCommand(c *cli) *cobra.Command {
	var o specFlags
	cmd := &cobra.Command{
		Use: "validate [FILE]", Short: "Check a build without running it", Args: atMost("FILE"),
		Long: `Check the build that FILE specifies, and show what it would come to: its steps, with
each of a matrix, and what they need. All that is wrong with it is told as a compiler
does, with the line in front, and rdev exits with 1.`,
		Example: `  rdev builds validate
  rdev builds validate build.yml -p shop --param VERSION=1.2
  rdev builds validate -o json | jq -r '.build.steps[].name'`,
		RunE: func(cmd *cobra.Command, args []string) error {
			build, name, err := o.read(cmd, args)
			if err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			if build.Project, err = c.project(cmd.Context(), api, o.project); err != nil {
				return err
			}
			planned, err := api.PlanBuild(cmd.Context(), build)
			if err != nil {
				return inFile(err, name)
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), planned)
			}
			return showPlan(cmd, planned)
		},
	}
	o.add(c, cmd)
	return cmd
}

// showPlan writes what a build would come to.
func showPlan(cmd *cobra.Command, planned client.PlannedBuild) error {
	facts := newFacts(cmd.OutOrStdout())
	showBuild(facts.row, &planned.Build)
	if err := facts.Flush(); err != nil {
		return err
	}
	var rows [][]string
	for _, step := range planned.Build.Steps {
		rows = append(rows, []string{
			render.Line(step.Name), render.Line(strings.TrimPrefix(step.Kind, contract.WorkPrefix)), first(render.Line(strings.Join(step.Needs, ", ")), "-"), first(render.Line(step.If), "-"),
			first(render.Labels(step.Matrix), "-"), render.Cut(first(commandLine(&step.Command), "-"), 60),
		})
	}
	return showPart(cmd, []string{"STEP", "KIND", "NEEDS", "IF", "MATRIX", "RUNS"}, rows)
}

func newBuildsSchemaCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of specifications", Args: arguments(),
		Example: `  rdev builds schema > build.schema.json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			schema, err := api.BuildSchema(cmd.Context())
			if err != nil {
				return err
			}
			return writeJSON(cmd.OutOrStdout(), schema)
		},
	}
}
