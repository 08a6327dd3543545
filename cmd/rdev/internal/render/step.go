package render

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Step colors the state of a step of a build.
func (s Style) Step(state contract.StepState) string { return s.step(state, Line(string(state))) }

// step is text in the color of a state.
func (s Style) step(state contract.StepState, text string) string {
	switch state {
	case contract.StepCompleted:
		return s.Good(text)
	case contract.StepFailed:
		return s.Bad(text)
	case contract.StepRunning:
		return s.Mark(text)
	case contract.StepCancelled:
		return s.Warn(text)
	case contract.StepPending, contract.StepSkipped:
		return s.Dim(text)
	}
	return s.Plain(text)
}

// mark is the state of a step in a sign.
func mark(state contract.StepState) string {
	switch state {
	case contract.StepCompleted:
		return "✓"
	case contract.StepFailed:
		return "✗"
	case contract.StepRunning:
		return "▶"
	case contract.StepCancelled:
		return "⊘"
	case contract.StepSkipped:
		return "–"
	case contract.StepPending:
	}
	return "·"
}

// voices are colors that tell steps from each other; red is for what went wrong.
func voices() []string {
	return []string{cyan, yellow, "\x1b[35m", green, "\x1b[34m", "\x1b[96m", "\x1b[93m", "\x1b[95m", "\x1b[92m", "\x1b[94m"}
}

// Voice is text in the color of the step that stands at an index.
func (s Style) Voice(index int, text string) string {
	colors := voices()
	return s.paint(colors[max(index, 0)%len(colors)], text)
}

// StepTook is how long a step has run: "-" before it starts.
func StepTook(now time.Time, step contract.BuildStep) string {
	return Took(now, contract.Operation{StartedAt: step.StartedAt, FinishedAt: step.FinishedAt})
}

// StepNote is what is worth knowing of a step beside its state: why it failed, or that it
// is an earlier build's; "" for nothing.
func StepNote(step contract.BuildStep) string {
	switch {
	case step.Reused:
		return "from an earlier build"
	case step.Failure != nil && step.AllowFailure:
		return Failure(step.Failure) + " (allowed)"
	case step.Failure != nil:
		return Failure(step.Failure)
	}
	return ""
}

// StepNews is the state of a step on a line: failed: user: exit code 2 (1m3s).
func StepNews(now time.Time, step contract.BuildStep) string {
	text := Line(string(step.State))
	if note := StepNote(step); note != "" {
		text += ": " + note
	}
	if step.State.Ended() && step.StartedAt != nil && !step.Reused {
		text += " (" + StepTook(now, step) + ")"
	}
	return text
}

// Steps is how far a build is: 3 of 5 steps, 2 running.
func Steps(build *contract.Build) string {
	if build == nil {
		return ""
	}
	ended, running, failed := 0, 0, 0
	for _, step := range build.Steps {
		switch {
		case step.State == contract.StepRunning:
			running++
		case step.State.Ended():
			ended++
		}
		if step.State == contract.StepFailed {
			failed++
		}
	}
	facts := []string{fmt.Sprintf("%d of %s", ended, count(int64(len(build.Steps)), "step"))}
	if running > 0 {
		facts = append(facts, fmt.Sprintf("%d running", running))
	}
	if failed > 0 {
		facts = append(facts, fmt.Sprintf("%d failed", failed))
	}
	return strings.Join(facts, ", ")
}

// shown are the steps that there is room for, in so many lines: all of them, or those that
// run, and then those that failed.
func shown(steps []contract.BuildStep, room int) []contract.BuildStep {
	if len(steps) <= room {
		return steps
	}
	var some []contract.BuildStep
	for _, state := range []contract.StepState{contract.StepRunning, contract.StepFailed} {
		for _, step := range steps {
			if step.State == state && len(some) < room {
				some = append(some, step)
			}
		}
	}
	return slices.Clip(some)
}
