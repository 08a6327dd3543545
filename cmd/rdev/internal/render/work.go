package render

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Delayed tells whether work waits for its time.
func Delayed(now time.Time, op contract.Operation) bool {
	return op.State == contract.Pending && op.Work != nil && op.Work.RunAt != nil && op.Work.RunAt.After(now)
}

// Due is when something may begin: in 10s, or now.
func Due(now time.Time, at *time.Time) string {
	if at == nil {
		return "now"
	}
	left := at.Sub(now).Round(time.Second) // 10s, and not 9s a moment later
	if left > time.Minute {
		left = left.Round(time.Minute)
	}
	if left <= 0 {
		return "now"
	}
	return "in " + Age(now.Add(left), now)
}

// Reason is Failure of one that may be nil.
func Reason(failure *contract.Failure) string {
	if failure == nil {
		return "nobody knows why"
	}
	return Failure(failure)
}

// Repository is a repository with its ref: URL@REF.
func Repository(repository *contract.Repository) string {
	if repository == nil {
		return ""
	}
	text := Line(repository.URL)
	if repository.Ref != "" {
		text += "@" + Line(repository.Ref)
	}
	return text
}

// Labels are labels on a line, in the order of their names.
func Labels(labels map[string]string) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		words = append(words, Line(name+"="+labels[name]))
	}
	return strings.Join(words, ", ")
}

// Tries are all tries at work: those that failed, and the one that runs or ended it.
func Tries(op contract.Operation) []contract.Try {
	if op.Work == nil {
		return nil
	}
	tries := slices.Clone(op.Work.Tries)
	if op.AttemptAt == nil {
		return tries
	}
	last := contract.Try{
		Attempt: op.Attempt, Worker: op.Worker(), Executor: op.Executor, StartedAt: *op.AttemptAt, ExitCode: op.ExitCode, Failure: op.Failure,
	}
	if op.FinishedAt != nil {
		last.FinishedAt = *op.FinishedAt
	}
	return append(tries, last)
}

// Try is a try on a row: its number, worker, start, time taken, exit code, failure.
func Try(now time.Time, number int, try contract.Try) []string {
	about := contract.Operation{StartedAt: &try.StartedAt, ExitCode: try.ExitCode}
	if !try.FinishedAt.IsZero() {
		about.FinishedAt = &try.FinishedAt
	}
	failure := "-"
	if try.Failure != nil {
		failure = Failure(try.Failure)
	}
	return []string{
		strconv.Itoa(number), Line(first(try.Worker, "-")), Ago(now, &try.StartedAt), Took(now, about), Exit(about), failure,
	}
}

// Worker colors the state of a worker.
func (s Style) Worker(state contract.WorkerState) string {
	text := Line(string(state))
	switch state {
	case contract.WorkerReady:
		return s.Good(text)
	case contract.WorkerDraining:
		return s.Warn(text)
	case contract.WorkerGone:
		return s.Dim(text)
	}
	return s.Plain(text)
}

// Seconds is a time in seconds as people say it: 250ms, 1.5s, 2m5s.
func Seconds(seconds float64) string {
	took := time.Duration(seconds * float64(time.Second))
	switch {
	case took < time.Second:
		return took.Round(time.Millisecond).String()
	case took < time.Minute:
		return took.Round(100 * time.Millisecond).String()
	}
	return Span(contract.Duration(took.Round(time.Second)))
}

// retrying is what is worth knowing of a try that failed and is followed by another.
func retrying(event Event) string {
	op := event.Operation
	if op.Work == nil || len(op.Work.Tries) == 0 {
		return join(op.Kind)
	}
	last := op.Work.Tries[len(op.Work.Tries)-1]
	facts := []string{op.Kind, attempt(last.Attempt, last.Worker)}
	if last.ExitCode != nil {
		facts = append(facts, fmt.Sprintf("exit %d", *last.ExitCode))
	}
	if last.Failure != nil {
		facts = append(facts, Failure(last.Failure))
	}
	return join(append(facts, "again "+Due(event.Time, op.Work.RunAt))...)
}

// attempt is the number of an attempt and where it ran, for work.
func attempt(number int, worker string) string {
	text := fmt.Sprintf("attempt %d", number)
	if worker != "" {
		text += " on " + worker
	}
	return text
}
