package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newCredentialsCommand(c *cli) *cobra.Command {
	cmd := group("credentials", "Set, list and delete the secrets of commands",
		`A credential is a secret that a command finds in its environment, where it names
it: rdev run --credential NAME. It belongs to a project (-p), or to the whole
installation; then it is for the projects that it names. RDEV_PROJECT does not
count here. Values are never shown again, and masked in all that commands say.`)
	cmd.Aliases = []string{"credential", "creds"}
	cmd.AddCommand(
		newCredentialsSetCommand(c), newCredentialsListCommand(c), newCredentialsDeleteCommand(c), newRotateMasterCommand(c),
	)
	return cmd
}

func newCredentialsSetCommand(c *cli) *cobra.Command {
	var credential contract.PutCredential
	cmd := &cobra.Command{
		Use: "set NAME", Short: "Set a credential to the value read from stdin",
		Long: `Set a credential to what stdin says, without one newline at its end; on a terminal
rdev asks for it and does not show it. A value is text of up to 64 KiB. One that
was there before is replaced, also its projects.`,
		Example: `  rdev credentials set STRIPE_KEY -p shop         # asks for it
  rdev credentials set DEPLOY_KEY -p shop < ~/.ssh/deploy
  pass show npm | rdev credentials set NPM_TOKEN --for shop,'ci-*'`,
		Args:              credentialName,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			credential.Name = args[0]
			if credential.Project != "" && len(credential.Projects) > 0 {
				return usagef(cmd, "--project and --for do not go together: a credential of a project is for it alone")
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			if credential.Value, err = readSecret(cmd, credential.Name); err != nil {
				return err
			}
			if err := api.SetCredential(cmd.Context(), credential); err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), credentialRow{credential.Name, credential.Project, credential.Projects})
			}
			if credential.Project == "" {
				return c.done(cmd, fmt.Sprintf("set %s of the installation, for %s", credential.Name, listed(credential.Projects, "no project (see --for)")))
			}
			return c.done(cmd, "set "+credential.Name+" "+whose(credential.Project))
		},
	}
	c.projectFlag(cmd, &credential.Project, "project that it belongs to; the installation without")
	cmd.Flags().StringSliceVar(&credential.Projects, "for", nil, "slug, or pattern as 'ci-*', whose commands may name it; none without (repeatable)")
	must(cmd.RegisterFlagCompletionFunc("for", c.completeProjects))
	return cmd
}

func newCredentialsListCommand(c *cli) *cobra.Command {
	project := ""
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List credentials, without their values", Args: arguments(),
		Long: "List the credentials of the installation, or with -p those of a project, without\ntheir values.",
		Example: `  rdev credentials list
  rdev credentials list -p shop`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			credentials, err := api.Credentials(cmd.Context(), project)
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), append([]contract.Credential{}, credentials...))
			}
			if len(credentials) == 0 {
				c.note(cmd, "no credentials %s", whose(project))
				return nil
			}
			now := time.Now()
			var rows [][]string
			for _, credential := range credentials {
				projects := credential.Projects
				if credential.Project != "" {
					projects = []string{credential.Project}
				}
				rows = append(rows, []string{
					render.Line(credential.Name), listed(projects, "-"), strconv.Itoa(credential.Version),
					render.Ago(now, &credential.UpdatedAt), render.Line(credential.Actor),
				})
			}
			return render.Table(cmd.OutOrStdout(), []string{"NAME", "PROJECTS", "VERSION", "SET", "BY"}, rows)
		},
	}
	c.projectFlag(cmd, &project, "of this project; of the installation without")
	return cmd
}

func newCredentialsDeleteCommand(c *cli) *cobra.Command {
	project, yes := "", false
	cmd := &cobra.Command{
		Use: "delete NAME", Aliases: []string{"rm"}, Short: "Delete a credential and its value",
		Long: `Delete a credential and its value. Commands that have it keep it until they end.
On a terminal it asks first; --yes does not.`,
		Example:           "  rdev credentials delete STRIPE_KEY -p shop",
		Args:              credentialName,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			named := args[0] + " " + whose(project)
			if err := agreed(cmd, yes, fmt.Sprintf("Delete %s?", named), named); err != nil {
				return err
			}
			if err := api.DeleteCredential(cmd.Context(), project, args[0]); err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), credentialRow{Name: args[0], Project: project})
			}
			return c.done(cmd, "deleted "+named)
		},
	}
	c.projectFlag(cmd, &project, "project that it belongs to; the installation without")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func newRotateMasterCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "rotate-master", Short: "Wrap all data keys of the vault under its current master key", Args: arguments(),
		Long: `Wrap all data keys of the vault under its current master key, which is the first
one in the provisioner's configuration. Commands go on meanwhile. Once it is done,
the master key before can be taken out of the configuration.`,
		Example: "  rdev credentials rotate-master",
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			rotated, err := api.RotateMaster(cmd.Context())
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), rotated)
			}
			return c.done(cmd, fmt.Sprintf("all %d data keys are under master key %s: %d wrapped again, %d were already",
				rotated.Rewrapped+rotated.Kept, render.Line(rotated.MasterKey), rotated.Rewrapped, rotated.Kept))
		},
	}
}

// credentialRow is what can be told of a credential that was set or deleted.
type credentialRow struct {
	Name     string   `json:"name"`
	Project  string   `json:"project,omitempty"`
	Projects []string `json:"projects,omitempty"`
}

// credentialName checks the one argument of a command. It repeats nothing of it:
// who gives more than a name may have given the value.
func credentialName(cmd *cobra.Command, args []string) error {
	const alone = "NAME is all that is wanted here; a value is read from stdin, so that no list of processes shows it"
	switch {
	case len(args) == 0:
		return usagef(cmd, "NAME is missing")
	case len(args) > 1 || strings.Contains(args[0], "="):
		return usagef(cmd, alone)
	case !regexp.MustCompile(`^[A-Z_][A-Z0-9_]{0,127}$`).MatchString(args[0]):
		return usagef(cmd, "NAME must be 1 to 128 of A-Z, 0-9 and _, and not begin with a digit")
	}
	return nil
}

// whose says to whom a credential belongs.
func whose(project string) string {
	if project == "" {
		return "of the installation"
	}
	return "of project " + render.Line(project)
}
