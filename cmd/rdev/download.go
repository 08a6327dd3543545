package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/files"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

// downloadText is what is said of all that is fetched.
const downloadText = `A file is
there once all of it has come and its digest is right, in place of one of that name.

A directory was packed, and comes as a tar file. With --unpack, what is in it comes to a
directory of its name instead, beside or in place of what is there.`

// downloadFlags are of what fetches artifacts.
type downloadFlags struct {
	dir, step string
	unpack    bool
}

// downloadCommand is a command that fetches what an operation left. What it says of itself
// is left to be set.
func (c *cli) downloadCommand(o *downloadFlags, read left) *cobra.Command {
	cmd := &cobra.Command{
		Use: "download ID [PATTERN…]",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("ID")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt) // nothing half is left
			defer stop()
			err = c.download(ctx, cmd, api, o, args[1:], func() ([]client.Artifact, error) { return read(api, ctx, args[0]) })
			if err != nil && ctx.Err() != nil {
				return &exitError{code: exitInterrupted, err: errLeft}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&o.dir, "dir", "d", "", "directory where it comes to")
	cmd.Flags().BoolVar(&o.unpack, "unpack", false, "unpack directories")
	must(cmd.MarkFlagDirname("dir"))
	return cmd
}

// fetched is an artifact that was fetched.
type fetched struct {
	Artifact client.Artifact `json:"artifact"`
	File     string          `json:"file"` // where it is, or the directory
}

func (c *cli) download(
	ctx context.Context, cmd *cobra.Command, api *client.Client, o *downloadFlags, patterns []string, read func() ([]client.Artifact, error),
) error {
	if o.dir == "" {
		return usagef(cmd, "-d is missing: the directory where it comes to")
	}
	all, err := read()
	if err != nil {
		return err
	}
	all = ofStep(all, o.step)
	several := slices.ContainsFunc(all, func(a client.Artifact) bool { return a.Step != all[0].Step })
	if all, err = matching(all, patterns); err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return fmt.Errorf("make the directory: %w", err)
	}
	root, err := os.OpenRoot(o.dir)
	if err != nil {
		return fmt.Errorf("open the directory: %w", err)
	}
	defer root.Close()
	done := []fetched{}
	for _, artifact := range all {
		at := filepath.FromSlash(artifact.Path)
		if several {
			at = filepath.Join(artifact.Step, at)
		}
		if at, err = c.fetch(ctx, cmd, api, root, artifact, at, o.unpack); err != nil {
			return err
		}
		done = append(done, fetched{artifact, filepath.Join(o.dir, at)})
		if c.json() {
			continue
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), render.Line(filepath.Join(o.dir, at))); err != nil {
			return err
		}
	}
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), done)
	}
	return nil
}

// matching are the artifacts that patterns name, all where there are none. One that names
// nothing is an error.
func matching(all []client.Artifact, patterns []string) ([]client.Artifact, error) {
	if len(all) == 0 {
		return nil, errors.New("there are no artifacts")
	}
	used := make([]bool, len(patterns))
	var some []client.Artifact
	for _, artifact := range all {
		wanted := len(patterns) == 0
		for i, pattern := range patterns {
			matches, err := path.Match(pattern, artifact.Path)
			if err != nil {
				return nil, fmt.Errorf("%q is no pattern: %w", pattern, err)
			}
			used[i] = used[i] || matches
			wanted = wanted || matches
		}
		if wanted {
			some = append(some, artifact)
		}
	}
	if i := slices.Index(used, false); i >= 0 {
		var paths []string
		for _, artifact := range all {
			paths = append(paths, render.Line(artifact.Path))
		}
		return nil, &hinted{fmt.Errorf("no artifact is %q", patterns[i]), "There are " + render.Cut(strings.Join(paths, ", "), 400) + "."}
	}
	return some, nil
}

// fetch fetches one artifact, and tells where it is in root.
func (c *cli) fetch(ctx context.Context, cmd *cobra.Command, api *client.Client, root *os.Root, artifact client.Artifact, at string, unpack bool) (string, error) {
	shown := c.progress(cmd, artifact)
	defer shown.end()
	file, err := files.New(root, at, artifact.Exec)
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", render.Line(artifact.Path), err)
	}
	defer file.Discard()
	err = api.FetchArtifact(ctx, artifact, func() (io.Writer, error) {
		shown.got = 0
		return io.MultiWriter(file, shown), file.Restart()
	})
	if err != nil {
		return "", fmt.Errorf("fetch %s: %w", render.Line(artifact.Path), err)
	}
	if unpack && artifact.Dir {
		at = strings.TrimSuffix(at, ".tar")
		err = file.Unpack(at)
	} else {
		err = file.Keep()
	}
	if err != nil {
		return "", fmt.Errorf("write %s: %w", render.Line(artifact.Path), err)
	}
	return at, nil
}
