package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func newOpsGetCommand(c *cli) *cobra.Command {
	var asOf uint64
	cmd := &cobra.Command{
		Use: "get ID", Short: "Show one operation", Args: arguments("ID"),
		Example: `  rdev ops get 0192aaaa-0000-7000-8000-000000000001
  rdev ops get --as-of-seq 4711 ID                # as it stood then
  rdev ops get -o json ID | jq .result.usage`,
		ValidArgsFunction: c.completes(false, "", operationsOf),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.connect()
			if err != nil {
				return err
			}
			operation, err := api.Operation(cmd.Context(), args[0], asOf)
			if err != nil {
				return err
			}
			if c.json() {
				return writeJSON(cmd.OutOrStdout(), operation)
			}
			return c.showOperation(cmd, operation.Operation)
		},
	}
	cmd.Flags().Uint64Var(&asOf, "as-of-seq", 0, "as it stood at this sequence of the log")
	return cmd
}

// showOperation writes what is known of an operation, a fact to a line.
func (c *cli) showOperation(cmd *cobra.Command, op contract.Operation) error {
	out, now := cmd.OutOrStdout(), time.Now()
	facts := newFacts(out)
	row := facts.row
	state := c.style(out).Standing(now, op)
	if op.CancelRequested && !op.State.Ended() {
		state += ", cancel requested"
	}
	if op.CancelCause != nil && op.Failure == nil {
		state += ", " + render.Failure(op.CancelCause)
	}
	row("id", render.Line(op.ID))
	row("kind", render.Line(op.Kind))
	row("project", render.Line(op.Project))
	row("state", state)
	row("command", commandLine(op.Command))
	row("changes", render.Changes(&op))
	showQueueing(row, now, op)
	showBuild(row, op.Build)
	row("steps", render.Steps(op.Build))
	row("actor", render.Line(op.Actor))
	row("created", moment(now, &op.CreatedAt))
	row("started", moment(now, op.StartedAt))
	row("finished", moment(now, op.FinishedAt))
	if op.StartedAt != nil {
		row("took", render.Took(now, op))
		row("attempt", strconv.Itoa(op.Attempt))
	}
	row("waits", moment(now, op.WaitsSince))
	if op.Waited > 0 {
		row("waited", render.Span(contract.Duration(time.Duration(op.Waited).Round(time.Second))))
	}
	for _, a := range op.Approvals {
		showApproval(row, now, a)
	}
	if op.ExitCode != nil {
		row("exit code", render.Exit(op))
	}
	if op.Failure != nil {
		row("failure", render.FailureOf(&op))
	}
	if result := op.Result; result != nil {
		row("session", render.Line(result.Session))
		usage := "usage"
		if !op.State.Ended() {
			usage = "so far"
		}
		row(usage, render.Progress(result))
		row("branch", render.Line(result.Branch))
		row("commit", render.Line(result.Commit))
		row("text", render.Cut(render.Line(result.Text), 400))
		if result.Leftovers > 0 {
			row("leftovers", fmt.Sprintf("%d processes outlived the command and were killed", result.Leftovers))
		}
	}
	if op.Seq > 0 {
		row("seq", strconv.FormatUint(op.Seq, 10))
	}
	if err := facts.Flush(); err != nil {
		return err
	}
	if err := showTries(cmd, now, op); err != nil {
		return err
	}
	if err := showProvisioning(cmd, c.style(out), op.Provisioning); err != nil {
		return err
	}
	return showSteps(cmd, c.style(out), now, op.Build)
}

// showApproval writes what an approval is about and where it stands; of one that is
// open all that the tool is to be given, which somebody has to judge.
func showApproval(row func(name, value string), now time.Time, a contract.Approval) {
	if a.State != contract.ApprovalOpen {
		decided := ""
		if a.DecidedAt != nil {
			decided = ", " + render.Ago(now, a.DecidedAt)
		}
		row("approval", fmt.Sprintf("%s – %s%s", render.Approval(a), render.Decision(a), decided))
		return
	}
	text := fmt.Sprintf("%s – open, %s", render.Approval(a), render.Expiry(now, a))
	if a.ID != contract.ApprovalStart {
		text = render.Line(a.ID) + ": " + text
	}
	row("approval", text)
	row("input", render.Line(string(a.Input)))
}

// moment is a time and how long ago it was, "" where it has not come.
func moment(now time.Time, at *time.Time) string {
	if at == nil || at.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (%s ago)", at.Local().Format(time.RFC3339), render.Age(now, *at))
}

// commandLine is what a command does on one line, "" where the gateway keeps it
// to itself.
func commandLine(command *contract.Command) string {
	text := ""
	switch {
	case command == nil:
	case command.Shell != nil:
		text = first(strings.Join(command.Shell.Argv, " "), command.Shell.Script)
	case command.Git != nil:
		text = "git " + command.Git.Verb
	case command.Agent != nil:
		text = command.Agent.Provider + ": " + command.Agent.Prompt
	case command.Image != nil:
		text = "image " + strings.Join(command.Image.Tags, " ")
	case command.Deploy != nil:
		text = "deploy " + command.Deploy.Kustomize
	}
	return render.Cut(render.Line(text), 200)
}
