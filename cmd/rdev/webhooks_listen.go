package main

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/forward"
	"github.com/orchard9/rdev/libs/contract"
)

// listening is what `rdev webhooks listen` is to do.
type listening struct {
	wanted webhookFlags // events and projects
	target string
	secret string
	from   uint64 // the first sequence, 0 for what happens from now on
	most   int    // 0 for no end
}

func newWebhooksListenCommand(c *cli) *cobra.Command {
	var l listening
	cmd := &cobra.Command{
		Use: "listen --forward URL", Short: "Send events to a URL of this machine, as a webhook gets them", Args: arguments(),
		Long: `Follow the log, and post each event to a URL as a webhook gets it: the same body, the
same headers, the same signature. No webhook is made for it, so it needs no address
that rdev reaches: it is for writing and trying a receiver. Each event is sent once,
whatever the answer, also over a restart of the gateway. Ctrl-C ends it; the sequence
in front of each line is where to go on.

The signing secret is told at the start; it is another each time unless --secret says it.`,
		Example: `  rdev webhooks listen --forward http://127.0.0.1:3000/rdev
  rdev webhooks listen --forward http://127.0.0.1:3000 --events 'operation.*' -p shop --secret whsec_c2VjcmV0
  rdev webhooks listen --forward http://127.0.0.1:3000 --from-seq 1 --count 10   # replay`,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.listen(cmd, l) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.target, "forward", "", "URL to post to, such as http://127.0.0.1:3000")
	flags.StringVar(&l.secret, "secret", "", "signing secret, whsec_…; a new one without")
	flags.Uint64Var(&l.from, "from-seq", 0, "begin at this sequence instead of now")
	flags.IntVar(&l.most, "count", 0, "leave after so many events")
	l.wanted.addFilter(c, cmd)
	must(cmd.RegisterFlagCompletionFunc("forward", cobra.NoFileCompletions))
	must(cmd.RegisterFlagCompletionFunc("secret", cobra.NoFileCompletions))
	return cmd
}

// eventsPattern is what a webhook takes for the types of its events.
var eventsPattern = regexp.MustCompile(`^(\*|(operation|project|webhook)\.(\*|[a-z][a-z_]{0,39}))$`)

func (c *cli) listen(cmd *cobra.Command, l listening) error {
	if l.target == "" {
		return usagef(cmd, "--forward is missing: the URL to post to")
	}
	for _, wanted := range l.wanted.events {
		if !eventsPattern.MatchString(wanted) {
			return usagef(cmd, "--events %q is neither like operation.completed nor like operation.*, nor *", wanted)
		}
	}
	secret := l.secret
	if secret == "" {
		secret = forward.NewSecret()
	}
	forwarder, err := forward.New(l.target, secret)
	if err != nil {
		return usagef(cmd, "%v", err)
	}
	defer forwarder.Close()
	api, err := c.connect()
	if err != nil {
		return err
	}
	c.note(cmd, "sending %s of %s to %s", listed(l.wanted.events, "-"), listed(l.wanted.projects, "all projects"), l.target)
	c.note(cmd, "signing secret: %s", secret)
	out := cmd.OutOrStdout()
	style, sent := c.style(out), 0
	for event, err := range api.Events(cmd.Context(), l.filter()) {
		if err != nil {
			return err
		}
		if !l.wants(event) {
			continue
		}
		delivery := forwarder.Send(cmd.Context(), event)
		if c.json() {
			err = writeJSONLine(out, delivery)
		} else {
			_, err = fmt.Fprintln(out, style.Forwarded(delivery, delivery.Attempts[0]))
		}
		if err != nil {
			return fmt.Errorf("write the delivery of event %d: %w", event.Seq, err)
		}
		if sent++; sent == l.most {
			return nil
		}
	}
	return nil
}

// filter is as much of what is wanted as the gateway can be told.
func (l listening) filter() client.EventFilter {
	filter := client.EventFilter{From: l.from}
	if len(l.wanted.events) == 1 {
		filter.Type = l.wanted.events[0]
	}
	if len(l.wanted.projects) == 1 {
		filter.Project = l.wanted.projects[0]
	}
	return filter
}

// wants tells whether a webhook with the same filter would be sent an event. Events
// of keys are sent to none.
func (l listening) wants(event client.Event) bool {
	if len(l.wanted.projects) > 0 && !slices.Contains(l.wanted.projects, event.Project) {
		return false
	}
	return event.Entity != contract.EntityKey && slices.ContainsFunc(l.wanted.events, func(wanted string) bool {
		return contract.MatchEventType(wanted, event.Entity+"."+event.Type)
	})
}
