package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/service"
)

// ready is what `rdev up` writes when it is up.
type ready struct {
	URL        string `json:"url"`
	NATSURL    string `json:"nats_url"`
	APIKeyFile string `json:"api_key_file"`
	PID        int    `json:"pid"`
}

// home is where `rdev up` keeps its state.
func (c *cli) home() (string, error) {
	if c.settings.Home != "" {
		return c.settings.Home, nil
	}
	user, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the home directory: %w", err)
	}
	return filepath.Join(user, ".rdev"), nil
}

// local is the rdev of this machine. fs.ErrNotExist where none is up.
func (c *cli) local() (ready, error) {
	home, err := c.home()
	if err != nil {
		return ready{}, err
	}
	path := filepath.Join(home, "ready.json")
	text, err := os.ReadFile(path)
	if err != nil {
		return ready{}, fmt.Errorf("find the rdev of this machine: %w", err)
	}
	var found ready
	if err := json.Unmarshal(text, &found); err != nil {
		return ready{}, fmt.Errorf("read %s: %w", path, err)
	}
	return found, nil
}

// target is the gateway to speak to, and the key for it: flags, then the
// environment, then the rdev of this machine, whose key is for itself alone.
func (c *cli) target() (url, key string, err error) {
	url, key = first(c.url, c.settings.URL), first(c.key, c.settings.Key)
	if url != "" && key != "" {
		return url, key, nil
	}
	local, err := c.local()
	switch {
	case err == nil && (url == "" || strings.TrimRight(url, "/") == strings.TrimRight(local.URL, "/")):
		url = local.URL
	case url != "":
		return "", "", &hinted{fmt.Errorf("there is no API key for %s", url), "Set RDEV_API_KEY, or use --key."}
	case errors.Is(err, fs.ErrNotExist):
		return "", "", &hinted{
			errors.New("no gateway is known, and no rdev runs on this machine"),
			"Start one with `rdev up`, or set RDEV_API_URL and RDEV_API_KEY.",
		}
	default:
		return "", "", err
	}
	if key == "" {
		text, err := os.ReadFile(local.APIKeyFile)
		if err != nil {
			return "", "", fmt.Errorf("read the API key of the rdev of this machine: %w", err)
		}
		key = strings.TrimSpace(string(text))
	}
	return url, key, nil
}

// connect makes the client of the gateway; it does not connect yet.
func (c *cli) connect() (*client.Client, error) {
	url, key, err := c.target()
	if err != nil {
		return nil, err
	}
	return client.New(client.Config{URL: url, Key: key, UserAgent: "rdev/" + service.Version()})
}

// project is the project to work in: the one given, RDEV_PROJECT, or the only one.
func (c *cli) project(ctx context.Context, api *client.Client, given string) (string, error) {
	if given = first(given, c.settings.Project); given != "" {
		return given, nil
	}
	projects, err := api.Projects(ctx)
	if err != nil {
		return "", err
	}
	var slugs []string
	for _, project := range projects {
		if project.State == "" || project.State == "ready" {
			slugs = append(slugs, render.Line(project.Slug))
		}
	}
	switch len(slugs) {
	case 0:
		return "", &hinted{errors.New("there is no project yet"), "Create one with `rdev projects create SLUG`."}
	case 1:
		return slugs[0], nil
	}
	return "", &hinted{
		fmt.Errorf("in which project? There are %s", strings.Join(slugs, ", ")),
		"Say it with -p, or set RDEV_PROJECT.",
	}
}

// projectFlag adds -p with completion.
func (c *cli) projectFlag(cmd *cobra.Command, target *string, usage string) {
	cmd.Flags().StringVarP(target, "project", "p", "", usage)
	must(cmd.RegisterFlagCompletionFunc("project", c.completeProjects))
}

func (c *cli) completeProjects(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	api, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	projects, err := api.Projects(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var slugs []cobra.Completion
	for _, project := range projects {
		slugs = append(slugs, project.Slug)
	}
	return slugs, cobra.ShellCompDirectiveNoFileComp
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
