package main

import (
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newProjectsCommand(c *cli) *cobra.Command {
	cmd := group("projects", "Create, list, inspect, budget and delete projects",
		"A project is where work runs: a workspace with its runtime, its credentials and its resources.")
	cmd.Aliases = []string{"project"}
	cmd.AddCommand(
		newProjectsListCommand(c), newProjectsGetCommand(c), newProjectsCreateCommand(c), newProjectsBudgetCommand(c),
		newProjectsDeleteCommand(c),
	)
	return cmd
}

func newProjectsListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List projects", Args: arguments(),
		Example: "  rdev projects list",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			projects, err := api.Projects(cmd.Context())
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), append([]client.Project{}, projects...))
			}
			if len(projects) == 0 {
				c.note(cmd, "no projects yet; create one with: rdev projects create SLUG")
				return nil
			}
			var rows [][]string
			for _, project := range projects {
				rows = append(rows, []string{
					render.Line(project.Slug), render.Line(project.State), render.Line(project.Template),
					render.Age(time.Now(), project.CreatedAt),
				})
			}
			return render.Table(cmd.OutOrStdout(), []string{"PROJECT", "STATE", "TEMPLATE", "AGE"}, rows)
		},
	}
}

func newProjectsGetCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "get SLUG", Short: "Show one project", Args: arguments("SLUG"),
		Example:           "  rdev projects get shop",
		ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			project, err := api.Project(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), project)
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			row := func(name, value string) {
				if value != "" {
					fmt.Fprintf(table, "%s\t%s\n", name, render.Line(value))
				}
			}
			row("project", project.Slug)
			row("state", project.State)
			row("template", project.Template)
			row("created", moment(time.Now(), &project.CreatedAt))
			row("runtime", project.Runtime.Kind)
			row("workspace", project.Runtime.Workspace)
			if project.Repository != nil {
				row("repository", project.Repository.CloneURL)
			}
			if project.Database != nil {
				row("database", project.Database.Name+" at "+project.Database.Host)
			}
			return table.Flush()
		},
	}
}

func newProjectsCreateCommand(c *cli) *cobra.Command {
	var project client.NewProject
	noWait := false
	cmd := &cobra.Command{
		Use: "create SLUG", Short: "Create a project", Args: arguments("SLUG"),
		Example: `  rdev projects create shop
  rdev projects create shop --database
  rdev projects create shop --no-wait`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			project.Slug = args[0]
			api, err := c.connect()
			if err != nil {
				return err
			}
			accepted, err := api.ChangeProject(cmd.Context(), client.CreateProject(project), !noWait)
			if err != nil {
				return err
			}
			return c.conclude(cmd, api, accepted, noWait, "creating "+args[0], "created "+args[0])
		},
	}
	cmd.Flags().StringVar(&project.Template, "template", "default", "template to begin with")
	cmd.Flags().BoolVar(&project.Database, "database", false, "with a database; commands reach it with --credential DATABASE_URL")
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "print the operation's ID and leave")
	return cmd
}

func newProjectsDeleteCommand(c *cli) *cobra.Command {
	noWait, yes := false, false
	cmd := &cobra.Command{
		Use: "delete SLUG", Aliases: []string{"rm"}, Short: "Delete a project and all that is its", Args: arguments("SLUG"),
		Long: `Delete a project: all that is in its workspace, and its database if it has one. On a
terminal it asks first; --yes does not.`,
		Example:           "  rdev projects delete shop --yes",
		ValidArgsFunction: c.completeProjects,
		RunE: func(cmd *cobra.Command, args []string) error {
			question := fmt.Sprintf("Delete project %s and all that is in its workspace?", args[0])
			if err := agreed(cmd, yes, question, "project "+args[0]); err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			accepted, err := api.ChangeProject(cmd.Context(), client.DeleteProject(args[0]), !noWait)
			if err != nil {
				return err
			}
			return c.conclude(cmd, api, accepted, noWait, "deleting "+args[0], "deleted "+args[0])
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "print the operation's ID and leave")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// conclude waits for the end of a change, unless that is not wanted, and tells it.
func (c *cli) conclude(cmd *cobra.Command, api *client.Client, accepted client.Accepted, noWait bool, doing, done string) error {
	out, operation := cmd.OutOrStdout(), accepted.Operation
	if !noWait {
		var err error
		if operation, err = c.await(cmd, api, operation, doing); err != nil {
			return err
		}
	}
	var err error
	switch {
	case c.json():
		err = writeJSON(out, operation)
	case noWait:
		_, err = fmt.Fprintln(out, render.Line(operation.ID))
	}
	if err != nil || noWait {
		return err
	}
	if err := outcome(operation.Operation); err != nil || c.json() {
		return err
	}
	return c.done(cmd, done)
}

// done tells people what was done.
func (c *cli) done(cmd *cobra.Command, what string) error {
	out := cmd.OutOrStdout()
	_, err := fmt.Fprintln(out, c.style(out).Good("✓")+" "+what)
	return err
}

// agreed asks before something that cannot be undone, where a person is there to
// answer and has not agreed by yes. The error says that it was left.
func agreed(cmd *cobra.Command, yes bool, question, what string) error {
	if yes || !isTerminal(cmd.InOrStdin()) || confirm(cmd, question) {
		return nil
	}
	return fmt.Errorf("%s is left as it is", what)
}

// confirm asks a question that only y answers with yes.
func confirm(cmd *cobra.Command, question string) bool {
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	answer := ""
	// Where nothing is read, an empty line included, the answer is no.
	_, _ = fmt.Fscanln(cmd.InOrStdin(), &answer)
	return answer == "y" || answer == "yes"
}
