package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newWebhooksTestCommand(c *cli) *cobra.Command {
	return &cobra.Command{
		Use: "test WEBHOOK", Short: "Send a webhook a test event, and see what it answers", Args: arguments("WEBHOOK"),
		Long: `Send a webhook one event of the type webhook.test, at once and signed as every event
is. It exits with 1 where the answer is not 2xx, or there is none.`,
		Example:           "  rdev webhooks test ci",
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, webhook, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			attempt, err := api.TestWebhook(cmd.Context(), webhook.ID)
			if err != nil {
				return err
			}
			failed := attempt.Error != ""
			if c.json() {
				if err := writeJSON(cmd.OutOrStdout(), attempt); err != nil || !failed {
					return err
				}
				return &exitError{code: exitFailure}
			}
			if failed {
				return fmt.Errorf("%s failed: %s", nameOf(webhook.Webhook), render.Attempt(attempt))
			}
			return c.done(cmd, nameOf(webhook.Webhook)+" answered "+render.Attempt(attempt))
		},
	}
}

func newWebhooksDeliveriesCommand(c *cli) *cobra.Command {
	var filter client.DeliveryFilter
	status, all := "", false
	cmd := &cobra.Command{
		Use: "deliveries WEBHOOK", Short: "List what a webhook was sent, newest first", Args: arguments("WEBHOOK"),
		Long: `List the deliveries to a webhook that were tried, the newest event first. What is still
to be tried is what the log has after the sequence up to which it is settled.`,
		Example: `  rdev webhooks deliveries ci --status dead
  rdev webhooks deliveries ci --type operation.failed --all -o json | jq '.[].attempts[-1]'`,
		ValidArgsFunction: c.completeWebhooks,
		RunE: func(cmd *cobra.Command, args []string) error {
			filter.Status = contract.DeliveryStatus(status)
			switch filter.Status {
			case "", contract.DeliveryPending, contract.DeliveryDelivered, contract.DeliveryDead:
			default:
				return usagef(cmd, "--status %s is not known: pending, delivered, dead", status)
			}
			api, webhook, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			deliveries, more, err := readPages(filter.Limit, all, func(limit int, cursor string) ([]contract.Delivery, string, error) {
				filter.Limit, filter.Cursor = limit, cursor
				page, err := api.Deliveries(cmd.Context(), webhook.ID, filter)
				return page.Deliveries, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return c.showDeliveries(cmd, deliveries, more)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&status, "status", "", "pending, delivered or dead only")
	flags.StringVar(&filter.Type, "type", "", "of events of this type only, such as operation.failed")
	flags.IntVar(&filter.Limit, "limit", 0, "at most so many (the gateway's default)")
	flags.BoolVar(&all, "all", false, "all pages")
	must(cmd.RegisterFlagCompletionFunc("status", cobra.FixedCompletions([]cobra.Completion{
		string(contract.DeliveryPending), string(contract.DeliveryDelivered), string(contract.DeliveryDead),
	}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("type", completeEvents))
	return cmd
}

func (c *cli) showDeliveries(cmd *cobra.Command, deliveries []contract.Delivery, more bool) error {
	out, now := cmd.OutOrStdout(), time.Now()
	if c.json() {
		return writeJSON(out, deliveries)
	}
	if len(deliveries) == 0 {
		c.note(cmd, "no deliveries")
		return nil
	}
	style := c.style(out)
	var rows [][]string
	for _, d := range deliveries {
		last, ago, next := "-", "-", "-"
		if n := len(d.Attempts); n > 0 {
			last, ago = render.Cut(render.Attempt(d.Attempts[n-1]), 60), render.Ago(now, &d.Attempts[n-1].At)
		}
		if d.NextAttemptAt != nil {
			next = render.Ago(now, d.NextAttemptAt)
		}
		rows = append(rows, []string{
			render.Line(d.ID), render.Line(d.Type), style.Delivery(d.Status), strconv.Itoa(len(d.Attempts)), last, ago, next,
		})
	}
	header := []string{"DELIVERY", "TYPE", style.Plain("STATUS"), "TRIES", "LAST ANSWER", "WHEN", "NEXT"}
	if err := render.Table(out, header, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

func newWebhooksRedeliverCommand(c *cli) *cobra.Command {
	var what client.Redelivery
	dead := false
	cmd := &cobra.Command{
		Use: "redeliver WEBHOOK [DELIVERY | --dead | --from-seq N [--to-seq N]]", Short: "Send a webhook events again",
		Long: `Send a webhook events again, with the webhook-id that they had: one delivery, all that
were given up (--dead), or those of the events from one sequence to another. With
--from-seq alone the webhook goes back: it gets, in order, all that the log has from
there, also what it was never sent.`,
		Example: `  rdev webhooks redeliver ci 1207
  rdev webhooks redeliver ci --dead
  rdev webhooks redeliver ci --from-seq 1200 --to-seq 1300
  rdev webhooks redeliver ci --from-seq 1200`,
		DisableFlagsInUseLine: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return arguments("WEBHOOK")(cmd, args)
			}
			return arguments("WEBHOOK", "DELIVERY")(cmd, args)
		},
		ValidArgsFunction: c.completeDeliveries,
		RunE: func(cmd *cobra.Command, args []string) error {
			if dead {
				what.Status = contract.DeliveryDead
			}
			many := what != (client.Redelivery{})
			switch {
			case len(args) == 2 && many:
				return usagef(cmd, "DELIVERY does not go together with --dead, --from-seq and --to-seq")
			case len(args) < 2 && !many:
				return usagef(cmd, "say what to send again: DELIVERY, --dead or --from-seq")
			case what.To > 0 && what.To < what.From:
				return usagef(cmd, "--to-seq %d is before --from-seq %d", what.To, what.From)
			}
			api, webhook, err := c.findWebhook(cmd, args[0])
			if err != nil {
				return err
			}
			var again contract.Redelivering
			if many {
				again, err = api.Redeliver(cmd.Context(), webhook.ID, what)
			} else {
				again, err = api.RedeliverOne(cmd.Context(), webhook.ID, args[1])
			}
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), again)
			}
			return c.tellRedelivering(cmd, webhook.Webhook, again)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&dead, "dead", false, "those that were given up")
	flags.Uint64Var(&what.From, "from-seq", 0, "from this sequence of the log")
	flags.Uint64Var(&what.To, "to-seq", 0, "up to this sequence of the log")
	return cmd
}

func (c *cli) tellRedelivering(cmd *cobra.Command, w contract.Webhook, again contract.Redelivering) error {
	switch {
	case again.FromSeq > 0:
		return c.done(cmd, fmt.Sprintf("%s goes back to %d, and gets all from there", nameOf(w), again.FromSeq))
	case again.Deliveries == 0:
		c.note(cmd, "%s has no such deliveries", nameOf(w))
		return nil
	case again.Deliveries == 1:
		return c.done(cmd, nameOf(w)+" gets 1 delivery again")
	}
	return c.done(cmd, fmt.Sprintf("%s gets %d deliveries again", nameOf(w), again.Deliveries))
}

// completeDeliveries completes endpoints, and then the deliveries to one.
func (c *cli) completeDeliveries(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return c.completeWebhooks(cmd, args, typed)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	api, err := c.connect()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	webhook, err := webhookOf(ctx, api, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := api.Deliveries(ctx, webhook.ID, client.DeliveryFilter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, d := range page.Deliveries {
		words = append(words, cobra.CompletionWithDesc(d.ID, render.Line(fmt.Sprintf("%s %s", d.Type, d.Status))))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
