package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
)

// projectFlags say what a new project is to have.
type projectFlags struct {
	template           string
	values, components []string // KEY=value, KIND:NAME
	repository         bool
	adopt              string
	noCI               bool
	domains            []string
	noDomain           bool
	database, cache    bool
}

func (o *projectFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.template, "template", "", "template that its repository begins with (the gateway's default)")
	flags.StringArrayVar(&o.values, "value", nil, "KEY=value for a parameter of the template (repeatable)")
	flags.StringArrayVar(&o.components, "component", nil, "KIND:NAME of a component, for the template monorepo (repeatable)")
	flags.BoolVar(&o.repository, "repository", false, "with a repository, which has the files of the template")
	flags.StringVar(&o.adopt, "adopt", "", "OWNER/NAME of a repository that is there, instead of one of its own")
	flags.BoolVar(&o.noCI, "no-ci", false, "the pipelines of its repository do not run")
	flags.StringArrayVar(&o.domains, "domain", nil, "HOST under which it is reached: a whole name, or a label below the installation's domain (repeatable)")
	flags.BoolVar(&o.noDomain, "no-domain", false, "without a domain, where it would have one")
	flags.BoolVar(&o.database, "database", false, "with a database; commands reach it with --credential DATABASE_URL")
	flags.BoolVar(&o.cache, "cache", false, "with a cache; commands reach it with --credential REDIS_URL")
	must(cmd.RegisterFlagCompletionFunc("template", completeTemplates))
	must(cmd.RegisterFlagCompletionFunc("component", completeKinds))
	for _, name := range []string{"value", "adopt", "domain"} {
		must(cmd.RegisterFlagCompletionFunc(name, cobra.NoFileCompletions))
	}
}

// request is what the flags ask for.
func (o *projectFlags) request(cmd *cobra.Command, slug string) (client.NewProject, error) {
	project := client.NewProject{Slug: slug, Template: o.template, Database: o.database, Cache: o.cache}
	var err error
	if project.Values, err = pairs(cmd, "--value", o.values); err != nil {
		return project, err
	}
	if project.Components, err = componentsOf(cmd, o.components); err != nil {
		return project, err
	}
	implied := len(o.components) > 0 || o.template != "" && o.template != "default"
	switch {
	case o.repository && o.adopt != "":
		return project, usagef(cmd, "--repository and --adopt do not go together")
	case o.noCI && !o.repository && o.adopt == "" && !implied:
		return project, usagef(cmd, "--no-ci is about the pipelines of a repository: see --repository and --adopt")
	case len(o.domains) > 0 && o.noDomain:
		return project, usagef(cmd, "--domain and --no-domain do not go together")
	}
	if o.repository || o.adopt != "" || o.noCI {
		project.Repository = &client.NewRepository{Adopt: o.adopt}
	}
	if o.noCI {
		project.Repository.CI = new(false)
	}
	if len(o.domains) > 0 || o.noDomain {
		project.Domains = &[]string{}
		*project.Domains = append(*project.Domains, o.domains...)
	}
	return project, nil
}

func newProjectsCreateCommand(c *cli) *cobra.Command {
	var wanted projectFlags
	var how changeFlags
	cmd := &cobra.Command{
		Use: "create SLUG", Short: "Create a project", Args: arguments("SLUG"),
		Long: `Create a project: a workspace, and what the flags ask for. Where one thing cannot be had
nothing is made, and where one fails on the way what was made is removed again.

  --template     what is in its repository at first: see rdev templates list. Any but
                 default gives the project a repository
  --repository   a repository, with pipelines where the installation has a CI. The
                 credentials REPOSITORY_URL, REPOSITORY_USER and REPOSITORY_TOKEN open it,
                 over SSH REPOSITORY_URL and REPOSITORY_KEY
  --adopt        a repository that is there: nothing in it is changed, and it stays when
                 the project goes. The same credentials open it
  --domain       a host that leads to the project, with its record where rdev keeps the
                 zone. A repository of its own comes with the domain SLUG, if the
                 installation has a domain to be below; --no-domain leaves that out
  --database     a database; the credential DATABASE_URL opens it
  --cache        a cache in Redis; the credential REDIS_URL opens it

Credentials are for commands that name them: rdev run --credential DATABASE_URL. With
--dry-run, which is rdev projects plan, nothing is made.`,
		Example: `  rdev projects create shop
  rdev projects create shop --template go-api --value module=git.example.com/team/shop --database --cache
  rdev projects create store --template monorepo --component service:api --component app-react:web
  rdev projects create site --adopt acme/site --no-ci --domain site --domain www.example.org
  rdev projects create shop --template go-api --dry-run
  rdev projects create shop --no-wait`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			project, err := wanted.request(cmd, args[0])
			if err != nil {
				return err
			}
			return c.change(cmd, how, client.CreateProject(project), "creating "+args[0], "created "+args[0])
		},
	}
	wanted.add(cmd)
	how.add(cmd)
	return cmd
}

// componentsOf reads KIND:NAME, of each.
func componentsOf(cmd *cobra.Command, given []string) (components []contract.Component, err error) {
	for _, text := range given {
		component, err := componentOf(cmd, text)
		if err != nil {
			return nil, err
		}
		components = append(components, contract.Component(component))
	}
	return components, nil
}

func completeTemplates(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, t := range templates.List() {
		names = append(names, cobra.CompletionWithDesc(t.Name, t.Description))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeKinds completes KIND: of KIND:NAME.
func completeKinds(_ *cobra.Command, _ []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(text, ":") {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var kinds []cobra.Completion
	for _, t := range templates.List() {
		for _, kind := range t.Components {
			kinds = append(kinds, cobra.CompletionWithDesc(kind.Name+":", kind.Description))
		}
	}
	return kinds, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
