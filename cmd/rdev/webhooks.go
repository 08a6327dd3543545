package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

func newWebhooksCommand(c *cli) *cobra.Command {
	cmd := group("webhooks", "Have events sent to a URL, see what was, and send it again",
		`A webhook is an endpoint that events are sent to over HTTP: signed, in the order of
the log, and again until it answers 2xx or it is given up. listen does the same for
a URL of this machine.

Where a WEBHOOK is wanted, its name, its ID or the beginning of its ID does.
RDEV_PROJECT does not count here.`)
	cmd.Aliases = []string{"webhook"}
	cmd.AddCommand(
		newWebhooksListCommand(c), newWebhooksGetCommand(c), newWebhooksCreateCommand(c), newWebhooksUpdateCommand(c),
		newWebhooksPauseCommand(c), newWebhooksEnableCommand(c), newWebhooksRotateCommand(c), newWebhooksDeleteCommand(c),
		newWebhooksTestCommand(c), newWebhooksDeliveriesCommand(c), newWebhooksRedeliverCommand(c), newWebhooksListenCommand(c),
	)
	return cmd
}

func newWebhooksListCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List webhooks, newest first", Args: arguments(),
		Long: `List the webhooks that the API key may see, newest first. SETTLED is the sequence up
to which a webhook's events are delivered, or given up.`,
		Example: `  rdev webhooks list
  rdev webhooks list -o json | jq -r '.[] | select(.enabled | not) | .id'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			webhooks, err := api.Webhooks(cmd.Context())
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if c.json() {
				return writeJSON(out, append([]client.Webhook{}, webhooks...))
			}
			if len(webhooks) == 0 {
				c.note(cmd, "no webhooks; create one with: rdev webhooks create URL")
				return nil
			}
			style := c.style(out)
			var rows [][]string
			for _, w := range webhooks {
				rows = append(rows, []string{
					render.Line(w.ID), first(render.Line(w.Name), "-"), style.Webhook(w.Webhook), render.Cut(render.Line(w.URL), 60),
					render.Cut(listed(w.Events, "-"), 60), render.Cut(listed(w.Projects, "all"), 40), strconv.FormatUint(w.Health.Seq, 10),
				})
			}
			return render.Table(out, []string{"ID", "NAME", style.Plain("STATE"), "URL", "EVENTS", "PROJECTS", "SETTLED"}, rows)
		},
	}
}

func newWebhooksGetCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "get WEBHOOK", Short: "Show one webhook, and how it does", Args: arguments("WEBHOOK"),
		Example: `  rdev webhooks get ci
  rdev webhooks get 0192cccc -o json | jq .health`,
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			_, webhook, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), webhook)
			}
			return c.showWebhook(cmd, webhook.Webhook)
		},
	}
}

// showWebhook writes what is known of an endpoint, a fact to a line.
func (c *cli) showWebhook(cmd *cobra.Command, w contract.Webhook) error {
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
	state := c.style(out).Webhook(w)
	if w.DisabledReason != "" {
		state += ": " + render.Line(w.DisabledReason)
	}
	row("id", render.Line(w.ID))
	row("name", render.Line(w.Name))
	row("state", state)
	row("url", render.Line(w.URL))
	row("events", listed(w.Events, "-"))
	row("projects", listed(w.Projects, "all"))
	row("description", render.Line(w.Description))
	row("headers", listed(slices.Sorted(maps.Keys(w.Headers)), ""))
	if w.Rate > 0 {
		row("rate", fmt.Sprintf("%d a second", w.Rate))
	}
	if w.RetryClientErrors {
		row("4xx", "is tried again")
	}
	dated("created", &w.CreatedAt)
	dated("updated", &w.UpdatedAt)
	if w.OldSecretUntil != nil && w.OldSecretUntil.After(now) {
		row("secret before", "signs, too, ends "+render.Ago(now, w.OldSecretUntil))
	}
	row("settled", "up to "+strconv.FormatUint(w.Health.Seq, 10))
	if w.Health.Failures > 0 {
		row("failures", strconv.Itoa(w.Health.Failures))
	}
	dated("failing since", w.Health.FailingSince)
	row("last error", render.Line(w.Health.LastError))
	dated("next attempt", w.Health.NextAttemptAt)
	return table.Flush()
}

// findWebhook connects, and finds the endpoint that an argument names.
func (c *cli) findWebhook(cmd *cobra.Command, given string) (*client.Client, client.Webhook, error) {
	api, err := c.connect()
	if err != nil {
		return nil, client.Webhook{}, err
	}
	webhook, err := webhookOf(cmd.Context(), api, given)
	return api, webhook, err
}

// webhookOf is the endpoint of an id, of a name, or of the beginning of an id that no
// other begins with.
func webhookOf(ctx context.Context, api *client.Client, given string) (client.Webhook, error) {
	if validate.IsID(given) {
		return api.Webhook(ctx, given)
	}
	webhooks, err := api.Webhooks(ctx)
	if err != nil {
		return client.Webhook{}, err
	}
	var near []client.Webhook
	for _, w := range webhooks {
		switch {
		case given == "":
		case w.Name == given:
			return w, nil
		case strings.HasPrefix(w.ID, given):
			near = append(near, w)
		}
	}
	switch len(near) {
	case 0:
		return client.Webhook{}, &hinted{fmt.Errorf("there is no webhook %q", given), "See which there are: rdev webhooks list"}
	case 1:
		return near[0], nil
	}
	ids := make([]string, 0, len(near))
	for _, w := range near {
		ids = append(ids, render.Line(w.ID))
	}
	return client.Webhook{}, fmt.Errorf("the IDs of %d webhooks begin with %q: give more of one of %s", len(near), given, strings.Join(ids, ", "))
}

// nameOf tells people which endpoint is meant.
func nameOf(w contract.Webhook) string {
	return fmt.Sprintf("webhook %s (%s)", first(render.Line(w.Name), render.Line(w.ID)), render.Cut(render.Line(w.URL), 100))
}

// completeWebhooks completes the names of endpoints, and the ids of those without.
func (c *cli) completeWebhooks(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	api, err := c.connect()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	webhooks, err := api.Webhooks(ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, w := range webhooks {
		words = append(words, cobra.CompletionWithDesc(first(w.Name, w.ID), render.Line(w.URL)))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// completeEvents completes the last of event types with commas between them.
func completeEvents(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndex(typed, ",")+1]
	words := []cobra.Completion{before + "*"}
	for _, of := range []struct {
		entity string
		types  []string
	}{
		{contract.EntityOperation, []string{
			contract.TypePending, contract.TypeRunning, contract.TypeProgressed, contract.TypeApprovalRequested, contract.TypeApprovalDecided,
			contract.TypeRetrying, contract.TypeStepped, contract.TypeProvisioned, contract.TypeCancelRequested, contract.TypeCompleted, contract.TypeFailed, contract.TypeCancelled,
		}},
		{contract.EntityProject, []string{
			contract.TypeProjectCreated, contract.TypeProjectChanged, contract.TypeProjectPipeline, contract.TypeProjectAbandoned, contract.TypeProjectBudgeted, contract.TypeProjectDeleting, contract.TypeProjectDeleted,
		}},
		{contract.EntityWebhook, []string{
			contract.TypeWebhookCreated, contract.TypeWebhookUpdated, contract.TypeWebhookRotated, contract.TypeWebhookEnabled,
			contract.TypeWebhookDisabled, contract.TypeWebhookDeleted,
		}},
	} {
		for _, word := range append([]string{"*"}, of.types...) {
			words = append(words, before+of.entity+"."+word)
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
