package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

// boardTick is how often the times on a board are brought up to date.
const boardTick = time.Second

// buildFollower writes what the steps of a build put out, and tells how they stand: on a
// board at the bottom of a terminal, or else a line for each change.
type buildFollower struct {
	out, notes io.Writer
	style      render.Style // of notes
	prefixes   render.Style // of out
	asJSON     bool         // one line for each piece instead
	only       string       // whose output is shown, a step or a matrix; "" for all
	board      *render.Board
	screen     bool // what steps say comes above the board

	build  contract.Build                // as it was asked for
	told   map[string]contract.StepState // by step
	voices map[string]*voice
	stop   func() // of what keeps the times of the board
}

// followsBuild is the course of builds; step is whose output alone is shown.
func (c *cli) followsBuild(step string) func(*cobra.Command, *client.Client, client.Operation) course {
	return func(cmd *cobra.Command, api *client.Client, op client.Operation) course {
		return course{"builds", api.CancelBuild, func(ctx context.Context) iter.Seq2[client.Output, error] {
			return api.BuildOutput(ctx, op.ID, step, 0, true)
		}, c.newBuildFollower(cmd, step)}
	}
}

func (c *cli) newBuildFollower(cmd *cobra.Command, step string) *buildFollower {
	out, notes := cmd.OutOrStdout(), cmd.ErrOrStderr()
	f := &buildFollower{
		out: out, notes: notes, style: c.style(notes), prefixes: c.style(out), asJSON: c.json(), only: step,
		told: map[string]contract.StepState{}, voices: map[string]*voice{}, stop: func() {},
	}
	if !f.asJSON && f.style.Color {
		f.board = &render.Board{Terminal: notes, Style: f.style, Rows: rowsOf(notes), Now: time.Now}
		f.screen = isTerminal(out)
	}
	return f
}

// rowsOf tells how high a terminal is.
func rowsOf(w io.Writer) func() int {
	return func() int {
		if file, ok := w.(*os.File); ok {
			if _, rows, err := term.GetSize(int(file.Fd())); err == nil && rows > 0 {
				return rows
			}
		}
		return 24
	}
}

// begin implements viewer.
func (f *buildFollower) begin(op contract.Operation) error {
	if op.Build == nil {
		return nil
	}
	f.build = *op.Build
	if f.asJSON || f.board == nil {
		return nil
	}
	f.stop = f.keepTime()
	return f.board.Show(op.Build)
}

// keepTime keeps the board up to date until the function that it returns is called.
func (f *buildFollower) keepTime() func() {
	done := make(chan struct{})
	var keeper sync.WaitGroup
	keeper.Go(func() {
		tick := time.NewTicker(boardTick)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if f.board.Tick() != nil {
					return // whoever writes next is told
				}
			}
		}
	})
	return sync.OnceFunc(func() { close(done); keeper.Wait() })
}

// write implements viewer.
func (f *buildFollower) write(output client.Output) error {
	if f.asJSON {
		return writeJSONLine(f.out, piece{output.Kind, output.Seq, output.Raw})
	}
	switch output.Kind {
	case client.OutputState:
		return f.tell(output.Operation.Operation)
	case client.OutputEnd:
		return f.sumUp(output.Operation.Operation)
	}
	return f.voice(output.Step).write(output)
}

// tell says how the steps stand that stand otherwise than before.
func (f *buildFollower) tell(op contract.Operation) error {
	if op.Build == nil {
		return nil
	}
	now := time.Now()
	for _, step := range op.Build.Steps {
		if step.State == contract.StepPending || f.told[step.Name] == step.State {
			continue
		}
		f.told[step.Name] = step.State
		if speaks, ok := f.voices[step.Name]; ok && step.State.Ended() {
			if err := speaks.flush(); err != nil {
				return err
			}
		}
		if f.board == nil {
			f.say(f.style.Plain, render.Line(step.Name)+": "+render.StepNews(now, step))
		}
		if f.held(step) {
			f.say(f.style.Warn, fmt.Sprintf("%s: waiting for approval: %s (or deny)", render.Line(step.Name), decideCommand("approve", step.Operation, contract.ApprovalStart)))
		}
	}
	if f.board == nil {
		return nil
	}
	return f.board.Show(op.Build)
}

// sumUp ends what is shown with a table of the steps. Where it is all that is told of
// them it is enough.
func (f *buildFollower) sumUp(op contract.Operation) error {
	if len(f.told) > 0 {
		if err := f.tell(op); err != nil {
			return err
		}
	}
	f.stop()
	if err := f.flush(); err != nil {
		return err
	}
	if op.Build == nil {
		return nil
	}
	if f.board != nil {
		if err := f.board.Clear(); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(f.notes); err != nil {
		return err
	}
	now := time.Now()
	var rows [][]string
	for _, step := range op.Build.Steps {
		rows = append(rows, []string{
			render.Line(step.Name), f.style.Step(step.State), render.StepTook(now, step), first(render.StepNote(step), "-"),
		})
	}
	return render.Table(f.notes, []string{"STEP", f.style.Plain("STATE"), "TOOK", "WHY"}, rows)
}

// held tells whether a step that has come to its turn cannot begin before it is approved.
// One that had come to it before it was followed may have been.
func (f *buildFollower) held(step contract.BuildStep) bool {
	asked, known := f.build.Step(step.Name)
	return known && step.State == contract.StepRunning && asked.State == contract.StepPending && asked.Command.Approval == contract.ApprovalRequired
}

// note implements viewer.
func (f *buildFollower) note(text string) { f.say(f.style.Dim, text) }

// say writes a line above the board, or where notes go.
func (f *buildFollower) say(paint func(string) string, text string) {
	line := paint("rdev: "+text) + "\n"
	if f.board != nil {
		_, _ = f.board.Write([]byte(line))
		return
	}
	_, _ = io.WriteString(f.notes, line)
}

// flush ends the lines that have no end.
func (f *buildFollower) flush() error {
	for _, step := range slices.Sorted(maps.Keys(f.voices)) {
		if err := f.voices[step].flush(); err != nil {
			return err
		}
	}
	return nil
}

// end implements viewer.
func (f *buildFollower) end() {
	f.stop()
	_ = f.flush() // where all went well there is nothing
}
