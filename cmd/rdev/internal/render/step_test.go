package render_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestHowFarABuildIs(t *testing.T) {
	of := func(states ...contract.StepState) *contract.Build {
		build := &contract.Build{}
		for _, state := range states {
			build.Steps = append(build.Steps, contract.BuildStep{State: state})
		}
		return build
	}
	const (
		pending, running, completed = contract.StepPending, contract.StepRunning, contract.StepCompleted
		failed, skipped, cancelled  = contract.StepFailed, contract.StepSkipped, contract.StepCancelled
	)
	for want, build := range map[string]*contract.Build{
		"":                                  nil,
		"0 of 1 step":                       of(pending),
		"3 of 6 steps, 2 running":           of(completed, skipped, cancelled, running, running, pending),
		"2 of 3 steps, 1 running, 1 failed": of(completed, failed, running),
		"1 of 1 step":                       of(completed),
		"2 of 2 steps, 2 failed":            of(failed, failed),
	} {
		if got := render.Steps(build); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	event := render.Event{Type: contract.TypeStepped, Operation: &contract.Operation{Kind: contract.KindBuild, Build: of(completed, running, pending)}}
	if diff := cmp.Diff("build.run · 1 of 3 steps, 1 running", render.Details(event)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatIsNewOfAStep(t *testing.T) {
	allowed := stepAs("a", contract.StepFailed)
	allowed.AllowFailure = true
	reused := stepAs("a", contract.StepCompleted)
	reused.Reused = true
	undecided := contract.BuildStep{State: contract.StepFailed, FinishedAt: new(began), Failure: contract.NewFailure(contract.ClassUser, "its condition\x1b[2J\nis odd")}
	for want, step := range map[string]contract.BuildStep{
		"running":                                    stepAs("a", contract.StepRunning),
		"completed (1.5s)":                           stepAs("a", contract.StepCompleted),
		"failed: user: exit code 2 (1m3s)":           stepAs("a", contract.StepFailed),
		"failed: user: exit code 2 (allowed) (1m3s)": allowed,
		"completed: from an earlier build":           reused,
		"skipped":                                    stepAs("a", contract.StepSkipped),
		"cancelled (1.5s)":                           stepAs("a", contract.StepCancelled),
		"failed: user: its condition [2J is odd":     undecided,
	} {
		if got := render.StepNews(began.Add(time.Minute), step); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestStepsHaveColorsOfTheirOwn(t *testing.T) {
	style, seen := render.Style{Color: true}, map[string]int{}
	for i := range 20 {
		seen[style.Voice(i, "a")]++
	}
	if len(seen) != 10 || style.Voice(3, "a") != style.Voice(13, "a") || style.Voice(-1, "a") != style.Voice(0, "a") {
		t.Errorf("the colors of 20 steps are %v", seen)
	}
	if seen[style.Bad("a")] > 0 {
		t.Error("a step looks like a failure")
	}
	if plain := (render.Style{}).Voice(0, "a"); plain != "a" {
		t.Errorf("without colors it is %q", plain)
	}
	states := map[string]bool{}
	for _, state := range []contract.StepState{contract.StepPending, contract.StepRunning, contract.StepCompleted, contract.StepFailed, contract.StepCancelled, "new"} {
		states[style.Step(state)[:5]] = true
	}
	if len(states) != 6 {
		t.Errorf("the colors of states are %v", states)
	}
}

func TestSizesAreSaidInTheirUnits(t *testing.T) {
	for size, want := range map[int64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 999 << 10: "999.0 KiB", 1023 << 10: "1.0 MiB", 4 << 20: "4.0 MiB",
		2 << 30: "2.0 GiB", 5000 << 30: "5000.0 GiB",
	} {
		if got := render.Size(size); got != want {
			t.Errorf("%d is %q, want %q", size, got, want)
		}
	}
}
