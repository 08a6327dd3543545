package app

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/orchard9/rdev/libs/contract"
)

// Condition tells whether a step is to run: its condition, by the values of its build and
// its matrix, and by what became of the steps that it needs.
type Condition func(step contract.BuildStep, params map[string]string, needs map[string]contract.StepState) (bool, error)

// advance is how the steps of a build stand once those whose work is over have ended, by
// their names, and all have started that then can. It is a function of the build alone.
func advance(id string, build *contract.Build, over map[string]contract.Operation, stop bool, at time.Time, met Condition) (steps []contract.BuildStep, changed bool) {
	steps = slices.Clone(build.Steps)
	for i := range steps {
		if op, ok := over[steps[i].Name]; ok && steps[i].State == contract.StepRunning {
			endStep(&steps[i], op)
			changed = true
		}
	}
	// What was skipped may be all that another step waits for.
	for further := true; further; changed = changed || further {
		further = false
		settled, failed := standings(steps), build.FailFast && slices.ContainsFunc(steps, broke)
		for i := range steps {
			step := &steps[i]
			needs, ready := needsOf(*step, settled)
			switch {
			case step.State != contract.StepPending:
				continue
			case stop:
				finishStep(step, contract.StepCancelled, at)
			case failed:
				finishStep(step, contract.StepSkipped, at)
			case ready:
				startStep(step, contract.StepOperation(id, i), build.Params, needs, at, met)
			default:
				continue
			}
			further = true
		}
	}
	return steps, changed
}

// startStep starts a step whose needs have ended, or skips it.
func startStep(step *contract.BuildStep, operation string, params map[string]string, needs map[string]contract.StepState, at time.Time, met Condition) {
	wanted, err := met(*step, params, needs)
	switch {
	case err != nil:
		finishStep(step, contract.StepFailed, at)
		step.Failure = contract.NewFailure(contract.ClassUser, "its condition cannot be decided: %s", err)
	case !wanted:
		finishStep(step, contract.StepSkipped, at)
	default:
		step.State, step.StartedAt, step.Operation = contract.StepRunning, &at, operation
	}
}

func finishStep(step *contract.BuildStep, state contract.StepState, at time.Time) {
	step.State, step.FinishedAt = state, &at
}

// maxWords is how much of why a step failed its build tells, in bytes of JSON: each event of
// the build has it of each step. All of it is in the work of the step.
const maxWords = 500

// endStep ends a step as its work did.
func endStep(step *contract.BuildStep, op contract.Operation) {
	step.State, step.FinishedAt, step.ExitCode, step.Failure = contract.StepState(op.State), op.FinishedAt, op.ExitCode, nil
	if op.Failure != nil {
		failure := *op.Failure
		failure.Message = brief(failure.Message)
		step.Failure = &failure
	}
	if op.Result != nil && isCommit(op.Result.Commit) {
		step.Commit = op.Result.Commit
	}
}

// brief is the beginning of a text that takes no more than maxWords.
func brief(text string) string {
	room := maxWords
	for i, r := range text {
		size := utf8.RuneLen(r)
		if r < ' ' || r == utf8.RuneError || strings.ContainsRune("\"\\<>&\u2028\u2029", r) {
			size = len(`\u0000`)
		}
		if room -= size; room < 0 {
			return text[:i] + "…"
		}
	}
	return text
}

// broke tells whether a step failed and the build with it.
func broke(step contract.BuildStep) bool {
	return step.State == contract.StepFailed && !step.AllowFailure
}

// standings are where the steps of each name in the specification stand: of a matrix the
// one that went worst, or that has not ended.
func standings(steps []contract.BuildStep) map[string]contract.StepState {
	worst := []contract.StepState{
		contract.StepPending, contract.StepRunning, contract.StepFailed, contract.StepCancelled, contract.StepSkipped, contract.StepCompleted,
	}
	all := map[string]contract.StepState{}
	for _, step := range steps {
		state := step.State
		if state == contract.StepFailed && step.AllowFailure {
			state = contract.StepCompleted
		}
		if known, ok := all[step.Of]; !ok || slices.Index(worst, state) < slices.Index(worst, known) {
			all[step.Of] = state
		}
	}
	return all
}

// needsOf is how what a step needs has ended, or false while some of it has not.
func needsOf(step contract.BuildStep, settled map[string]contract.StepState) (needs map[string]contract.StepState, ready bool) {
	needs = make(map[string]contract.StepState, len(step.Needs))
	for _, name := range step.Needs {
		needs[name] = settled[name]
		if !needs[name].Ended() {
			return nil, false
		}
	}
	return needs, true
}

// verdict is the end of a build all of whose steps have ended.
func verdict(op contract.Operation, at time.Time) contract.Change {
	var failed, cancelled int
	var first contract.BuildStep
	for _, step := range op.Build.Steps {
		switch {
		case broke(step):
			if failed++; failed == 1 {
				first = step
			}
		case step.State == contract.StepCancelled:
			cancelled++
		}
	}
	switch {
	case op.CancelCause != nil:
		return contract.OperationFailed{Attempt: op.Attempt, Failure: op.CancelCause, At: at}
	case op.CancelRequested:
		return contract.OperationCancelled{Attempt: op.Attempt, At: at}
	case failed > 0:
		return contract.OperationFailed{Attempt: op.Attempt, Failure: failureOf(first, failed-1), At: at}
	case cancelled > 0:
		return contract.OperationCancelled{Attempt: op.Attempt, At: at}
	}
	return contract.OperationCompleted{Attempt: op.Attempt, At: at}
}

// failureOf is the failure of a build: that of its first step that failed.
func failureOf(step contract.BuildStep, more int) *contract.Failure {
	failure := contract.Failure{Class: contract.ClassUnknown, Message: "no reason is known"}
	if step.Failure != nil {
		failure = *step.Failure
	}
	failure.Message = fmt.Sprintf("step %s: %s", step.Name, failure.Message)
	switch {
	case more == 1:
		failure.Message += "; and another step failed"
	case more > 1:
		failure.Message += fmt.Sprintf("; and %d more steps failed", more)
	}
	return &failure
}

// again are the steps of a build once more: those that it had completed are taken from it,
// but for those called from and, whatever they are called, those that need a step that
// runs again.
func again(build *contract.Build, from func(step contract.BuildStep) bool) []contract.BuildStep {
	steps := slices.Clone(build.Steps)
	anew := map[string]bool{} // by the names of the specification
	for changed := true; changed; {
		changed = false
		for i := range steps {
			step := &steps[i]
			if step.State == contract.StepPending {
				continue
			}
			redo := step.State != contract.StepCompleted || from(*step) || slices.ContainsFunc(step.Needs, func(name string) bool { return anew[name] })
			if !redo {
				continue
			}
			anew[step.Of], changed = true, true
			step.State, step.Operation, step.Reused, step.StartedAt, step.FinishedAt = contract.StepPending, "", false, nil, nil
			step.ExitCode, step.Failure, step.Commit = nil, nil, ""
		}
	}
	for i := range steps {
		steps[i].Reused = steps[i].State == contract.StepCompleted
	}
	return steps
}
