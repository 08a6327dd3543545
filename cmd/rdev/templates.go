package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/templates"
)

func newTemplatesCommand(c *cli) *cobra.Command {
	cmd := group("templates", "List what projects can be made of, and make the files of one",
		"Templates are in this program: all of this works without a gateway.")
	cmd.Aliases = []string{"template"}
	cmd.AddCommand(newTemplatesListCommand(c), newTemplatesRenderCommand(c), newTemplatesAddCommand(c))
	return cmd
}

func newTemplatesListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the templates, their parameters and components", Args: arguments(),
		Example: "  rdev templates list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := templates.List()
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), list)
			}
			var rows, parameters, kinds [][]string
			known := map[string]bool{}
			for _, t := range list {
				var names, components []string
				for _, p := range t.Parameters {
					names = append(names, p.Name)
					if !known[p.Name] {
						parameters = append(parameters, []string{p.Name, p.Description, first(p.Default, "-")})
					}
					known[p.Name] = true
				}
				for _, k := range t.Components {
					components = append(components, k.Name)
					kinds = append(kinds, []string{k.Name, k.Description, k.Directory + "/NAME"})
				}
				rows = append(rows, []string{t.Name, t.Description, strings.Join(names, ", "), first(strings.Join(components, ", "), "-")})
			}
			if err := render.Table(cmd.OutOrStdout(), []string{"TEMPLATE", "DESCRIPTION", "PARAMETERS", "COMPONENTS"}, rows); err != nil {
				return err
			}
			if err := showPart(cmd, []string{"PARAMETER", "DESCRIPTION", "DEFAULT"}, parameters); err != nil {
				return err
			}
			return showPart(cmd, []string{"COMPONENT", "DESCRIPTION", "WHERE"}, kinds)
		},
	}
}
