package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// follower writes what an operation puts out, stream by stream.
type follower struct {
	out, notes io.Writer
	style      render.Style
	asJSON     bool // one line for each piece instead
	agent      *render.Agent
	waits      waits
	queue      queueNews
}

func (c *cli) newFollower(cmd *cobra.Command) *follower {
	out, notes := cmd.OutOrStdout(), cmd.ErrOrStderr()
	style := c.style(notes)
	return &follower{
		out: out, notes: notes, style: style, asJSON: c.json(),
		agent: &render.Agent{Out: out, Notes: notes, Style: style},
	}
}

// piece is the form of a piece of output on a line of JSON.
type piece struct {
	Event string          `json:"event"` // stdout, stderr, agent, state, gap, end
	Seq   uint64          `json:"seq,omitempty"`
	Data  json.RawMessage `json:"data"`
}

func (f *follower) write(output client.Output) error {
	if f.asJSON {
		return writeJSONLine(f.out, piece{output.Kind, output.Seq, output.Raw})
	}
	var err error
	switch output.Kind {
	case contract.OutputStdout:
		_, err = f.out.Write(output.Data)
	case contract.OutputStderr:
		_, err = f.notes.Write(output.Data)
	case contract.OutputAgent:
		err = f.agent.Write(output.Agent)
	case client.OutputGap:
		_, err = fmt.Fprintln(f.notes, f.style.Warn(fmt.Sprintf(
			"rdev: output between %d and %d is not kept any more", output.Gap.From, output.Gap.To)))
	case client.OutputState:
		err = f.tell(output.Operation.Operation)
	case client.OutputEnd:
		if err = f.tell(output.Operation.Operation); err == nil {
			err = f.agent.Flush()
		}
	}
	return err
}

// tell says what is new of what the operation waits for, and of its way through the
// queue.
func (f *follower) tell(op contract.Operation) error {
	now := time.Now()
	if err := f.say(f.style.Dim, f.queue.news(op, now)); err != nil {
		return err
	}
	return f.say(f.style.Warn, f.waits.news(op, now))
}

// begin implements viewer. Without it a worker that is fast would keep work from being
// told that it was queued.
func (f *follower) begin(op contract.Operation) error {
	if op.Work == nil || f.asJSON {
		return nil
	}
	return f.tell(op)
}

// note implements viewer.
func (f *follower) note(text string) { fmt.Fprintln(f.notes, f.style.Dim("rdev: "+text)) }

// end implements viewer.
func (f *follower) end() {}

func (f *follower) say(paint func(string) string, lines []string) error {
	for _, line := range lines {
		if err := f.agent.Flush(); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(f.notes, paint("rdev: "+line)); err != nil {
			return err
		}
	}
	return nil
}

// viewer shows an operation that is followed.
type viewer interface {
	begin(op contract.Operation) error // as it was when it was asked for
	write(output client.Output) error
	note(text string) // said beside it, by whoever; safe for concurrent use
	end()
}

// course is how an operation is followed to its end.
type course struct {
	group  string // of the commands that tell more of it
	cancel func(ctx context.Context, id string) (client.Operation, error)
	output func(ctx context.Context) iter.Seq2[client.Output, error]
	viewer viewer
}

// follows is the course of commands and of work.
func (c *cli) follows(cmd *cobra.Command, api *client.Client, op client.Operation) course {
	cancel := api.Cancel
	if op.Work != nil {
		cancel = api.CancelWork
	}
	return course{"ops", cancel, func(ctx context.Context) iter.Seq2[client.Output, error] {
		return api.Output(ctx, op.ID, 0, true)
	}, c.newFollower(cmd)}
}

// followToTheEnd follows an operation and ends as it does. The first Ctrl-C
// asks for its cancel.
func followToTheEnd(op client.Operation, course course, interrupts interrupts) error {
	id, viewer := op.ID, course.viewer
	var canceler sync.WaitGroup
	defer canceler.Wait()
	defer interrupts.stop()
	defer viewer.end()
	canceler.Go(func() {
		select {
		case <-interrupts.ctx.Done():
			return
		case <-interrupts.first:
		}
		viewer.note("cancelling; Ctrl-C again to leave")
		if _, err := course.cancel(interrupts.ctx, id); err != nil && interrupts.ctx.Err() == nil {
			viewer.note("cancel: " + err.Error())
		}
	})
	if err := viewer.begin(op.Operation); err != nil {
		return fmt.Errorf("write the output of operation %s: %w", id, err)
	}
	for output, err := range course.output(interrupts.ctx) {
		if err != nil {
			return interrupts.explain(err, course.group, id)
		}
		if err := viewer.write(output); err != nil {
			return fmt.Errorf("write the output of operation %s: %w", id, err)
		}
		if output.Kind == client.OutputEnd {
			return outcome(output.Operation.Operation)
		}
	}
	return interrupts.explain(errors.New("the output ended before the operation"), course.group, id)
}

// outcome is the end of an operation as the end of this program.
func outcome(op contract.Operation) error {
	what := "operation"
	if op.Build != nil {
		what = "build"
	}
	switch op.State {
	case contract.Completed:
		return nil
	case contract.Cancelled:
		text := fmt.Sprintf("%s %s was cancelled", what, op.ID)
		if op.CancelCause != nil {
			text += ": " + render.Failure(op.CancelCause)
		}
		return &exitError{code: exitInterrupted, err: errors.New(text)}
	}
	exit := &exitError{code: exitFailure}
	if op.ExitCode != nil && *op.ExitCode > 0 && *op.ExitCode < 256 {
		exit.code = *op.ExitCode
	}
	// A command that says no has said it itself; anything else needs words.
	quiet := op.ExitCode != nil && *op.ExitCode != 0 && op.Failure != nil && op.Failure.Class == contract.ClassUser
	if quiet {
		return exit
	}
	text := fmt.Sprintf("%s %s %s", what, op.ID, op.State)
	if op.Failure != nil {
		text += ": " + render.FailureOf(&op)
	}
	exit.err = errors.New(text)
	switch hint := repairHint(op); {
	case hint != "":
		exit.err = &hinted{exit.err, hint}
	case op.Build != nil:
		exit.err = &hinted{exit.err, buildHint(op)}
	case op.Failure != nil && op.Failure.Retryable:
		exit.err = &hinted{exit.err, "It may go well when it is run again."}
	}
	return exit
}
