package render

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// Codes of a terminal. A line that is too long for it is cut off while it does not wrap.
const (
	noWrap    = "\x1b[?7l"
	wrap      = "\x1b[?7h"
	clearDown = "\x1b[J"
)

// Board keeps the steps of a build at the bottom of a terminal, a line to each, below
// whatever else is written there. It is safe for concurrent use.
type Board struct {
	Terminal io.Writer
	Style    Style
	Rows     func() int // that the terminal has
	Now      func() time.Time

	mu    sync.Mutex
	steps []contract.BuildStep
	drawn int // lines
}

// Show draws the steps as they are now.
func (b *Board) Show(build *contract.Build) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if build != nil {
		b.steps = build.Steps
	}
	return b.draw(nil)
}

// Tick draws the steps again: time has passed.
func (b *Board) Tick() error { return b.Show(nil) }

// Write writes whole lines above the steps. It implements io.Writer.
func (b *Board) Write(lines []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.draw(lines); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// Clear takes the steps away, for good.
func (b *Board) Clear() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.steps = nil
	return b.draw(nil)
}

// draw replaces what is drawn by lines, and the steps below them, with one write: so
// nothing flickers.
func (b *Board) draw(above []byte) error {
	var out bytes.Buffer
	if b.drawn > 0 {
		fmt.Fprintf(&out, "\x1b[%dA%s", b.drawn, clearDown)
	}
	out.Write(above)
	lines := b.lines()
	if len(lines) > 0 {
		out.WriteString(noWrap + strings.Join(lines, "\n") + "\n" + wrap)
	}
	b.drawn = len(lines)
	_, err := b.Terminal.Write(out.Bytes())
	return err
}

// lines are the steps, or of too many the most important ones and how many there are.
func (b *Board) lines() []string {
	now, room := b.Now(), max(b.Rows()-2, 1) // the last line of the terminal, and one of output
	steps := b.steps
	var last []string
	if len(steps) > room {
		last = []string{b.Style.Dim("  " + Steps(&contract.Build{Steps: steps}))}
		steps = shown(steps, room-1)
	}
	width := 0
	for _, step := range steps {
		width = max(width, utf8.RuneCountInString(Line(step.Name)))
	}
	var lines []string
	for _, step := range steps {
		name, state, took := Line(step.Name), Line(string(step.State)), ""
		if step.StartedAt != nil && !step.Reused {
			took = StepTook(now, step)
			if !step.State.Ended() {
				took = Seconds(max(now.Sub(*step.StartedAt), 0).Truncate(time.Second).Seconds())
			}
		}
		line := b.Style.step(step.State, mark(step.State)+" "+name) + spaces(width-utf8.RuneCountInString(name)) + "  " +
			b.Style.step(step.State, state) + spaces(len(contract.StepCompleted)-len(state)) + "  " +
			spaces(len("10h10m")-len(took)) + b.Style.Dim(took) + "  " + StepNote(step)
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return append(lines, last...)
}

func spaces(n int) string { return strings.Repeat(" ", max(n, 0)) }
