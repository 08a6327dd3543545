package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
)

func newKeysCreateCommand(c *cli) *cobra.Command {
	var wanted client.NewKey
	var expires string
	cmd := &cobra.Command{
		Use: "create NAME --scope SCOPE…", Short: "Create an API key, and print its secret", Args: arguments("NAME"),
		Long: `Create an API key. Its secret goes to stdout, and nothing else does; it is told
this once. A key can only give what it has: its own scopes, in its own projects.

Scopes are ` + strings.Join(scopes()[:5], ", ") + `,
` + strings.Join(scopes()[5:9], ", ") + `,
` + strings.Join(scopes()[9:13], ", ") + `,
` + strings.Join(scopes()[13:], ", ") + `.
"operations:*" stands for all that begin so, and admin for everything.`,
		Example: `  RDEV_API_KEY=$(rdev keys create ci --scope commands:run,operations:read --project shop)
  rdev keys create bots --scope 'operations:*' --project 'ci-*' --allow-ip 10.0.0.0/8 --expires 720h
  rdev keys create boss --scope admin --expires 2026-12-31T00:00:00Z -o json`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			wanted.Name = args[0]
			if len(wanted.Scopes) == 0 {
				return usagef(cmd, "--scope is missing: a key without scopes may do nothing")
			}
			var err error
			if wanted.ExpiresAt, err = parseExpiry(expires, time.Now()); err != nil {
				return usagef(cmd, "%v", err)
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			key, err := api.CreateKey(cmd.Context(), wanted)
			if err != nil {
				return err
			}
			if key.Secret == "" {
				return &hinted{
					fmt.Errorf("key %s was made, but the answer with its secret was lost on its way", render.Line(key.ID)),
					"Give it another: rdev keys rotate --overlap 0s " + render.Line(key.ID),
				}
			}
			if err := c.writeSecret(cmd, key); err != nil || c.json() {
				return err
			}
			c.note(cmd, "key %s (%s) has %s in %s; its secret is told this once",
				render.Line(key.Name), render.Line(key.ID), listed(key.Scopes, "-"), listed(key.Projects, "all projects"))
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&wanted.Scopes, "scope", nil, "what it may do, such as commands:run (repeatable, or with commas)")
	flags.StringSliceVar(&wanted.Projects, "project", nil, "slug, or pattern as 'ci-*', of where it may do so; everywhere without (repeatable)")
	flags.StringSliceVar(&wanted.AllowedIPs, "allow-ip", nil, "address, or network as 10.0.0.0/8, to use it from; any without (repeatable)")
	flags.StringVar(&expires, "expires", "", "when it ends: in 720h, or at 2026-11-25T10:00:00Z; never without")
	must(cmd.RegisterFlagCompletionFunc("scope", completeScopes))
	must(cmd.RegisterFlagCompletionFunc("project", c.completeProjects))
	return cmd
}

func newKeysRotateCommand(c *cli) *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Give an API key a new secret, and print it", Args: arguments("ID"),
		Long: `Give an API key a new secret, which goes to stdout, and nothing else does. The
secret that it had works on for the overlap; one before that ends at once.`,
		Example: `  rdev keys rotate ci > new-secret
  rdev keys rotate ci --overlap 0s                # the old secret leaked`,
		ValidArgsFunction: c.completeKeys("self"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 {
				return usagef(cmd, "--overlap %s lies in the past", overlap)
			}
			api, before, err := c.findKey(cmd, args[0])
			if err != nil {
				return err
			}
			key, err := api.RotateKey(cmd.Context(), before.ID, overlap)
			if err != nil {
				return err
			}
			if key.Secret == "" {
				return &hinted{
					fmt.Errorf("key %s has a new secret, but the answer with it was lost on its way", render.Line(key.ID)),
					"Rotate it again; the secret that is in use, " + render.Line(before.Prefix) + "…, ends then, and not after the overlap.",
				}
			}
			if err := c.writeSecret(cmd, key); err != nil || c.json() {
				return err
			}
			c.noteRotation(cmd, before, key)
			return nil
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secret that it has works on, up to 720h")
	return cmd
}

// writeSecret writes the secret alone, so that a shell can take it, or all of the
// key as JSON.
func (c *cli) writeSecret(cmd *cobra.Command, key client.Key) error {
	var err error
	if c.json() {
		err = writeJSON(cmd.OutOrStdout(), key)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), render.Line(key.Secret))
	}
	if err != nil {
		return fmt.Errorf("write the secret of key %s: %w", key.ID, err)
	}
	return nil
}

// noteRotation tells people what becomes of the secret before.
func (c *cli) noteRotation(cmd *cobra.Command, before, now client.Key) {
	end := "does not work any more"
	if now.OldUntil != nil {
		end = "works until " + now.OldUntil.Local().Format(time.RFC3339)
	}
	c.note(cmd, "key %s (%s) has a new secret; the one before, %s…, %s",
		render.Line(now.Name), render.Line(now.ID), render.Line(before.Prefix), end)
	if _, used, err := c.target(); err == nil && before.Prefix != "" && strings.HasPrefix(used, before.Prefix) {
		c.note(cmd, "that is the one which rdev uses here: put the new one where it takes it from, RDEV_API_KEY or the file of the rdev of this machine")
	}
}

// parseExpiry reads a time to come, or how far it is; nil for never.
func parseExpiry(text string, now time.Time) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if ahead, durationErr := time.ParseDuration(text); durationErr == nil {
		at, err = now.Add(ahead).UTC().Truncate(time.Second), nil
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("--expires %q is neither like 720h nor like 2026-11-25T10:00:00Z", text)
	case !at.After(now):
		return nil, fmt.Errorf("--expires %s lies in the past", text)
	}
	return &at, nil
}

// scopes are what a key may be given, as the gateway knows them.
func scopes() []string {
	return []string{
		"projects:read", "projects:write", "commands:run", "work:read", "work:write", "operations:read", "operations:cancel",
		"operations:approve", "webhooks:read", "webhooks:write", "credentials:read", "credentials:write", "budgets:write", "keys:admin",
		"audit:read", "admin",
	}
}

// completeScopes completes the last of scopes with commas between them.
func completeScopes(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	var all []cobra.Completion
	for _, scope := range scopes() {
		all = append(all, before+scope)
		family, _, _ := strings.Cut(scope, ":")
		if every := before + family + ":*"; strings.HasSuffix(scope, ":write") || strings.HasSuffix(scope, ":cancel") {
			all = append(all, every)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}
