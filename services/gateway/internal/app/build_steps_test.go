package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// met is what conditions in these tests mean: "" is that all needs completed, and the
// others are what they are called.
func met(step contract.BuildStep, _ map[string]string, needs map[string]contract.StepState) (bool, error) {
	all, failed := true, false
	for _, state := range needs {
		all = all && state == contract.StepCompleted
		failed = failed || state == contract.StepFailed
	}
	switch step.If {
	case "":
		return all, nil
	case "always()":
		return true, nil
	case "failure()":
		return failed, nil
	}
	return false, errors.New("no condition")
}

// stepsOf reads steps such as "test", "image:test,lint" or "undo:image?failure()"; of a matrix
// "test@1", and "!lint" is one that may fail.
func stepsOf(text string) []contract.BuildStep {
	var steps []contract.BuildStep
	for word := range strings.FieldsSeq(text) {
		word, allow := strings.CutPrefix(word, "!")
		word, condition, _ := strings.Cut(word, "?")
		name, needs, some := strings.Cut(word, ":")
		of, _, _ := strings.Cut(name, "@")
		step := contract.BuildStep{Name: name, Of: of, If: condition, AllowFailure: allow, State: contract.StepPending}
		if some {
			step.Needs = strings.Split(needs, ",")
		}
		steps = append(steps, step)
	}
	return steps
}

func standing(steps []contract.BuildStep) string {
	var all []string
	for _, step := range steps {
		all = append(all, step.Name+"="+string(step.State))
	}
	return strings.Join(all, " ")
}

func ended(state contract.State) contract.Operation {
	at := time.Now()
	op := contract.Operation{State: state, FinishedAt: &at}
	if state == contract.Failed {
		code := 2
		op.ExitCode, op.Failure = &code, contract.NewFailure(contract.ClassUser, "exit code 2")
	}
	return op
}

func TestStepsRunOnceWhatTheyNeedHasEnded(t *testing.T) {
	for _, c := range []struct {
		name, steps string
		failFast    bool
		// ends are those of one look after the other: "test=completed lint=failed", or "stop".
		ends []string
		want string
	}{
		{name: "those without needs at once", steps: "test lint image:test,lint", want: "test=running lint=running image=pending"},
		{name: "some needs are not all", steps: "test lint image:test,lint", ends: []string{"test=completed"}, want: "test=completed lint=running image=pending"},
		{name: "all needs", steps: "test lint image:test,lint", ends: []string{"test=completed lint=completed"}, want: "test=completed lint=completed image=running"},
		{name: "written before what it needs", steps: "image:test test", ends: []string{"test=completed"}, want: "image=running test=completed"},
		{name: "a failure skips all behind it", steps: "test image:test deploy:image lint", ends: []string{"test=failed"}, want: "test=failed image=skipped deploy=skipped lint=running"},
		{name: "behind it, written before it", steps: "deploy:image image:test test", ends: []string{"test=failed"}, want: "deploy=skipped image=skipped test=failed"},
		{name: "a failure that is allowed", steps: "!test image:test", ends: []string{"test=failed"}, want: "test=failed image=running"},
		{name: "one that wants a failure", steps: "test undo:test?failure()", ends: []string{"test=failed"}, want: "test=failed undo=running"},
		{name: "one that wants a failure and gets none", steps: "test undo:test?failure()", ends: []string{"test=completed"}, want: "test=completed undo=skipped"},
		{name: "one that runs always", steps: "test image:test clean:image?always()", ends: []string{"test=failed"}, want: "test=failed image=skipped clean=running"},
		{name: "a condition that cannot be decided", steps: "test odd:test?what last:odd", ends: []string{"test=completed"}, want: "test=completed odd=failed last=skipped"},
		{name: "all of a matrix", steps: "test@1 test@2 image:test", ends: []string{"test@1=completed"}, want: "test@1=completed test@2=running image=pending"},
		{name: "one of a matrix failed", steps: "test@1 test@2 image:test", ends: []string{"test@1=failed test@2=completed"}, want: "test@1=failed test@2=completed image=skipped"},
		{name: "one failed, one runs", steps: "test@1 test@2 image:test", ends: []string{"test@1=failed"}, want: "test@1=failed test@2=running image=pending"},
		{name: "all at once where it is to fail fast", steps: "test lint image:lint", failFast: true, ends: []string{"test=failed"}, want: "test=failed lint=running image=skipped"},
		{name: "one that was cancelled by itself", steps: "test image:test", ends: []string{"test=cancelled"}, want: "test=cancelled image=skipped"},
		{name: "stopped", steps: "test image:test clean:image?always()", ends: []string{"stop"}, want: "test=running image=cancelled clean=cancelled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := &contract.Build{FailFast: c.failFast, Steps: stepsOf(c.steps)}
			at := time.Now()
			for _, ends := range append([]string{""}, c.ends...) {
				over := map[string]contract.Operation{}
				for end := range strings.FieldsSeq(ends) {
					if name, state, ok := strings.Cut(end, "="); ok {
						over[name] = ended(contract.State(state))
					}
				}
				before := standing(build.Steps)
				steps, changed := advance("b", build, over, ends == "stop", at, met)
				if changed != (standing(steps) != before) {
					t.Errorf("changed is %t from %q to %q", changed, before, standing(steps))
				}
				build.Steps = steps
			}
			if got := standing(build.Steps); got != c.want {
				t.Errorf("they are %q, want %q", got, c.want)
			}
			for i, step := range build.Steps {
				if (step.Operation != "") != (step.StartedAt != nil) || step.State == contract.StepRunning && step.Operation != contract.StepOperation("b", i) {
					t.Errorf("step %+v", step)
				}
				if step.State.Ended() != (step.FinishedAt != nil) {
					t.Errorf("step %+v", step)
				}
			}
		})
	}
}

// randomSteps have needs that make no circle.
func randomSteps(r *rand.Rand) []contract.BuildStep {
	steps := make([]contract.BuildStep, 1+r.IntN(8))
	for i := range steps {
		of := fmt.Sprintf("s%d", i)
		steps[i] = contract.BuildStep{Name: of, Of: of, State: contract.StepPending, AllowFailure: r.IntN(5) == 0, If: []string{"", "", "always()", "failure()"}[r.IntN(4)]}
		for j := range i {
			if r.IntN(3) == 0 {
				steps[i].Needs = append(steps[i].Needs, steps[j].Of)
			}
		}
	}
	r.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
	return steps
}

func TestWhateverBecomesOfItsStepsABuildEnds(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 1))
		build := &contract.Build{FailFast: r.IntN(4) == 0, Steps: randomSteps(r)}
		stop, at := false, time.Now()
		for look := 0; !build.Ended(); look++ {
			if look > 100 {
				t.Fatalf("seed %d: it does not end: %s", seed, standing(build.Steps))
			}
			over := map[string]contract.Operation{}
			for _, step := range build.Steps {
				if step.State == contract.StepRunning && r.IntN(2) == 0 {
					over[step.Name] = ended([]contract.State{contract.Completed, contract.Completed, contract.Failed, contract.Cancelled}[r.IntN(4)])
				}
			}
			before := build.Steps
			stop = stop || r.IntN(20) == 0
			build.Steps, _ = advance("b", build, over, stop, at, met)
			for i, step := range build.Steps {
				was := before[i].State
				if was.Ended() && step.State != was {
					t.Fatalf("seed %d: %s went from %s to %s", seed, step.Name, was, step.State)
				}
				if was == contract.StepRunning && step.State.Ended() && over[step.Name].ID == "" && over[step.Name].State == "" {
					t.Fatalf("seed %d: %s ended by itself", seed, step.Name)
				}
				if was != contract.StepPending || step.State != contract.StepRunning {
					continue
				}
				for _, need := range step.Needs {
					if needed, _ := build.Step(need); !needed.State.Ended() {
						t.Fatalf("seed %d: %s runs while %s is %s", seed, step.Name, need, needed.State)
					}
				}
				if stop {
					t.Fatalf("seed %d: %s starts in a build that was stopped", seed, step.Name)
				}
			}
			again, changed := advance("b", build, nil, stop, at, met)
			if changed || standing(again) != standing(build.Steps) {
				t.Fatalf("seed %d: a second look changed %q to %q", seed, standing(build.Steps), standing(again))
			}
		}
	}
}

func TestTheVerdictOfABuild(t *testing.T) {
	timeout := contract.NewFailure(contract.ClassTimeout, "too long")
	for _, c := range []struct {
		name  string
		ends  string // of steps "a !b c"
		op    contract.Operation
		state contract.State
		words string
	}{
		{name: "all well", ends: "completed completed completed", state: contract.Completed},
		{name: "skipped is well", ends: "completed completed skipped", state: contract.Completed},
		{name: "allowed", ends: "completed failed completed", state: contract.Completed},
		{name: "failed", ends: "failed completed cancelled", state: contract.Failed, words: "step a: exit code 2"},
		{name: "two failed", ends: "failed failed failed", state: contract.Failed, words: "step a: exit code 2; and another step failed"},
		{name: "one was cancelled", ends: "completed completed cancelled", state: contract.Cancelled},
		{name: "it was cancelled", ends: "failed completed cancelled", op: contract.Operation{CancelRequested: true}, state: contract.Cancelled},
		{name: "its time was up", ends: "completed completed cancelled", op: contract.Operation{CancelRequested: true, CancelCause: timeout}, state: contract.Failed, words: "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			op := c.op
			op.Kind, op.State, op.Attempt, op.Rev = contract.KindBuild, contract.Running, 1, 2
			op.Build = &contract.Build{Steps: stepsOf("a !b c")}
			for i, state := range strings.Fields(c.ends) {
				op.Build.Steps[i].State = contract.StepState(state)
				if state == "failed" {
					op.Build.Steps[i].Failure = ended(contract.Failed).Failure
				}
			}
			end, err := contract.Next(&op, verdict(op, time.Now()))
			if err != nil || end.State != c.state {
				t.Fatalf("it is %s, %v; want %s", end.State, err, c.state)
			}
			if words := end.Failure; (words == nil) != (c.words == "") || words != nil && words.Message != c.words {
				t.Errorf("it failed with %+v, want %q", words, c.words)
			}
		})
	}
}

func TestABuildOnceMoreRunsWhatDidNotComplete(t *testing.T) {
	for _, c := range []struct {
		name, ends, from string // of "test@1 test@2 lint image:test deploy:image"
		all              bool
		anew             string
	}{
		{name: "what failed and what needs it", ends: "failed completed completed skipped skipped", anew: "test@1 image deploy"},
		{name: "the last one", ends: "completed completed completed completed failed", anew: "deploy"},
		{name: "from a step on", ends: "completed completed completed completed completed", from: "image", anew: "image deploy"},
		{name: "from one of a matrix on", ends: "completed completed completed completed completed", from: "test@2", anew: "test@2 image deploy"},
		{name: "from all of a matrix on", ends: "completed completed completed completed completed", from: "test", anew: "test@1 test@2 image deploy"},
		{name: "all", ends: "completed completed failed completed completed", all: true, anew: "test@1 test@2 lint image deploy"},
		{name: "nothing", ends: "completed completed completed completed completed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			build := &contract.Build{Steps: stepsOf("test@1 test@2 lint image:test deploy:image")}
			for i, state := range strings.Fields(c.ends) {
				at := time.Now()
				step := &build.Steps[i]
				step.State, step.FinishedAt, step.Operation = contract.StepState(state), &at, contract.StepOperation("old", i)
			}
			var anew []string
			steps := again(build, func(s contract.BuildStep) bool { return c.all || s.Name == c.from || s.Of == c.from })
			for i, step := range steps {
				if step.Reused != (step.State == contract.StepCompleted) || step.Reused != (step.Operation == contract.StepOperation("old", i)) {
					t.Errorf("step %+v", step)
				}
				if !step.Reused {
					anew = append(anew, step.Name)
				}
			}
			if !slices.Equal(anew, strings.Fields(c.anew)) {
				t.Errorf("%v run again, want %q", anew, c.anew)
			}
		})
	}
}

func TestAllStepsOfABuildSeeOneCommit(t *testing.T) {
	shop, docs := contract.Repository{URL: "https://a/shop", Ref: "main"}, contract.Repository{URL: "https://a/docs"}
	fixed := contract.Repository{URL: "https://a/shop", Ref: strings.Repeat("ab", 20)}
	build := contract.Build{Steps: stepsOf("test lint:test docs pages alone none old old2")}
	for i, of := range []*contract.Repository{&shop, &shop, &docs, &docs, {URL: "https://a/alone"}, nil, &fixed, &fixed} {
		build.Steps[i].Repository = of
	}
	build.Steps[0].Command.Env, build.Steps[0].Command.Credentials = map[string]string{"A": "b"}, []string{"TOKEN"}
	build = Pinned(build)
	var needs []string
	for _, step := range build.Steps {
		needs = append(needs, step.Name+":"+strings.Join(step.Needs, ","))
	}
	if got := strings.Join(needs, " "); got != "@checkout: @checkout-2: test:@checkout lint:@checkout,test docs:@checkout-2 pages:@checkout-2 alone: none: old: old2:" {
		t.Fatalf("the steps are %s", got)
	}
	first := build.Steps[0].Command
	if first.Git.URL != shop.URL || first.Git.Ref != "main" || first.Env["A"] != "b" || first.Credentials[0] != "TOKEN" {
		t.Errorf("the first step does %+v", first)
	}
	commit := strings.Repeat("c0ffee00", 5)
	op := ended(contract.Completed)
	op.Result = &contract.Result{Commit: commit}
	build.Steps, _ = advance("b", &build, nil, false, time.Now(), met)
	build.Steps, _ = advance("b", &build, map[string]contract.Operation{"@checkout": op}, false, time.Now(), met)
	for name, want := range map[string]*contract.Repository{
		"test": {URL: shop.URL, Ref: commit}, "lint": {URL: shop.URL, Ref: commit}, "docs": &docs, "alone": {URL: "https://a/alone"}, "none": nil, "old": &fixed,
	} {
		step, _ := build.Step(name)
		got := workOf(contract.Operation{ID: "b", Build: &build}, *step).Work.Repository
		if (got == nil) != (want == nil) || got != nil && *got != *want {
			t.Errorf("%s is of %+v, want %+v", name, got, want)
		}
	}
}

// The log takes whatever becomes of the largest build that is accepted.
func TestAllThatBecomesOfABuildFitsIntoAnEvent(t *testing.T) {
	const maxEvent = 512 << 10
	build := contract.Build{Timeout: contract.Duration(time.Hour)}
	for i := range contract.MaxBuildSteps { // and each two of them have one that tells what they are of
		of := contract.Repository{URL: fmt.Sprintf("https://a/%d", i/2), Ref: "main"}
		build.Steps = append(build.Steps, contract.BuildStep{
			Name: fmt.Sprintf("s%d", i), Of: fmt.Sprintf("s%d", i), State: contract.StepPending, Repository: &of,
		})
	}
	build = Pinned(build)
	op := contract.Operation{ID: strings.Repeat("a", 36), Kind: contract.KindBuild, Project: "shop", Build: &build, Actor: "key:" + strings.Repeat("k", 200)}
	request, err := encodeRequest(op)
	if err != nil {
		t.Fatal(err)
	}
	build.Steps[0].Command.Shell = &contract.Shell{Script: strings.Repeat("x", maxRequest-len(request))}
	log := func(prev *contract.Operation, change contract.Change) {
		t.Helper()
		next, err := contract.Next(prev, change)
		if err != nil {
			t.Fatal(err)
		}
		body, err := json.Marshal(next)
		if err != nil || len(body) > maxEvent {
			t.Fatalf("%s takes %d bytes, %v", change.Type(), len(body), err)
		}
		op = next
	}
	log(nil, contract.OperationPending{Operation: op})
	for !op.Build.Ended() {
		over := map[string]contract.Operation{}
		for _, step := range op.Build.Steps {
			if step.State != contract.StepRunning {
				continue
			}
			work := ended(contract.Completed)
			work.Result = &contract.Result{Commit: strings.Repeat("ab", 32)}
			if step.Of[0] != '@' {
				work = ended(contract.Failed)
				work.Failure.Message, work.Result = strings.Repeat("<", 8<<10), &contract.Result{Commit: strings.Repeat("<", 4<<10)}
			}
			over[step.Name] = work
		}
		steps, _ := advance(op.ID, op.Build, over, false, time.Now(), met)
		log(&op, contract.OperationStepped{Steps: steps, At: time.Now()})
	}
	if got, _ := op.Build.Step("s1"); got.State != contract.StepFailed || !strings.HasPrefix(got.Failure.Message, "<<") {
		t.Errorf("in the end a step is %s, %+v", got.State, got.Failure)
	}
	log(&op, verdict(op, time.Now()))
}

func TestOfALongFailureABuildHasTheBeginning(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "",
		"exit code 2":                         "exit code 2",
		strings.Repeat("a", maxWords):         strings.Repeat("a", maxWords),
		strings.Repeat("a", maxWords+1):       strings.Repeat("a", maxWords) + "…",
		strings.Repeat("ü", maxWords):         strings.Repeat("ü", maxWords/2) + "…",
		strings.Repeat("\n", maxWords):        strings.Repeat("\n", maxWords/6) + "…",
		strings.Repeat("x", maxWords-1) + "<": strings.Repeat("x", maxWords-1) + "…",
	} {
		if got := brief(text); got != want {
			t.Errorf("of %.20q… there is %q, want %q", text, got, want)
		}
	}
}
