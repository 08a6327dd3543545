package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newApprovalsCommand(c *cli) *cobra.Command {
	cmd := group("approvals", "List what waits for an approval, and approve or deny it",
		`A command that was sent with --needs-approval waits before it starts, and an agent
with --ask before each tool that changes something, until somebody has approved or
denied that, or the approval expires.`)
	cmd.Aliases = []string{"approval"}
	cmd.Example = `  rdev approvals
  rdev approvals approve 0192aaaa-0000-7000-8000-000000000001
  rdev approvals deny ID -m "not on a Friday"`
	list := newApprovalsListCommand(c)
	stray := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return stray(cmd, args)
		}
		return list.RunE(cmd, args)
	}
	cmd.Flags().AddFlagSet(list.Flags())
	cmd.AddCommand(
		list,
		newDecideCommand(c, client.Approve, "Let it go on", `  rdev approvals approve 0192aaaa-0000-7000-8000-000000000001
  rdev approvals approve ID toolu_1 -m "go ahead"`),
		newDecideCommand(c, client.Deny, "Do not let it go on", `  rdev approvals deny 0192aaaa-0000-7000-8000-000000000001 -m "not on a Friday"
  rdev approvals deny ID toolu_1 -m "write it to docs/ instead"`),
	)
	return cmd
}

func newApprovalsListCommand(c *cli) *cobra.Command {
	var filter client.ApprovalFilter
	all := false
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List what waits for an approval, what expires first at the front", Args: arguments(),
		Example: `  rdev approvals list -p shop
  rdev approvals list --all -o json | jq -r '.[].operation'`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			approvals, more, err := readPages(filter.Limit, all, func(limit int, cursor string) ([]client.OpenApproval, string, error) {
				filter.Limit, filter.Cursor = limit, cursor
				page, err := api.Approvals(cmd.Context(), filter)
				return page.Approvals, page.NextCursor, err
			})
			if err != nil {
				return err
			}
			return c.showApprovals(cmd, approvals, more)
		},
	}
	flags := cmd.Flags()
	c.projectFlag(cmd, &filter.Project, "of this project only")
	flags.IntVar(&filter.Limit, "limit", 0, "at most so many (the gateway's default)")
	flags.BoolVar(&all, "all", false, "all pages")
	return cmd
}

func (c *cli) showApprovals(cmd *cobra.Command, approvals []client.OpenApproval, more bool) error {
	out, now := cmd.OutOrStdout(), time.Now()
	if c.json() {
		return writeJSON(out, approvals)
	}
	if len(approvals) == 0 {
		c.note(cmd, "nothing waits for an approval")
		return nil
	}
	var rows [][]string
	for _, open := range approvals {
		a := open.Approval
		rows = append(rows, []string{
			render.Line(open.Operation), render.Line(open.Project), render.Cut(render.Approval(a), 60), render.Line(open.Actor),
			render.Age(now, a.RequestedAt), render.Expiry(now, a),
		})
	}
	if err := render.Table(out, []string{"OPERATION", "PROJECT", "WHAT", "ASKED BY", "AGE", "EXPIRES"}, rows); err != nil {
		return err
	}
	c.noteMore(cmd, more)
	return nil
}

// newDecideCommand makes the command of a decision: client.Approve or client.Deny.
func newDecideCommand(c *cli, verb, short, example string) *cobra.Command {
	comment := ""
	cmd := &cobra.Command{
		Use: verb + " OPERATION [APPROVAL]", Short: short,
		Long: short + `: decide an approval that an operation waits for, for good. APPROVAL may be
left out where exactly one is open. ` + "`rdev ops get OPERATION`" + ` shows all that a tool is
to be given.`,
		Example: example,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) < 2 {
				return arguments("OPERATION")(cmd, args)
			}
			return arguments("OPERATION", "APPROVAL")(cmd, args)
		},
		ValidArgsFunction: c.completeApprovals,
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			approval, err := approvalOf(cmd.Context(), api, verb, args)
			if err != nil {
				return err
			}
			operation, err := api.Decide(cmd.Context(), args[0], approval.ID, client.Decision{Decision: verb, Comment: comment})
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), operation)
			}
			return c.done(cmd, decided(operation.Operation, approval))
		},
	}
	cmd.Flags().StringVarP(&comment, "comment", "m", "", "why; an agent is told it with a denial")
	return cmd
}

// approvalOf is the approval that arguments name, of which nothing else is known, or
// the only one that is open.
func approvalOf(ctx context.Context, api *client.Client, verb string, args []string) (contract.Approval, error) {
	if len(args) == 2 {
		return contract.Approval{ID: args[1]}, nil
	}
	op, err := api.Operation(ctx, args[0], 0)
	if err != nil {
		return contract.Approval{}, err
	}
	open := openApprovals(op.Operation)
	switch len(open) {
	case 0:
		return contract.Approval{}, &hinted{
			fmt.Errorf("operation %s is %s and waits for no approval", op.ID, op.State), "See what does: rdev approvals",
		}
	case 1:
		return open[0], nil
	}
	text := make([]string, 0, len(open))
	for _, a := range open {
		text = append(text, fmt.Sprintf("  %s  # %s", decideCommand(verb, op.ID, a.ID), render.Approval(a)))
	}
	return contract.Approval{}, &hinted{
		fmt.Errorf("operation %s waits for %d approvals: say which", op.ID, len(open)), strings.Join(text, "\n"),
	}
}

func openApprovals(op contract.Operation) []contract.Approval {
	var open []contract.Approval
	for _, a := range op.Approvals {
		if a.State == contract.ApprovalOpen {
			open = append(open, a)
		}
	}
	return open
}

// decided tells what was decided about an operation, and what happens now. before is
// what was known of the approval.
func decided(op contract.Operation, before contract.Approval) string {
	a, _ := op.Approval(before.ID)
	a.Input = before.Input
	start, approved := a.ID == contract.ApprovalStart, a.State == contract.ApprovalApproved
	var next string
	switch {
	case op.State == contract.Cancelled && start && !approved:
		next = "it is cancelled, and never started"
	case op.State.Ended():
		next = "it has ended by now: " + string(op.State)
	case start && !approved:
		next = "it is cancelled, and never starts"
	case op.State == contract.Pending && op.Work != nil:
		next = "it starts when it is its turn"
	case op.State == contract.Pending:
		next = "it starts as soon as its project is free"
	case start:
		next = "it has started"
	case approved:
		next = "the agent goes on with it"
	default:
		next = "the agent is told, and goes on without it"
	}
	text := fmt.Sprintf("%s %s of operation %s: %s", a.State, render.Approval(a), render.Line(op.ID), next)
	if n := len(openApprovals(op)); n > 0 {
		text += fmt.Sprintf("; it waits for %d more", n)
	}
	return text
}

// completeApprovals completes operations that wait, and their approvals.
func (c *cli) completeApprovals(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	api, err := c.connect()
	if err != nil || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTimeout)
	defer cancel()
	page, err := api.Approvals(ctx, client.ApprovalFilter{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []cobra.Completion
	for _, open := range page.Approvals {
		about := render.Approval(open.Approval)
		switch {
		case len(args) == 0:
			words = append(words, cobra.CompletionWithDesc(open.Operation, render.Line(open.Project)+" "+about))
		case args[0] == open.Operation:
			words = append(words, cobra.CompletionWithDesc(open.Approval.ID, about))
		}
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}
