package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

func newTemplatesRenderCommand(c *cli) *cobra.Command {
	var name string
	var values, components []string
	cmd := &cobra.Command{
		Use: "render TEMPLATE DIR", Short: "Make the files of a project", Args: arguments("TEMPLATE", "DIR"),
		Long: `Make the files of a project, as a project that is created of the template has them.
DIR is made where it is not there; nothing in it is overwritten.`,
		Example: `  rdev templates render go-api shop --set module=git.example.com/team/shop
  rdev templates render monorepo shop --component service:api --component app-react:web`,
		ValidArgsFunction: func(cmd *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveFilterDirs
			}
			return completeTemplates(cmd, args, text)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			project := templates.Project{Name: name}
			var err error
			if project.Values, err = pairs(cmd, "--set", values); err != nil {
				return err
			}
			for _, text := range components {
				component, err := componentOf(cmd, text)
				if err != nil {
					return err
				}
				project.Components = append(project.Components, component)
			}
			dir, err := filepath.Abs(args[1])
			if err != nil {
				return fmt.Errorf("the directory: %w", err)
			}
			if project.Name == "" {
				project.Name = filepath.Base(dir)
			}
			files, err := templates.Render(args[0], project)
			if err != nil {
				return templateError(cmd, err)
			}
			if err := createFiles(dir, files); err != nil {
				return err
			}
			return c.tellFiles(cmd, files, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "name of the project (that of DIR)")
	flags.StringArrayVar(&values, "set", nil, "KEY=value for a parameter of the template (repeatable)")
	flags.StringArrayVar(&components, "component", nil, "KIND:NAME of a component, for the template monorepo (repeatable)")
	return cmd
}

func newTemplatesAddCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "add DIR KIND:NAME", Short: "Add a component to the files of a monorepo", Args: arguments("DIR", "KIND:NAME"),
		Long: `Add a component to the files of a monorepo: its own files, and what names it in
rdev.json, README.md, go.work, .woodpecker.yml, .rdev/build.yml, and of apps in
package.json and package-lock.json. Where one of those was changed by hand in a way
that would be lost, nothing is changed.`,
		Example: `  rdev templates add . service:orders`,
		RunE: func(cmd *cobra.Command, args []string) error {
			component, err := componentOf(cmd, args[1])
			if err != nil {
				return err
			}
			files, changed, err := addFiles(args[0], component)
			if err != nil {
				return templateError(cmd, err)
			}
			return c.tellFiles(cmd, files, changed)
		},
	}
}

// componentOf reads KIND:NAME.
func componentOf(cmd *cobra.Command, text string) (templates.Component, error) {
	kind, name, found := strings.Cut(text, ":")
	if !found {
		return templates.Component{}, usagef(cmd, "the component %q is not KIND:NAME", text)
	}
	return templates.Component{Kind: kind, Name: name}, nil
}

// templateError is an error of templates in the words of the command line.
func templateError(cmd *cobra.Command, err error) error {
	if wrong, ok := errors.AsType[*validate.Errors](err); ok {
		return usagef(cmd, "%s", strings.TrimPrefix(wrong.Error(), "invalid input: "))
	}
	if problem, ok := errors.AsType[*contract.Error](err); ok && problem.Code == contract.CodeNotFound {
		return &hinted{errors.New(problem.Detail), "See: rdev templates list"}
	} else if ok {
		return errors.New(problem.Detail)
	}
	return err
}

// tellFiles tells which files were made, and which of them were there before.
func (c *cli) tellFiles(cmd *cobra.Command, files map[string]templates.File, changed []string) error {
	type told struct {
		Path    string `json:"path"`
		Mode    string `json:"mode"`
		Changed bool   `json:"changed"`
	}
	list := []told{}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, told{name, fmt.Sprintf("%04o", files[name].Mode), slices.Contains(changed, name)})
	}
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	for _, file := range list {
		word := "new"
		if file.Changed {
			word = "changed"
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-8s %s\n", word, render.Line(file.Path)); err != nil {
			return err
		}
	}
	return nil
}
