package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newProjectsCommand(c *cli) *cobra.Command {
	cmd := group("projects", "Create, list, inspect, repair, budget and delete projects",
		`A project is where work runs: a workspace with its runtime, its credentials, and what
else it is to have: a repository, pipelines, domains, a database, a cache. What it has
is changed with rdev domains, components, databases, caches and repositories.`)
	cmd.Aliases = []string{"project"}
	cmd.AddCommand(
		newProjectsListCommand(c), newProjectsGetCommand(c), newProjectsCreateCommand(c), newProjectsPlanCommand(c),
		newProjectsDriftCommand(c), newProjectsRepairCommand(c), newProjectsBudgetCommand(c), newProjectsDeleteCommand(c),
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
		Use: "get SLUG", Short: "Show one project, and what it has", Args: arguments("SLUG"),
		Example: `  rdev projects get shop
  git clone "$(rdev projects get shop -o json | jq -r .repository.clone_url)"`,
		ValidArgsFunction: c.completeProject(nil),
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
			return showProject(cmd, project)
		},
	}
}

// showProject writes what is known of a project, a fact to a line.
func showProject(cmd *cobra.Command, project client.Project) error {
	facts := newFacts(cmd.OutOrStdout())
	row := func(name, value string) { facts.row(name, render.Line(value)) }
	row("project", project.Slug)
	row("state", project.State)
	row("template", project.Template)
	row("created", moment(time.Now(), &project.CreatedAt))
	row("runtime", project.Runtime.Kind)
	row("workspace", project.Runtime.Workspace)
	if r := project.Repository; r != nil {
		name := r.Name
		if r.Adopted {
			name += ", which was there before"
		}
		row("repository", name)
		row("clone", r.CloneURL)
		row("branch", r.Branch)
		row("page", r.URL)
	}
	if project.CI != nil {
		row("ci", project.CI.URL)
	}
	for _, component := range project.Components {
		row("component", component.Kind+" "+component.Name)
	}
	for _, domain := range project.Domains {
		text := first(domain.URL, domain.Host)
		if domain.AliasOf != "" {
			text += " as " + domain.AliasOf
		}
		row("domain", text)
	}
	if project.Database != nil {
		row("database", project.Database.Name+" at "+project.Database.Host)
	}
	if project.Cache != nil {
		row("cache", fmt.Sprintf("%s at %s, as %s", project.Cache.Prefix, project.Cache.Host, project.Cache.User))
	}
	return facts.Flush()
}

func newProjectsDeleteCommand(c *cli) *cobra.Command {
	var how changeFlags
	var keep []string
	yes := false
	cmd := &cobra.Command{
		Use: "delete SLUG", Aliases: []string{"rm"}, Short: "Delete a project and all that is its", Args: arguments("SLUG"),
		Long: `Delete a project: all that is in its workspace, its repository, domains, database and
cache. A repository that was adopted stays. On a terminal it asks first; --yes does not.

With --keep, the repository or the database stays as it is, and is nobody's: rdev knows
no more of it. Where something cannot be removed the rest is, and the project stays
deleting: rdev projects repair SLUG, or another delete, removes what is left.`,
		Example: `  rdev projects delete shop --yes
  rdev projects delete shop --keep repository,database
  rdev projects delete shop --dry-run`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			question := fmt.Sprintf("Delete project %s and all that is in its workspace?", args[0])
			if err := agreed(cmd, yes || how.dry, question, "project "+args[0]); err != nil {
				return err
			}
			done := "deleted " + args[0]
			if len(keep) > 0 {
				done += ", and kept its " + strings.Join(keep, " and ")
			}
			return c.change(cmd, how, client.DeleteProject(args[0], keep...), "deleting "+args[0], done)
		},
	}
	keepFlag(cmd, &keep)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	how.add(cmd)
	return cmd
}

// keepFlag adds --keep with completion.
func keepFlag(cmd *cobra.Command, target *[]string) {
	cmd.Flags().StringSliceVar(target, "keep", nil, "what stays: repository, database (repeatable, or with commas)")
	must(cmd.RegisterFlagCompletionFunc("keep", cobra.FixedCompletions(
		[]cobra.Completion{contract.ResourceRepository, contract.ResourceDatabase}, cobra.ShellCompDirectiveNoFileComp)))
}

// completeProject completes the slug of a project, and then what follows, nil for nothing.
func (c *cli) completeProject(then cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return c.completeProjects(cmd, args, text)
		case then != nil:
			return then(cmd, args, text)
		}
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
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
