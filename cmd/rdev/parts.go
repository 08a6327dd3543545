package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
)

// part is something that a project has at most one of.
type part struct {
	name       string // in the API
	plural     string // of the command
	secret     string // that is replaced
	credential string // that has it
	// rotated is what becomes of those who have the old secret.
	rotated string
}

func newDatabasesCommand(c *cli) *cobra.Command {
	database := part{"database", "databases", "password", contract.DatabaseURL, "who is connected with the old one is put out"}
	cmd := group("databases", "Give projects a database, take it, and replace its password",
		"A database is a project's own. Commands reach it with --credential DATABASE_URL.")
	cmd.Aliases = []string{"database"}
	cmd.AddCommand(newPartAddCommand(c, database), newPartRemoveCommand(c, database), newPartRotateCommand(c, database))
	return cmd
}

func newCachesCommand(c *cli) *cobra.Command {
	cache := part{"cache", "caches", "password", contract.CacheURL, "who is connected with the old one is put out"}
	cmd := group("caches", "Give projects a cache, take it, and replace its password",
		"A cache is a user of a Redis server, for keys with the project's prefix. Commands reach\nit with --credential REDIS_URL.")
	cmd.Aliases = []string{"cache"}
	cmd.AddCommand(newPartAddCommand(c, cache), newPartRemoveCommand(c, cache), newPartRotateCommand(c, cache))
	return cmd
}

func newRepositoriesCommand(c *cli) *cobra.Command {
	repository := part{"repository", "repositories", "token", contract.RepositoryToken, "the old one is worth nothing"}
	cmd := group("repositories", "Replace the tokens of repositories",
		`The repository of a project is made, or adopted, with the project: see
rdev projects create. rdev run --git and the work queue reach it by themselves, commands
with the credentials REPOSITORY_URL, REPOSITORY_USER and REPOSITORY_TOKEN, over SSH with
REPOSITORY_URL and REPOSITORY_KEY.`)
	cmd.Aliases = []string{"repository"}
	cmd.AddCommand(newPartRotateCommand(c, repository))
	return cmd
}

func newPartAddCommand(c *cli, p part) *cobra.Command {
	var how changeFlags
	cmd := &cobra.Command{
		Use: "add SLUG", Short: "Give a project a " + p.name, Args: arguments("SLUG"),
		Long: fmt.Sprintf("Give a project a %s of its own. The credential %s opens it, for commands that name\nit: rdev run --credential %s.", p.name, p.credential, p.credential),
		Example: fmt.Sprintf(`  rdev %s add shop
  rdev %s add shop --dry-run`, p.plural, p.plural),
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, how, client.AddPart(args[0], p.name), "adding a "+p.name, fmt.Sprintf("gave %s a %s", args[0], p.name))
		},
	}
	how.add(cmd)
	return cmd
}

func newPartRemoveCommand(c *cli, p part) *cobra.Command {
	var how changeFlags
	yes := false
	cmd := &cobra.Command{
		Use: "remove SLUG", Aliases: []string{"rm"}, Short: "Remove the " + p.name + " of a project, and all that is in it", Args: arguments("SLUG"),
		Long: fmt.Sprintf("Remove the %s of a project, with all that is in it, and the credential %s.\nOn a terminal it asks first; --yes does not.", p.name, p.credential),
		Example: fmt.Sprintf(`  rdev %s remove shop --yes
  rdev %s remove shop --dry-run`, p.plural, p.plural),
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			question := fmt.Sprintf("Remove the %s of project %s and all that is in it?", p.name, args[0])
			if err := agreed(cmd, yes || how.dry, question, fmt.Sprintf("the %s of %s", p.name, args[0])); err != nil {
				return err
			}
			return c.change(cmd, how, client.RemovePart(args[0], p.name), "removing the "+p.name, fmt.Sprintf("removed the %s of %s", p.name, args[0]))
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	how.add(cmd)
	return cmd
}

func newPartRotateCommand(c *cli, p part) *cobra.Command {
	var how changeFlags
	cmd := &cobra.Command{
		Use: "rotate SLUG", Short: fmt.Sprintf("Replace the %s of a project's %s", p.secret, p.name), Args: arguments("SLUG"),
		Long: fmt.Sprintf("Replace the %s of a project's %s: %s has the new one, and\n%s. Commands that run keep what they have.", p.secret, p.name, p.credential, p.rotated),
		Example: fmt.Sprintf(`  rdev %s rotate shop
  rdev %s rotate shop --dry-run`, p.plural, p.plural),
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, how, client.RotatePart(args[0], p.name), "replacing the "+p.secret, fmt.Sprintf("replaced the %s of %s's %s", p.secret, args[0], p.name))
		},
	}
	how.add(cmd)
	return cmd
}
