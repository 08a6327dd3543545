package gateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// build posts a build of a project whose specification is YAML.
func (w *world) build(project, spec string) operation {
	w.t.Helper()
	body, err := json.Marshal(map[string]string{"project": project, "spec": spec})
	if err != nil {
		w.t.Fatal(err)
	}
	return w.send(call{path: "/builds", body: string(body)}).operation(w.t, http.StatusAccepted)
}

// buildEnds waits for the end of a build.
func (w *world) buildEnds(id string) contract.Operation {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), testkit.Patience)
	defer cancel()
	op, err := w.conn.Load(ctx, id)
	if err == nil {
		op, err = w.conn.AwaitEnd(ctx, op)
	}
	if err != nil || !op.State.Ended() {
		w.t.Fatalf("build %s is %s, %v: %s", id, op.State, err, stepsAs(op))
	}
	return op
}

func stepsAs(op contract.Operation) string {
	if op.Build == nil {
		return "no build"
	}
	var all []string
	for _, step := range op.Build.Steps {
		all = append(all, step.Name+"="+string(step.State))
	}
	return strings.Join(all, " ")
}

// steps waits until the steps of a build stand so.
func (w *world) steps(id, want string) contract.Operation {
	w.t.Helper()
	var op contract.Operation
	testkit.Eventually(w.t, func() (err error) {
		if op, err = w.conn.Load(w.t.Context(), id); err == nil && stepsAs(op) != want {
			err = fmt.Errorf("they are %q, want %q", stepsAs(op), want)
		}
		return err
	})
	return op
}

// play carries all work out as outcome says of each step: completed, failed or cancelled.
func (w *world) play(outcome func(op contract.Operation) contract.State) {
	w.t.Helper()
	w.work(func(cmd contract.RunOperation) {
		op, mine := w.beginWork(cmd)
		if mine {
			w.finish(op.ID, outcome(op))
		}
	})
}

func (w *world) finish(id string, state contract.State) {
	w.t.Helper()
	code := 2
	w.change(id, func(op contract.Operation) contract.Change {
		at := time.Now().UTC()
		switch {
		case op.State.Ended():
			return nil
		case op.CancelRequested || state == contract.Cancelled:
			return contract.OperationCancelled{Attempt: op.Attempt, At: at}
		case state == contract.Failed:
			return contract.OperationFailed{Attempt: op.Attempt, ExitCode: &code, Failure: contract.NewFailure(contract.ClassUser, "exit code 2"), At: at}
		}
		code = 0
		result := &contract.Result{}
		if len(op.Work.Files.Artifacts) > 0 {
			result.Artifacts = []contract.Artifact{{Path: "bin/shop", Size: 3, Digest: "sha256:" + strings.Repeat("a", 64)}}
		}
		return contract.OperationCompleted{Attempt: op.Attempt, ExitCode: &code, Result: result, At: at}
	})
}

const threeSteps = `
name: shop
repository: {url: "https://git.example.com/shop.git", ref: 5d41402abc4b2a76b9719d911017c592aaaaaaaa}
env: {CGO_ENABLED: "0"}
labels: {pipeline: nightly}
steps:
  - {name: test, run: go test ./..., attempts: 2, backoff: 1s, kind: test}
  - {name: build, run: [go, build], needs: [test], artifacts: [bin/shop]}
  - {name: check, run: ./check, needs: [build], kind: deploy}
`

func TestABuildGoesFromStepToStep(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	build := w.build("shop", threeSteps)
	if build.Kind != contract.KindBuild || build.State != contract.Pending || build.Lane != (contract.Lane{}) {
		t.Errorf("it is %+v", build.Operation)
	}
	lane := contract.WorkerLane("w1")
	for i, want := range []struct{ kind, steps string }{
		{contract.KindWorkTest, "test=running build=pending check=pending"},
		{contract.KindWorkBuild, "test=completed build=running check=pending"},
		{contract.KindWorkDeploy, "test=completed build=completed check=running"},
	} {
		id := contract.StepOperation(build.ID, i)
		w.onLane(lane, id)
		w.steps(build.ID, want.steps)
		op, mine := w.beginWork(contract.RunOperation{Operation: id, Worker: "w1"})
		if !mine || op.Kind != want.kind || op.Work.Repository.Ref[:4] != "5d41" || op.Work.Labels["pipeline"] != "nightly" || op.Key != build.Key || op.Actor != build.Actor {
			t.Errorf("step %d is %+v, %+v", i, op, op.Work)
		}
		env := op.Command.Env
		if env["CGO_ENABLED"] != "0" || env["RDEV_BUILD"] != build.ID || env["RDEV_STEP"] != op.Work.Step.Step {
			t.Errorf("the environment of step %d is %v", i, env)
		}
		if i == 0 && (op.Work.MaxAttempts != 2 || op.Command.Shell.Script != "go test ./...") {
			t.Errorf("the first step is %+v", op.Work)
		}
		if want := []contract.Input{{Name: "build", Operation: contract.StepOperation(build.ID, 1)}}; i == 2 && !slices.Equal(op.Work.Files.Inputs, want) {
			t.Errorf("the last step has the inputs %+v", op.Work.Files.Inputs)
		}
		w.finish(id, contract.Completed)
		w.freeLane("w1")
	}
	end := w.buildEnds(build.ID)
	if end.State != contract.Completed || stepsAs(end) != "test=completed build=completed check=completed" || end.Build.Steps[2].ExitCode == nil {
		t.Errorf("it ended %s: %s", end.State, stepsAs(end))
	}
	var types []string
	history, err := w.conn.History(t.Context(), contract.EntityOperation, build.ID, end.Seq)
	for _, event := range history {
		types = append(types, event.Type)
	}
	if got := strings.Join(types, " "); err != nil || got != "pending stepped stepped stepped stepped completed" {
		t.Errorf("its history is %q, %v", got, err)
	}
	var told struct {
		Events []struct {
			Type      string
			Operation contract.Operation
		}
	}
	w.get("/operations/"+build.ID+"/events").decode(t, http.StatusOK, &told)
	for _, event := range told.Events {
		if first := event.Operation.Build.Steps[0]; len(told.Events) != 6 || first.Name != "test" || first.Command.Shell != nil {
			t.Errorf("of %d events one, %s, tells %+v", len(told.Events), event.Type, first)
		}
	}
	var list struct {
		Artifacts []struct{ Path, Step, Operation, Link string }
	}
	w.get("/builds/"+build.ID+"/artifacts").decode(t, http.StatusOK, &list)
	if len(list.Artifacts) != 1 || list.Artifacts[0].Step != "build" || list.Artifacts[0].Link != "/operations/"+contract.StepOperation(build.ID, 1)+"/artifacts/bin/shop" {
		t.Errorf("the artifacts are %+v", list)
	}
	w.get("/operations/"+contract.StepOperation(build.ID, 1)+"/artifacts").decode(t, http.StatusOK, &list)
	if len(list.Artifacts) != 1 || list.Artifacts[0].Path != "bin/shop" {
		t.Errorf("the artifacts of the step are %+v", list)
	}
	again := w.send(call{path: "/work/" + contract.StepOperation(build.ID, 1) + "/retry"}).operation(t, http.StatusAccepted)
	if again.Work.Step != nil || again.Work.RetryOf != contract.StepOperation(build.ID, 1) {
		t.Errorf("its work once more, by itself, is %+v", again.Work)
	}
}

func TestAStepThatFailsFailsItsBuildWhichRunsAgainFromThere(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1", "w2")
	var mu sync.Mutex
	var ran []string
	broken := "build"
	w.play(func(op contract.Operation) contract.State {
		mu.Lock()
		defer mu.Unlock()
		ran = append(ran, op.Work.Step.Step)
		if op.Work.Step.Step == broken {
			return contract.Failed
		}
		return contract.Completed
	})
	first := w.build("shop", threeSteps)
	end := w.buildEnds(first.ID)
	if end.State != contract.Failed || end.Failure.Message != "step build: exit code 2" || end.Failure.Class != contract.ClassUser || stepsAs(end) != "test=completed build=failed check=skipped" {
		t.Errorf("it ended %s, %+v: %s", end.State, end.Failure, stepsAs(end))
	}
	mu.Lock()
	broken = ""
	mu.Unlock()
	rerun := func(body string) operation {
		return w.send(call{path: "/builds/" + first.ID + "/rerun", body: body, header: map[string]string{"Idempotency-Key": "again" + body}}).operation(t, http.StatusAccepted)
	}
	again := rerun("")
	if same := rerun(""); same.ID != again.ID {
		t.Errorf("the same request made %s and %s", again.ID, same.ID)
	}
	second := w.buildEnds(again.ID)
	reused := second.Build.Steps[0]
	if second.State != contract.Completed || second.Build.RerunOf != first.ID || !reused.Reused || reused.Operation != contract.StepOperation(first.ID, 0) {
		t.Errorf("again it ended %s: %+v", second.State, second.Build)
	}
	third := w.buildEnds(rerun(`{"all":true}`).ID)
	if third.State != contract.Completed || third.Build.Steps[0].Reused {
		t.Errorf("all again it ended %s: %+v", third.State, third.Build)
	}
	mu.Lock()
	if got := strings.Join(ran, " "); got != "test build build check test build check" {
		t.Errorf("it ran %q", got)
	}
	mu.Unlock()
	w.send(call{path: "/builds/" + second.ID + "/rerun"}).problem(t, http.StatusConflict, contract.CodeConflict)
	w.send(call{path: "/builds/" + second.ID + "/rerun", body: `{"from":"tset"}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "from")
	w.send(call{path: "/builds/" + second.ID + "/rerun", body: `{"from":"test","all":true}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "all")
}

func TestABuildKeepsToOneCommitWhateverIsPushed(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	commit := strings.Repeat("c0ffee00", 5)
	build := w.build("shop", strings.Replace(threeSteps, "5d41402abc4b2a76b9719d911017c592aaaaaaaa", "main", 1))
	lane := contract.WorkerLane("w1")
	for i, name := range []string{"@checkout", "test", "build", "check"} {
		id := contract.StepOperation(build.ID, i)
		w.onLane(lane, id)
		op, _ := w.beginWork(contract.RunOperation{Operation: id, Worker: "w1"})
		switch {
		case op.Work.Step.Step != name:
			t.Errorf("step %d is %s, want %s", i, op.Work.Step.Step, name)
		case i == 0 && (op.Command.Git == nil || op.Command.Git.Verb != contract.GitResolve || op.Work.Repository != nil):
			t.Errorf("first it does %+v", op.Command)
		case i > 0 && op.Work.Repository.Ref != commit:
			t.Errorf("%s is of %+v", name, op.Work.Repository)
		}
		w.change(id, func(op contract.Operation) contract.Change {
			return contract.OperationCompleted{Attempt: op.Attempt, Result: &contract.Result{Commit: commit}, At: time.Now().UTC()}
		})
		w.freeLane("w1")
	}
	again := w.send(call{path: "/builds/" + w.buildEnds(build.ID).ID + "/rerun", body: `{"all":true}`}).operation(t, http.StatusAccepted)
	if first := again.Build.Steps[0]; !first.Reused || first.Commit != commit {
		t.Errorf("again it begins with %+v", first)
	}
}

func TestABuildIsCancelledWithWhatItRuns(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	build := w.build("shop", `
steps:
  - {name: long, run: sleep 100}
  - {name: queued, run: "true"}
  - {name: later, run: "true", needs: [long]}
`)
	long := contract.StepOperation(build.ID, 0)
	w.onLane(contract.WorkerLane("w1"), long)
	w.beginWork(contract.RunOperation{Operation: long, Worker: "w1"})
	w.steps(build.ID, "long=running queued=running later=pending")
	for range 2 {
		w.send(call{path: "/builds/" + build.ID + "/cancel"}).operation(t, http.StatusAccepted)
	}
	op := w.steps(build.ID, "long=running queued=cancelled later=cancelled")
	if !op.CancelRequested || op.State != contract.Running {
		t.Errorf("it is %s", op.State)
	}
	testkit.Eventually(t, func() error {
		if step, err := w.conn.Load(t.Context(), long); err != nil || !step.CancelRequested {
			return fmt.Errorf("the step that runs is not asked to end: %w", err)
		}
		return nil
	})
	w.finish(long, contract.Cancelled)
	if end := w.buildEnds(build.ID); end.State != contract.Cancelled || stepsAs(end) != "long=cancelled queued=cancelled later=cancelled" {
		t.Errorf("it ended %s: %s", end.State, stepsAs(end))
	}
	w.send(call{path: "/builds/" + build.ID + "/cancel"}).operation(t, http.StatusOK)
}

func TestABuildHasSoMuchTimeAndNoMore(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	build := w.build("shop", "timeout: 1s\nsteps: [{name: wait, run: sleep 100}]")
	end := w.buildEnds(build.ID)
	if end.State != contract.Failed || end.Failure.Class != contract.ClassTimeout || stepsAs(end) != "wait=cancelled" {
		t.Errorf("it ended %s, %+v: %s", end.State, end.Failure, stepsAs(end))
	}
}

func TestAStepThatIsRefusedFails(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "gone")
	w.workers("w1")
	build := w.build("gone", "steps: [{name: first, run: one}, {name: then, run: two, needs: [first]}]")
	first := contract.StepOperation(build.ID, 0)
	w.onLane(contract.WorkerLane("w1"), first)
	w.project("gone", contract.TypeProjectDeleting)
	w.beginWork(contract.RunOperation{Operation: first, Worker: "w1"})
	w.finish(first, contract.Completed)
	end := w.buildEnds(build.ID)
	if end.State != contract.Failed || stepsAs(end) != "first=completed then=failed" || !strings.Contains(end.Failure.Message, "step then: project gone is deleting") {
		t.Errorf("it ended %s, %+v: %s", end.State, end.Failure, stepsAs(end))
	}
}

// A builder that dies after it has said that a step runs, and before the step's work is
// there, leaves that to another.
func TestAStepWhoseWorkIsMissingGetsIt(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.workers("w1")
	w.stop()
	steps := []contract.BuildStep{{
		Name: "test", Of: "test", Kind: contract.KindWorkTest, State: contract.StepPending, MaxAttempts: 1,
		Command: contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}},
	}}
	op, err := w.conn.Append(t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: unknownID, Kind: contract.KindBuild, Project: "shop", Actor: "key:test", CreatedAt: time.Now().UTC(),
		Build: &contract.Build{Priority: contract.PriorityNormal, Timeout: contract.Duration(time.Hour), Steps: steps},
	}})
	if err != nil {
		t.Fatal(err)
	}
	started := slices.Clone(steps)
	at := time.Now().UTC()
	started[0].State, started[0].StartedAt, started[0].Operation = contract.StepRunning, &at, contract.StepOperation(op.ID, 0)
	w.change(op.ID, func(contract.Operation) contract.Change { return contract.OperationStepped{Steps: started, At: at} })
	w.start()
	w.onLane(contract.WorkerLane("w1"), contract.StepOperation(op.ID, 0))
	w.beginWork(contract.RunOperation{Operation: contract.StepOperation(op.ID, 0), Worker: "w1"})
	w.finish(contract.StepOperation(op.ID, 0), contract.Completed)
	if end := w.buildEnds(op.ID); end.State != contract.Completed {
		t.Errorf("it ended %s", end.State)
	}
}

// Two gateways build, one of which dies and comes back, and executors complete, fail and
// are asked to stop: every build ends, each of its steps has one piece of work at the
// most, and none began before all that it needs had ended.
func TestBuildersMayDieAndBeMany(t *testing.T) {
	w := newWorld(t)
	second, stop := w.start()
	w.ready("shop", "blog")
	w.workers("w1", "w2", "w3", "w4")
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(3, 4))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return dice.IntN(n)
	}
	w.play(func(contract.Operation) contract.State {
		return []contract.State{contract.Completed, contract.Completed, contract.Completed, contract.Failed, contract.Cancelled}[roll(5)]
	})
	var ids []string
	for i := range 24 {
		var spec strings.Builder
		fmt.Fprintf(&spec, "fail_fast: %t\nsteps:\n", roll(3) == 0)
		for step := range 1 + roll(7) {
			var needs []string
			for other := range step {
				if roll(3) == 0 {
					needs = append(needs, fmt.Sprintf("s%d", other))
				}
			}
			fmt.Fprintf(&spec, "  - {name: s%d, run: %q, needs: [%s], allow_failure: %t", step, "true", strings.Join(needs, ", "), roll(4) == 0)
			if roll(4) == 0 {
				spec.WriteString(`, if: "always()"`)
			}
			if roll(4) == 0 {
				spec.WriteString(`, matrix: {N: [1, 2]}`)
			}
			spec.WriteString("}\n")
		}
		ids = append(ids, w.build([]string{"shop", "blog"}[i%2], spec.String()).ID)
		switch {
		case i == 8:
			stop()
		case i == 16:
			second, _ = w.start()
		case roll(6) == 0:
			w.send(call{url: []string{w.url, second}[i/17], path: "/builds/" + ids[i] + "/cancel"})
		}
	}
	for _, id := range ids {
		w.checkBuild(w.buildEnds(id))
	}
}

// checkBuild compares what the log says of a build with what it says of its steps' work.
func (w *world) checkBuild(build contract.Operation) {
	w.t.Helper()
	began, over := map[string]uint64{}, map[string]uint64{}
	for _, step := range build.Build.Steps {
		if step.Operation == "" {
			if step.State == contract.StepCompleted || step.State == contract.StepFailed {
				w.t.Errorf("step %s of %s is %s without any work", step.Name, build.ID, step.State)
			}
			continue
		}
		events, err := w.conn.History(w.t.Context(), contract.EntityOperation, step.Operation, 0)
		if err != nil || len(events) < 2 {
			w.t.Fatalf("step %s of %s: %d events, %v", step.Name, build.ID, len(events), err)
		}
		last := events[len(events)-1]
		if last.Type != string(step.State) {
			w.t.Errorf("step %s of %s is %s, its work %s", step.Name, build.ID, step.State, last.Type)
		}
		began[step.Name], over[step.Of] = events[0].Seq, max(over[step.Of], last.Seq)
	}
	for _, step := range build.Build.Steps {
		for _, need := range step.Needs {
			if at, ok := began[step.Name]; ok && over[need] > at {
				w.t.Errorf("step %s of %s began at %d, before %s was over at %d", step.Name, build.ID, at, need, over[need])
			}
		}
	}
}

func TestABuildThatIsWrongIsToldAllThatIs(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	spec := "steps:\n  - name: test\n    run: go test\n    timeout: soon\n  - name: image\n    run: make\n    needs: [tset]\n"
	body, _ := json.Marshal(map[string]string{"project": "shop", "spec": spec})
	problem := w.send(call{path: "/builds", body: string(body)}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "steps[0].timeout", "steps[1].needs[0]")
	if len(problem.Errors) != 2 || problem.Errors[0].Line != 4 || problem.Errors[1].Line != 7 {
		t.Errorf("it is told %+v", problem.Errors)
	}
	w.send(call{path: "/builds", body: `{"project":"shop"}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "spec")
	w.send(call{path: "/builds", body: `{"spec":{}}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "project")
	w.send(call{path: "/builds", body: `{"project":"blog","spec":{"steps":[{"name":"a","run":"b"}]}}`}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	before := w.stored()
	var plan struct{ Build contract.Build }
	w.send(call{path: "/builds?dry_run=true", body: `{"project":"shop","spec":{"steps":[{"name":"a","run":"b","matrix":{"N":[1,2]}}]}}`}).decode(t, http.StatusOK, &plan)
	if len(plan.Build.Steps) != 2 || plan.Build.Steps[1].Name != "a@2" || w.stored() != before {
		t.Errorf("the plan is %+v", plan.Build)
	}
}

func TestBuildsAreListedWithoutWhatTheyDo(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	build := w.build("shop", threeSteps)
	op, err := w.conn.Load(t.Context(), build.ID)
	if err != nil {
		t.Fatal(err)
	}
	serve(w, contract.ServiceAudit, contract.VerbListOperations, func(q contract.ListOperations) (contract.OperationList, error) {
		if q.Kind != contract.KindBuild || q.Project != "shop" {
			t.Errorf("asked for %+v", q)
		}
		return contract.OperationList{Operations: []contract.Operation{op}}, nil
	})
	var list struct{ Builds []contract.Operation }
	w.get("/builds?project=shop").decode(t, http.StatusOK, &list)
	if len(list.Builds) != 1 || len(list.Builds[0].Build.Steps) != 3 || list.Builds[0].Build.Steps[0].Command.Shell != nil || list.Builds[0].Build.Steps[0].Name != "test" {
		t.Errorf("the list is %+v", list)
	}
	serve(w, contract.ServiceAudit, contract.VerbGetOperation, func(contract.GetOperation) (contract.Operation, error) {
		return contract.Operation{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is none"}
	})
	for _, path := range []string{"/builds/" + unknownID, "/builds/nothing", "/builds/" + w.queue("shop", "").ID} {
		w.get(path).problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.get(path+"/artifacts").problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{path: path + "/rerun"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
		w.send(call{path: path + "/cancel"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
}
