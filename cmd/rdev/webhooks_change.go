package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// webhookFlags are what can be said of an endpoint.
type webhookFlags struct {
	name, url, description string
	events, projects       []string
	headers                []string // as "Name: value"
	rate                   int
	retryClientErrors      bool
}

func (f *webhookFlags) add(c *cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "what to call it here; unique")
	flags.StringVar(&f.description, "description", "", "what it is for")
	flags.StringArrayVar(&f.headers, "header", nil, "'Name: value' that goes along with every request (repeatable)")
	flags.IntVar(&f.rate, "rate", 0, "the most requests in a second; 0 for no limit")
	flags.BoolVar(&f.retryClientErrors, "retry-client-errors", false, "try again what is answered with 4xx, too, instead of giving it up")
	f.addFilter(c, cmd)
}

// addFilter adds the flags that say which events are wanted.
func (f *webhookFlags) addFilter(c *cli, cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringSliceVar(&f.events, "events", []string{"*"}, "types, such as operation.failed or operation.* (repeatable, or with commas)")
	flags.StringSliceVarP(&f.projects, "project", "p", nil, "slug of a project whose events are sent; of all without (repeatable)")
	must(cmd.RegisterFlagCompletionFunc("events", completeEvents))
	must(cmd.RegisterFlagCompletionFunc("project", c.completeProjects))
}

func newWebhooksCreateCommand(c *cli) *cobra.Command {
	var wanted webhookFlags
	cmd := &cobra.Command{
		Use: "create URL", Short: "Create a webhook, and print its signing secret", Args: arguments("URL"),
		Long: `Create a webhook. It is sent what happens from now on. Its signing secret goes to
stdout, and nothing else does; it is told this once.`,
		Example: `  rdev webhooks create https://ci.example.com/rdev --name ci --events operation.completed,operation.failed -p shop
  rdev webhooks create https://chat.example.com/hook --events operation.approval_requested --header "Authorization: Bearer $TOKEN"
  rdev webhooks create https://slow.example.com --rate 5 --retry-client-errors -o json`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			headers, err := wanted.changedHeaders(cmd, nil)
			if err != nil {
				return err
			}
			api, err := c.connect()
			if err != nil {
				return err
			}
			webhook, err := api.CreateWebhook(cmd.Context(), contract.CreateWebhook{
				Name: wanted.name, URL: args[0], Events: wanted.events, Projects: wanted.projects, Description: wanted.description,
				Headers: headers, Rate: wanted.rate, RetryClientErrors: wanted.retryClientErrors,
			})
			if err != nil {
				return err
			}
			if webhook.Secret == "" {
				return &hinted{
					fmt.Errorf("webhook %s was made, but the answer with its secret was lost on its way", render.Line(webhook.ID)),
					"Give it another: rdev webhooks rotate --overlap 0s " + render.Line(webhook.ID),
				}
			}
			if err := c.writeWebhookSecret(cmd, webhook); err != nil || c.json() {
				return err
			}
			c.note(cmd, "webhook %s gets %s of %s; its secret is told this once",
				first(render.Line(webhook.Name), render.Line(webhook.ID)), listed(webhook.Events, "-"), listed(webhook.Projects, "all projects"))
			return nil
		},
	}
	wanted.add(c, cmd)
	return cmd
}

func newWebhooksUpdateCommand(c *cli) *cobra.Command {
	var wanted webhookFlags
	allProjects := false
	cmd := &cobra.Command{
		Use: "update WEBHOOK", Short: "Change a webhook", Args: arguments("WEBHOOK"),
		Long: `Change what the flags name of a webhook, for what is sent from now on; the rest stays.
--events and --project replace what there was. --header adds a header or changes its
value; with nothing behind the colon it takes it away.`,
		Example: `  rdev webhooks update ci --events 'operation.*' --rate 10
  rdev webhooks update ci --url https://ci.example.com/v2 --header 'X-Version: 2' --header 'X-Old:'
  rdev webhooks update ci --all-projects`,
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("project") && allProjects {
				return usagef(cmd, "--project and --all-projects do not go together")
			}
			if !wanted.changed(cmd.Flags()) && !allProjects {
				return usagef(cmd, "say what to change")
			}
			api, before, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			change, err := wanted.change(cmd, before.Headers)
			if err != nil {
				return err
			}
			if allProjects {
				change.Projects = &[]string{}
			}
			webhook, err := api.UpdateWebhook(cmd.Context(), before.ID, change)
			if err != nil {
				return err
			}
			return c.tellWebhook(cmd, webhook, "changed "+nameOf(webhook.Webhook))
		},
	}
	wanted.add(c, cmd)
	cmd.Flags().StringVar(&wanted.url, "url", "", "where events are sent to")
	cmd.Flags().BoolVar(&allProjects, "all-projects", false, "send the events of all projects")
	return cmd
}

// changed tells whether any flag of an endpoint is given.
func (f *webhookFlags) changed(flags *pflag.FlagSet) bool {
	return slices.ContainsFunc([]string{"name", "url", "description", "events", "project", "header", "rate", "retry-client-errors"}, flags.Changed)
}

// change is what the flags that are given change of an endpoint that has the headers.
func (f *webhookFlags) change(cmd *cobra.Command, headers map[string]string) (client.WebhookChange, error) {
	var change client.WebhookChange
	flags := cmd.Flags()
	for name, field := range map[string]struct {
		to    **string
		value *string
	}{"name": {&change.Name, &f.name}, "url": {&change.URL, &f.url}, "description": {&change.Description, &f.description}} {
		if flags.Changed(name) {
			*field.to = field.value
		}
	}
	if flags.Changed("events") {
		change.Events = f.events
		if len(f.events) == 0 {
			return change, usagef(cmd, "--events names none")
		}
	}
	if flags.Changed("project") {
		change.Projects = &f.projects
		if len(f.projects) == 0 {
			return change, usagef(cmd, "--project names none: see --all-projects")
		}
	}
	if flags.Changed("header") {
		changed, err := f.changedHeaders(cmd, headers)
		if err != nil {
			return change, err
		}
		change.Headers = &changed
	}
	if flags.Changed("rate") {
		change.Rate = &f.rate
	}
	if flags.Changed("retry-client-errors") {
		change.RetryClientErrors = &f.retryClientErrors
	}
	return change, nil
}

// changedHeaders are the headers before with those of the flags, whose case does not
// matter. Its errors tell no value, which may be a token.
func (f *webhookFlags) changedHeaders(cmd *cobra.Command, before map[string]string) (map[string]string, error) {
	headers := map[string]string{}
	maps.Copy(headers, before)
	for _, given := range f.headers {
		name, value, ok := strings.Cut(given, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usagef(cmd, "--header must look like 'Name: value'")
		}
		maps.DeleteFunc(headers, func(other, _ string) bool { return strings.EqualFold(name, other) })
		if value = strings.TrimSpace(value); value != "" {
			headers[name] = value
		}
	}
	return headers, nil
}

func newWebhooksPauseCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "pause WEBHOOK", Short: "Send a webhook nothing for a while", Args: arguments("WEBHOOK"),
		Long: `Send a webhook nothing until it is enabled. It loses nothing by that: what happens
meanwhile is sent then, as far as the log goes back.`,
		Example:           "  rdev webhooks pause ci",
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, before, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			enabled := false
			webhook, err := api.UpdateWebhook(cmd.Context(), before.ID, client.WebhookChange{Enabled: &enabled})
			if err != nil {
				return err
			}
			return c.tellWebhook(cmd, webhook, "paused "+nameOf(webhook.Webhook)+": what happens is sent once it is enabled")
		},
	}
}

func newWebhooksEnableCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "enable WEBHOOK", Short: "Send a webhook what it missed, and what comes", Args: arguments("WEBHOOK"),
		Long:              "Enable a webhook that was paused, or that rdev disabled because it failed for too long.\nIt is sent what it missed, in order.",
		Example:           "  rdev webhooks enable ci",
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, before, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			webhook, err := api.EnableWebhook(cmd.Context(), before.ID)
			if err != nil {
				return err
			}
			return c.tellWebhook(cmd, webhook, fmt.Sprintf("enabled %s: it gets what came after %d", nameOf(webhook.Webhook), webhook.Health.Seq))
		},
	}
}

func newWebhooksRotateCommand(c *cli) *cobra.Command {
	var overlap time.Duration
	cmd := &cobra.Command{
		Use: "rotate WEBHOOK", Short: "Give a webhook a new signing secret, and print it", Args: arguments("WEBHOOK"),
		Long: `Give a webhook a new signing secret, which goes to stdout, and nothing else does. For
the overlap its deliveries are signed with the secret before, too; one before that
signs nothing any more.`,
		Example: `  rdev webhooks rotate ci > new-secret
  rdev webhooks rotate ci --overlap 0s            # the old secret leaked`,
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if overlap < 0 {
				return usagef(cmd, "--overlap %s lies in the past", overlap)
			}
			api, before, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			webhook, err := api.RotateWebhook(cmd.Context(), before.ID, overlap)
			if _, lost := errors.AsType[*client.UnreachableError](err); lost {
				return &hinted{
					fmt.Errorf("it is not known whether %s has a new secret: %w", nameOf(before.Webhook), err),
					"It has one if its rev is not " + strconv.Itoa(before.Rev) + " any more; rotate it again, then: rdev webhooks get -o json " + render.Line(before.ID),
				}
			}
			if err != nil {
				return err
			}
			if err := c.writeWebhookSecret(cmd, webhook); err != nil || c.json() {
				return err
			}
			end := "the one before signs nothing any more"
			if webhook.OldSecretUntil != nil {
				end = "deliveries are signed with the one before, too, until " + webhook.OldSecretUntil.Local().Format(time.RFC3339)
			}
			c.note(cmd, "%s has a new secret; %s", nameOf(webhook.Webhook), end)
			return nil
		},
	}
	cmd.Flags().DurationVar(&overlap, "overlap", 24*time.Hour, "how long the secret before signs, too, up to 168h")
	return cmd
}

func newWebhooksDeleteCommand(c *cli) *cobra.Command {
	yes := false
	cmd := &cobra.Command{
		Use: "delete WEBHOOK", Aliases: []string{"rm"}, Short: "Delete a webhook, for good", Args: arguments("WEBHOOK"),
		Long: `Delete a webhook with the list of its deliveries; what it has not been sent yet, it
never is. On a terminal it asks first; --yes does not.`,
		Example:           "  rdev webhooks delete ci --yes",
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, webhook, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			named := nameOf(webhook.Webhook)
			if err := agreed(cmd, yes, fmt.Sprintf("Delete %s, for good?", named), named); err != nil {
				return err
			}
			if err := api.DeleteWebhook(cmd.Context(), webhook.ID); err != nil {
				return err
			}
			return c.tellWebhook(cmd, webhook, "deleted "+named)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

// tellWebhook tells what was done to an endpoint, or writes it as JSON.
func (c *cli) tellWebhook(cmd *cobra.Command, webhook client.Webhook, what string) error {
	if c.json() {
		return writeJSON(cmd.OutOrStdout(), webhook)
	}
	return c.done(cmd, what)
}

// writeWebhookSecret writes the secret alone, so that a shell can take it, or all of
// the endpoint as JSON.
func (c *cli) writeWebhookSecret(cmd *cobra.Command, webhook client.Webhook) error {
	var err error
	if c.json() {
		err = writeJSON(cmd.OutOrStdout(), webhook)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), render.Line(webhook.Secret))
	}
	if err != nil {
		return fmt.Errorf("write the secret of webhook %s: %w", webhook.ID, err)
	}
	return nil
}
