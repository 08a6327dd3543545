package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newComponentsCommand(c *cli) *cobra.Command {
	cmd := group("components", "List and add the components of monorepos",
		`A component is a part of a project whose repository began with the template monorepo: a
service, a worker, an app, a command line. rdev templates list says which kinds there
are.`)
	cmd.Aliases = []string{"component"}
	cmd.AddCommand(newComponentsListCommand(c), newComponentsAddCommand(c))
	return cmd
}

func newComponentsListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list SLUG", Aliases: []string{"ls"}, Short: "List the components of a project", Args: arguments("SLUG"),
		Example:           "  rdev components list shop",
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			components, err := api.Components(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), append([]contract.Component{}, components...))
			}
			if len(components) == 0 {
				c.note(cmd, "project %s has no components", render.Line(args[0]))
				return nil
			}
			var rows [][]string
			for _, component := range components {
				rows = append(rows, []string{render.Line(component.Kind), render.Line(component.Name)})
			}
			return render.Table(cmd.OutOrStdout(), []string{"KIND", "NAME"}, rows)
		},
	}
}

func newComponentsAddCommand(c *cli) *cobra.Command {
	var how changeFlags
	cmd := &cobra.Command{
		Use: "add SLUG KIND:NAME…", Short: "Add components to a project",
		Long: `Add components to the repository of a project, in one commit: their own files, and what
names them in the registers of the monorepo, as rdev templates add has it. Where one of
those was changed by hand in a way that would be lost, nothing is changed. What is in a
repository stays in it: no command removes a component again.`,
		Example: `  rdev components add shop service:orders
  rdev components add shop worker:mail app-react:admin --dry-run`,
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("SLUG", "KIND:NAME")(cmd, args[:min(len(args), 2)])
		},
		ValidArgsFunction: c.completeProject(completeKinds),
		RunE: func(cmd *cobra.Command, args []string) error {
			components, err := componentsOf(cmd, args[1:])
			if err != nil {
				return err
			}
			what := strings.Join(args[1:], ", ")
			return c.change(cmd, how, client.AddComponents(args[0], components), "adding "+what, "added "+what+" to "+args[0])
		},
	}
	how.add(cmd)
	return cmd
}
