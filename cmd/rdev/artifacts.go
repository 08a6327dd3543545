package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

// left reads what an operation of some sort left.
type left func(api *client.Client, ctx context.Context, id string) ([]client.Artifact, error)

func newBuildsArtifactsCommand(c *cli) *cobra.Command {
	step := ""
	cmd := c.artifactsCommand(&step, (*client.Client).BuildArtifacts)
	cmd.Short = "List what the steps of a build left"
	cmd.Example = `  rdev builds artifacts 0192aaaa-0000-7000-8000-000000000001
  rdev builds artifacts ID --step image -o json | jq -r '.[].digest'`
	cmd.ValidArgsFunction = c.completes(false, "", buildsOf)
	cmd.Flags().StringVar(&step, "step", "", "of this step only")
	return cmd
}

func newBuildsDownloadCommand(c *cli) *cobra.Command {
	o := &downloadFlags{}
	cmd := c.downloadCommand(o, (*client.Client).BuildArtifacts)
	cmd.Short = "Fetch what the steps of a build left"
	cmd.Long = `Fetch what the steps of a build left, or what of it is named: a path, or a pattern as
of a shell. It comes to DIR/STEP/PATH, and to DIR/PATH where it all is of one step. The
paths of the files go to stdout. ` + downloadText
	cmd.Example = `  rdev builds download 0192aaaa-0000-7000-8000-000000000001 -d out
  rdev builds download ID 'bin/*' dist.tar --step image -d out --unpack`
	cmd.ValidArgsFunction = c.completes(false, "", buildsOf)
	cmd.Flags().StringVar(&o.step, "step", "", "of this step only")
	return cmd
}

func newOpsArtifactsCommand(c *cli) *cobra.Command {
	cmd := c.artifactsCommand(new(string), (*client.Client).Artifacts)
	cmd.Short = "List what an operation left"
	cmd.Example = `  rdev ops artifacts 0192aaaa-0000-7000-8000-000000000001
  rdev ops artifacts ID -o json | jq -r '.[].digest'`
	cmd.ValidArgsFunction = c.completes(false, "", operationsOf)
	return cmd
}

func newOpsDownloadCommand(c *cli) *cobra.Command {
	cmd := c.downloadCommand(&downloadFlags{}, (*client.Client).Artifacts)
	cmd.Short = "Fetch what an operation left"
	cmd.Long = `Fetch what an operation left, or what of it is named: a path, or a pattern as of a
shell. It comes to DIR/PATH; the paths of the files go to stdout. ` + downloadText
	cmd.Example = `  rdev ops download 0192aaaa-0000-7000-8000-000000000001 'bin/*' -d out`
	cmd.ValidArgsFunction = c.completes(false, "", operationsOf)
	return cmd
}

// artifactsCommand is a command that lists what an operation left, step only where that is
// set. What it says of itself is left to be set.
func (c *cli) artifactsCommand(step *string, read left) *cobra.Command {
	return &cobra.Command{
		Use: "artifacts ID", Args: arguments("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			all, err := read(api, cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return c.showArtifacts(cmd, ofStep(all, *step))
		},
	}
}

// ofStep are the artifacts of a step, all where that is "".
func ofStep(all []client.Artifact, step string) []client.Artifact {
	some := []client.Artifact{}
	for _, artifact := range all {
		if step == "" || artifact.Step == step {
			some = append(some, artifact)
		}
	}
	return some
}

func (c *cli) showArtifacts(cmd *cobra.Command, artifacts []client.Artifact) error {
	out := cmd.OutOrStdout()
	if c.json() {
		return writeJSON(out, artifacts)
	}
	if len(artifacts) == 0 {
		c.note(cmd, "no artifacts")
		return nil
	}
	var rows [][]string
	for _, artifact := range artifacts {
		rows = append(rows, []string{
			first(render.Line(artifact.Step), "-"), render.Line(artifact.Path), render.Size(artifact.Size), render.Line(artifact.Digest),
		})
	}
	return render.Table(out, []string{"STEP", "PATH", "SIZE", "DIGEST"}, rows)
}
