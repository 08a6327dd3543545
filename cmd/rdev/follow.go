package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	if err := f.note(f.style.Dim, f.queue.news(op, now)); err != nil {
		return err
	}
	return f.note(f.style.Warn, f.waits.news(op, now))
}

func (f *follower) note(paint func(string) string, lines []string) error {
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

// followToTheEnd follows an operation and ends as it does. The first Ctrl-C
// asks for its cancel.
func (c *cli) followToTheEnd(cmd *cobra.Command, api *client.Client, accepted client.Operation, interrupts interrupts) error {
	id, cancel := accepted.ID, api.Cancel
	if accepted.Work != nil {
		cancel = api.CancelWork
	}
	var canceler sync.WaitGroup
	defer canceler.Wait()
	defer interrupts.stop()
	canceler.Go(func() {
		select {
		case <-interrupts.ctx.Done():
			return
		case <-interrupts.first:
		}
		c.note(cmd, "cancelling; Ctrl-C again to leave")
		if _, err := cancel(interrupts.ctx, id); err != nil && interrupts.ctx.Err() == nil {
			c.note(cmd, "cancel: %v", err)
		}
	})
	follower := c.newFollower(cmd)
	if accepted.Work != nil && !c.json() {
		// Else a worker that is fast would keep it from being told that it was queued.
		if err := follower.tell(accepted.Operation); err != nil {
			return fmt.Errorf("write the output of operation %s: %w", id, err)
		}
	}
	for output, err := range api.Output(interrupts.ctx, id, 0, true) {
		if err != nil {
			return interrupts.explain(err, id)
		}
		if err := follower.write(output); err != nil {
			return fmt.Errorf("write the output of operation %s: %w", id, err)
		}
		if output.Kind == client.OutputEnd {
			return outcome(output.Operation.Operation)
		}
	}
	return interrupts.explain(errors.New("the output ended before the operation"), id)
}

// outcome is the end of an operation as the end of this program.
func outcome(op contract.Operation) error {
	switch op.State {
	case contract.Completed:
		return nil
	case contract.Cancelled:
		text := fmt.Sprintf("operation %s was cancelled", op.ID)
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
	text := fmt.Sprintf("operation %s %s", op.ID, op.State)
	if op.Failure != nil {
		text += ": " + render.Failure(op.Failure)
	}
	exit.err = errors.New(text)
	if op.Failure != nil && op.Failure.Retryable {
		exit.err = &hinted{exit.err, "It may go well when it is run again."}
	}
	return exit
}
