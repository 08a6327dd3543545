package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// workFlags are the flags of `rdev work run`.
type workFlags struct {
	commandFlags
	project, kind string
	repo, ref     string
	priority, at  string
	delay         time.Duration
	maxAttempts   int
	backoff       time.Duration
	labels        []string
	uniqueKey     string
	artifacts     []string
}

func newWorkRunCommand(c *cli) *cobra.Command {
	o := &workFlags{}
	cmd := &cobra.Command{
		Use:   "run [flags] [--] ARGV… | --script TEXT | --script-file FILE | --agent PROVIDER PROMPT",
		Short: "Queue a piece of work, and follow it",
		Long: `Queue a piece of work for whichever worker is free, and follow it as rdev run does:
its stdout and stderr come out as they are, and rdev exits with its exit code. That
it waits, where it runs and which of its tries failed goes to stderr.

It runs in an empty workspace. With --repo, the repository is checked out there
first, at --ref, at the ref behind the @ or at what its HEAD is. --ref has the URL
taken as it is; without --repo it is of the repository of the project.

With --max-attempts, work that fails is tried again: after --backoff, and after twice
as long each time. Where the worker was lost it is tried up to 3 times anyhow.

Ctrl-C asks for the cancel and keeps following to the end; Ctrl-C again leaves.
Without -p, the project is RDEV_PROJECT, or the only one there is: it is whose
credentials, budget and rights count.

Exit codes: that of the last try; 1 where it failed without one, 130 where it was
cancelled, 2 for a mistake in the command line.`,
		Example: `  rdev work run -p shop --kind test --repo https://git.example.com/shop.git@main -- make test
  rdev work run -p shop --kind test --ref main -- make test
  rdev work run --kind build --repo ssh://git@git.example.com/shop.git --ref v1.2.0 --script 'make && make release'
  rdev work run --repo https://git.example.com/shop.git --artifact bin/shop --artifact 'dist/*.js' -- make
  rdev work run --max-attempts 3 --backoff 30s -- curl -fsS https://example.com/health
  rdev work run --priority low --at 2026-11-25T03:00:00Z --label pipeline=nightly --detach -- make clean
  rdev work run --agent claude-code --credential ANTHROPIC_API_KEY --repo https://git.example.com/shop.git "review the last commit"
  id=$(rdev work run --detach -- make release); rdev ops output "$id"`,
		RunE: func(cmd *cobra.Command, args []string) error { return c.runWork(cmd, o, args) },
	}
	o.add(cmd)
	c.projectFlag(cmd, &o.project, "project that it is for (RDEV_PROJECT)")
	flags := cmd.Flags()
	flags.StringVar(&o.kind, "kind", "custom", "what it is: "+strings.Join(contract.WorkKinds(), ", "))
	flags.StringVar(&o.repo, "repo", "", "address of a repository to run in, URL or URL@REF")
	flags.StringVar(&o.ref, "ref", "", "branch, tag or commit of the repository; without --repo, of the project's own")
	flags.StringVar(&o.priority, "priority", "", "high, normal or low: what is higher goes first (normal)")
	flags.DurationVar(&o.delay, "delay", 0, "do not start it before this long, such as 10m")
	flags.StringVar(&o.at, "at", "", "do not start it before then: 2026-11-25T10:00:00Z")
	flags.IntVar(&o.maxAttempts, "max-attempts", 0, fmt.Sprintf("how often it is tried where it fails, up to %d (1)", contract.MostAttempts))
	flags.DurationVar(&o.backoff, "backoff", 0, fmt.Sprintf("pause before the second try, doubled from there, up to %s (%s)",
		render.Span(contract.Duration(contract.MaxBackoff)), contract.DefaultBackoff))
	flags.StringArrayVar(&o.labels, "label", nil, "KEY=value to know it by (repeatable)")
	flags.StringArrayVar(&o.artifacts, "artifact", nil, "path or pattern of what is kept where it goes well: rdev ops download (repeatable)")
	flags.StringVar(&o.uniqueKey, "unique-key", "", "where work of the project with this key has not ended, that is it")
	must(cmd.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(contract.WorkKinds(), cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("priority", cobra.FixedCompletions(priorities(), cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (c *cli) runWork(cmd *cobra.Command, o *workFlags, args []string) error {
	work, err := o.work(cmd, args)
	if err != nil {
		return err
	}
	return c.start(cmd, o.startFlags, c.follows, func(ctx context.Context, api *client.Client) (client.Accepted, error) {
		if work.Project, err = c.project(ctx, api, o.project); err != nil {
			return client.Accepted{}, err
		}
		accepted, err := api.AddWork(ctx, work, o.key)
		if accepted.Replayed && o.uniqueKey != "" && o.key == "" {
			c.note(cmd, "this is operation %s, which has the unique key and has not ended", accepted.ID)
		}
		return accepted, err
	})
}

// work makes the request of flags and arguments, but for the project.
func (o *workFlags) work(cmd *cobra.Command, args []string) (work client.NewWork, err error) {
	work.Kind = o.kind
	if !slices.Contains(contract.WorkKinds(), o.kind) {
		return work, usagef(cmd, "--kind %s is not known: %s", o.kind, strings.Join(contract.WorkKinds(), ", "))
	}
	if work.Terms, err = o.terms(cmd); err != nil {
		return work, err
	}
	if work.Repository, err = o.repository(cmd); err != nil {
		return work, err
	}
	if err := o.queueing(cmd, &work); err != nil {
		return work, err
	}
	kind, err := kindOf(cmd, kindFlag{name: "script"}, kindFlag{name: "script-file"}, kindFlag{"agent", agentOnly})
	if err != nil {
		return work, err
	}
	switch kind {
	case "agent":
		work.Agent, err = o.agentCommand(cmd, args)
	case "script", "script-file":
		work.Shell, err = o.scriptCommand(cmd, kind, args)
	default:
		if len(args) == 0 {
			return work, usagef(cmd, "what to run is missing: a command, --script or --agent")
		}
		work.Shell = &contract.Shell{Argv: args}
	}
	return work, err
}

// queueing sets when it is the turn of the work, and how often.
func (o *workFlags) queueing(cmd *cobra.Command, work *client.NewWork) error {
	work.Priority = contract.Priority(o.priority)
	if o.priority != "" && !slices.Contains(priorities(), o.priority) {
		return usagef(cmd, "--priority %s is not known: %s", o.priority, strings.Join(priorities(), ", "))
	}
	changed := cmd.Flags().Changed
	switch {
	case changed("delay") && changed("at"):
		return usagef(cmd, "--delay and --at do not go together")
	case o.delay < 0:
		return usagef(cmd, "--delay %s lies in the past", o.delay)
	case changed("max-attempts") && (o.maxAttempts < 1 || o.maxAttempts > contract.MostAttempts):
		return usagef(cmd, "--max-attempts %d is not from 1 to %d", o.maxAttempts, contract.MostAttempts)
	case changed("backoff") && o.backoff <= 0:
		return usagef(cmd, "--backoff %s is no pause", o.backoff)
	}
	if changed("at") {
		at, err := time.Parse(time.RFC3339, o.at)
		if err != nil {
			return usagef(cmd, "--at %q is not like 2026-11-25T10:00:00Z", o.at)
		}
		work.RunAt = &at
	}
	work.Delay, work.MaxAttempts, work.Backoff = contract.Duration(o.delay), o.maxAttempts, contract.Duration(o.backoff)
	work.UniqueKey, work.Artifacts = o.uniqueKey, o.artifacts
	var err error
	work.Labels, err = pairs(cmd, "--label", o.labels)
	return err
}

// repository is where it runs, nil for nowhere.
func (o *workFlags) repository(cmd *cobra.Command) (*contract.Repository, error) {
	given := cmd.Flags().Changed
	switch {
	case !given("repo") && !given("ref"):
		return nil, nil
	case given("repo") && o.repo == "": // as of a variable that is not set
		return nil, usagef(cmd, "--repo %q is no address", o.repo)
	case given("ref"):
		return &contract.Repository{URL: o.repo, Ref: o.ref}, nil
	}
	url, ref := splitRef(o.repo)
	return &contract.Repository{URL: url, Ref: ref}, nil
}

// splitRef takes URL@REF apart, or leaves what has no ref. An @ in front of the path is
// that of a user, and one that begins a part of the path is the path's.
func splitRef(given string) (url, ref string) {
	path := 0
	if scheme := strings.Index(given, "://"); scheme >= 0 {
		path = scheme + len("://")
		slash := strings.IndexByte(given[path:], '/')
		if slash < 0 {
			return given, ""
		}
		path += slash
	} else if colon := strings.IndexByte(given, ':'); colon >= 0 {
		path = colon // git@host:shop.git
	}
	for i := path + 1; i < len(given); i++ {
		if given[i] == '@' && given[i-1] != '/' {
			return given[:i], given[i+1:]
		}
	}
	return given, ""
}
