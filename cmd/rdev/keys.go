package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/validate"
)

// keyActive is the state of a key that works.
const keyActive = "active"

func newKeysCommand(c *cli) *cobra.Command {
	cmd := group("keys", "Create, list, rotate, budget and revoke API keys",
		`An API key says what its bearer may do: its scopes, in which projects, from which
networks, and until when. Its secret is told once, and kept nowhere.

Where an ID is wanted, the name of a key does as well, as long as exactly one key
of that name is active; self is the key that rdev itself uses.`)
	cmd.Aliases = []string{"key"}
	cmd.AddCommand(
		newKeysListCommand(c), newKeysGetCommand(c), newKeysCreateCommand(c), newKeysRotateCommand(c), newKeysBudgetCommand(c),
		newKeysRevokeCommand(c),
	)
	return cmd
}

func newKeysListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List API keys, newest first", Args: arguments(),
		Long: `List the API keys that may do no more than the one in use, newest first; those
that have expired or were revoked, too.`,
		Example: `  rdev keys list
  rdev keys list -o json | jq -r '.[] | select(.state == "active") | .name'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			keys, err := api.Keys(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if c.json() {
				return writeJSON(out, append([]client.Key{}, keys...))
			}
			if len(keys) == 0 {
				c.note(cmd, "no keys")
				return nil
			}
			style, now := c.style(out), time.Now()
			var rows [][]string
			for _, key := range keys {
				rows = append(rows, []string{
					render.Line(key.ID), render.Line(key.Name), keyState(style, key.State), listed(key.Scopes, "-"),
					listed(key.Projects, "all"), render.Ago(now, key.LastUsedAt), render.Ago(now, key.ExpiresAt),
				})
			}
			return render.Table(out, []string{"ID", "NAME", style.Plain("STATE"), "SCOPES", "PROJECTS", "LAST USED", "EXPIRES"}, rows)
		},
	}
}

func newKeysGetCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "get ID|self", Short: "Show one API key", Args: arguments("ID"),
		Example: `  rdev keys get ci
  rdev keys get self                              # the key that rdev uses here`,
		ValidArgsFunction: c.completeKeys("self"),
		RunE: func(cmd *cobra.Command, args []string) error {
			_, key, err := c.findKey(cmd, args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), key)
			}
			return c.showKey(cmd, key)
		},
	}
}

// showKey writes what is known of a key, a fact to a line.
func (c *cli) showKey(cmd *cobra.Command, key client.Key) error {
	out, now := cmd.OutOrStdout(), time.Now()
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(table, "%s\t%s\n", name, value)
		}
	}
	dated := func(name string, at *time.Time) {
		if at != nil {
			row(name, fmt.Sprintf("%s (%s)", at.Local().Format(time.RFC3339), render.Ago(now, at)))
		}
	}
	row("id", render.Line(key.ID))
	row("name", render.Line(key.Name))
	row("state", keyState(c.style(out), key.State))
	row("scopes", listed(key.Scopes, "-"))
	row("projects", listed(key.Projects, "all"))
	row("from", listed(key.AllowedIPs, "everywhere"))
	row("secret", render.Line(key.Prefix)+"…")
	if key.OldPrefix != "" {
		row("secret before", fmt.Sprintf("%s…, ends %s", render.Line(key.OldPrefix), render.Ago(now, key.OldUntil)))
	}
	row("created by", render.Line(key.CreatedBy))
	dated("created", &key.CreatedAt)
	dated("expires", key.ExpiresAt)
	dated("revoked", key.RevokedAt)
	row("last used", render.Ago(now, key.LastUsedAt))
	return table.Flush()
}

func newKeysRevokeCommand(c *cli) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: "revoke ID", Short: "End an API key for good", Args: arguments("ID"),
		Long: `End an API key for good, on every gateway within a second; its streams are cut. On
a terminal it asks first; --yes does not.`,
		Example:           "  rdev keys revoke ci --yes",
		ValidArgsFunction: c.completeKeys(),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, key, err := c.findKey(cmd, args[0])
			if err != nil {
				return err
			}
			named := fmt.Sprintf("key %s (%s)", render.Line(key.Name), render.Line(key.ID))
			if err := agreed(cmd, yes, fmt.Sprintf("Revoke %s, for good?", named), named); err != nil {
				return err
			}
			if err := api.RevokeKey(cmd.Context(), key.ID); err != nil {
				return err
			}
			if c.json() {
				// Not as the gateway has it now: the key may have been the one in use.
				return writeJSON(cmd.OutOrStdout(), map[string]string{"id": key.ID, "name": key.Name, "state": "revoked"})
			}
			return c.done(cmd, "revoked "+named)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// findKey connects, and finds the key that an argument names.
func (c *cli) findKey(cmd *cobra.Command, given string) (*client.Client, client.Key, error) {
	api, err := c.connect()
	if err != nil {
		return nil, client.Key{}, err
	}
	key, err := keyOf(cmd.Context(), api, given)
	return api, key, err
}

// keyOf is the key of an id, of the name that one active key has, or self.
func keyOf(ctx context.Context, api *client.Client, given string) (client.Key, error) {
	if given == "self" || validate.IsID(given) {
		return api.Key(ctx, given)
	}
	keys, err := api.Keys(ctx)
	if err != nil {
		return client.Key{}, err
	}
	var active []client.Key
	var ids []string
	for _, key := range keys {
		if key.Name != given {
			continue
		}
		ids = append(ids, render.Line(key.ID))
		if key.State == keyActive {
			active = append(active, key)
		}
	}
	switch {
	case len(active) == 1:
		return active[0], nil
	case len(active) > 1:
		return client.Key{}, fmt.Errorf("%d active keys are called %q: give the ID of one of %s", len(active), given, strings.Join(ids, ", "))
	case len(ids) > 0:
		return client.Key{}, fmt.Errorf("no key called %q is active; those that were have the IDs %s", given, strings.Join(ids, ", "))
	}
	return client.Key{}, &hinted{fmt.Errorf("there is no key called %q", given), "See which there are: rdev keys list"}
}

func keyState(style render.Style, state string) string {
	text := render.Line(state)
	switch state {
	case keyActive:
		return style.Good(text)
	case "expired":
		return style.Warn(text)
	case "revoked":
		return style.Dim(text)
	}
	return style.Plain(text)
}

// listed is words on a line, or what none of them means.
func listed(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return render.Line(strings.Join(words, ", "))
}

// completeKeys completes the names of active keys, and other words.
func (c *cli) completeKeys(others ...cobra.Completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		api, err := c.connect()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
		defer cancel()
		names := slices.Clone(others)
		keys, err := api.Keys(ctx)
		if err != nil {
			return names, cobra.ShellCompDirectiveNoFileComp
		}
		for _, key := range keys {
			if key.State == keyActive {
				names = append(names, cobra.CompletionWithDesc(key.Name, listed(key.Scopes, "")))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
