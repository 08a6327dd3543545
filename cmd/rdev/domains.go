package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newDomainsCommand(c *cli) *cobra.Command {
	cmd := group("domains", "List, add and remove the domains of projects",
		`A domain is a host under which a project is reached: a whole name, as shop.example.com,
or a label, as shop, which is one below the installation's domain. A host is one
project's alone. Where rdev keeps the zone of a host it makes the record; a record that
is not its own it never changes. Elsewhere the record is yours to make.`)
	cmd.Aliases = []string{"domain"}
	cmd.AddCommand(newDomainsListCommand(c), newDomainsAddCommand(c), newDomainsRemoveCommand(c))
	return cmd
}

func newDomainsListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list SLUG", Aliases: []string{"ls"}, Short: "List the domains of a project", Args: arguments("SLUG"),
		Long: "List the domains of a project. DNS says whether rdev keeps the record of a domain.",
		Example: `  rdev domains list shop
  rdev domains list shop -o json | jq -r '.[].url'`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			domains, err := api.Domains(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), append([]client.Domain{}, domains...))
			}
			if len(domains) == 0 {
				c.note(cmd, "project %s has no domains; add one with: rdev domains add %s HOST", render.Line(args[0]), render.Line(args[0]))
				return nil
			}
			var rows [][]string
			for _, domain := range domains {
				dns := "-"
				if domain.DNS {
					dns = "rdev's"
				}
				rows = append(rows, []string{render.Line(domain.Host), first(render.Line(domain.URL), "-"), first(render.Line(domain.AliasOf), "-"), dns})
			}
			return render.Table(cmd.OutOrStdout(), []string{"HOST", "URL", "ALIAS OF", "DNS"}, rows)
		},
	}
}

func newDomainsAddCommand(c *cli) *cobra.Command {
	var how changeFlags
	domain := contract.Domain{}
	cmd := &cobra.Command{
		Use: "add SLUG HOST", Short: "Add a domain to a project", Args: arguments("SLUG", "HOST"),
		Long: `Add a domain to a project: HOST is a whole name, or a label below the installation's
domain. With --alias-of it is said to be another name of a domain that the project has:
that one can then only be removed after it.`,
		Example: `  rdev domains add shop blog
  rdev domains add shop shop.example.org
  rdev domains add shop www.shop.example.org --alias-of shop.example.org
  rdev domains add shop shop.example.org --dry-run`,
		ValidArgsFunction: c.completeProject(nil),
		RunE: func(cmd *cobra.Command, args []string) error {
			domain.Host = args[1]
			return c.change(cmd, how, client.AddDomain(args[0], domain), "adding "+args[1], "added "+args[1]+" to "+args[0])
		},
	}
	cmd.Flags().StringVar(&domain.AliasOf, "alias-of", "", "domain of the project that it is another name of")
	must(cmd.RegisterFlagCompletionFunc("alias-of", c.completeDomains))
	how.add(cmd)
	return cmd
}

func newDomainsRemoveCommand(c *cli) *cobra.Command {
	var how changeFlags
	cmd := &cobra.Command{
		Use: "remove SLUG HOST", Aliases: []string{"rm"}, Short: "Remove a domain from a project", Args: arguments("SLUG", "HOST"),
		Long: "Remove a domain from a project: its route goes, and its record where that is rdev's. Any\nproject may have it then.",
		Example: `  rdev domains remove shop www.shop.example.org
  rdev domains remove shop blog --dry-run`,
		ValidArgsFunction: c.completeProject(c.completeDomains),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.change(cmd, how, client.RemoveDomain(args[0], args[1]), "removing "+args[1], "removed "+args[1]+" from "+args[0])
		},
	}
	how.add(cmd)
	return cmd
}

// completeDomains completes a domain of the project that is the first argument.
func (c *cli) completeDomains(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	api, err := c.connect()
	if err != nil || len(args) == 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	domains, err := api.Domains(ctx, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var hosts []cobra.Completion
	for _, domain := range domains {
		hosts = append(hosts, domain.Host)
	}
	return hosts, cobra.ShellCompDirectiveNoFileComp
}
