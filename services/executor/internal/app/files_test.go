package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// built is an operation that left artifacts.
func built(artifacts ...contract.Artifact) contract.Operation {
	return contract.Operation{ID: "built", Project: project, State: contract.Completed, Result: &contract.Result{Artifacts: artifacts}}
}

// newFiles is newWork for work with files, and what it finds.
func newFiles(t *testing.T, p program, change func(*contract.Work)) (*world, *app.Executor) {
	t.Helper()
	work := contract.Work{MaxAttempts: 1, Files: contract.Files{
		Inputs:    []contract.Input{{Name: "build", Operation: "built"}},
		Caches:    []contract.Cache{{Key: "go-1", Paths: []string{"go/pkg", ".npm"}}, {Key: "none", Paths: []string{"x"}}},
		Artifacts: []string{"dist.tar", "bin/shop"},
	}}
	if change != nil {
		change(&work)
	}
	w, e := newWork(t, work, sleepFor(), p)
	w.others = map[string]contract.Operation{"built": built(
		contract.Artifact{Path: "bin/shop", Digest: digestOf("shop"), Exec: true},
		contract.Artifact{Path: "web/dist.tar", Digest: digestOf("a tar file"), Dir: true},
	)}
	w.shelf.files = map[string]string{
		contract.ArtifactKey(project, digestOf("shop")):       "shop",
		contract.ArtifactKey(project, digestOf("a tar file")): "a tar file",
		contract.CacheKey(project, "go-1"):                    "a cache",
	}
	w.leaves = map[string]string{"bin/shop": "the shop", "dist.tar": "the site"}
	return w, e
}

func TestWorkFindsItsFilesAndLeavesOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{takes: time.Second, exit: domain.Exit{Known: true, Leftovers: 1}}, nil)
		w.take(t, e, worker)
		want := []string{". tar.zst go/pkg .npm: a cache", "inputs/build/bin/shop file exec: shop", "inputs/build/web/dist tar: a tar file"}
		if diff := cmp.Diff(want, w.placed); diff != "" || w.prepared != 1 {
			t.Errorf("prepared %d times, placed (-want +got):\n%s", w.prepared, diff)
		}
		if !slices.Contains(w.env, "RDEV_INPUTS="+domain.InputsOf(domain.HomeOf("/workers/local-1/workspace"))) {
			t.Errorf("its environment is %q", w.env)
		}
		artifacts := []contract.Artifact{
			{Path: "bin/shop", Size: 8, Digest: digestOf("the shop"), Exec: true}, {Path: "dist.tar", Size: 8, Digest: digestOf("the site"), Dir: true},
		}
		if w.op.State != contract.Completed || w.op.Result == nil || w.op.Result.Leftovers != 1 || w.cleaned != 1 {
			t.Fatalf("%s, %+v, %+v, cleaned %d times", w.op.State, w.op.Result, w.op.Failure, w.cleaned)
		}
		if diff := cmp.Diff(artifacts, w.op.Result.Artifacts); diff != "" {
			t.Errorf("artifacts (-want +got):\n%s", diff)
		}
		for key, want := range map[string]string{
			contract.ArtifactKey(project, digestOf("the shop")): "the shop", contract.ArtifactKey(project, digestOf("the site")): "the site",
			contract.CacheKey(project, "go-1"): "go/pkg .npm packed", contract.CacheKey(project, "none"): "x packed",
		} {
			if got := w.shelf.files[key]; got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
	})
}

func TestWorkThatFailsLeavesNoFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{exit: domain.Exit{Known: true, Code: 1}}, nil)
		w.take(t, e, worker)
		if w.op.State != contract.Failed || w.op.Result != nil || w.shelf.files[contract.CacheKey(project, "go-1")] != "a cache" || len(w.shelf.files) != 3 {
			t.Errorf("%s, %+v, files %v", w.op.State, w.op.Result, w.shelf.files)
		}
	})
}

func TestArtifactsAreSoManyAndTellNoSecret(t *testing.T) {
	names := func(n, length int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%0*d", length, i))
		}
		return all
	}
	for name, test := range map[string]struct {
		leaves []string
		says   string // "" where they are kept
	}{
		"as many as may be":      {names(contract.MaxArtifacts, 8), ""},
		"one too many":           {names(contract.MaxArtifacts+1, 8), "cannot be kept"},
		"a credential in a name": {[]string{"a", "b-" + secret}, "credential in its name"},
		"more than the log has":  {names(contract.MaxArtifacts, maxEvent*2/3/contract.MaxArtifacts), "more than the log holds"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, func(work *contract.Work) {
					work.Files = contract.Files{Artifacts: test.leaves}
				})
				w.op.Command.Credentials, w.vault = []string{"TOKEN"}, tells(map[string]string{"TOKEN": secret})
				w.take(t, e, worker)
				switch {
				case test.says == "" && (w.op.State != contract.Completed || len(w.op.Result.Artifacts) != len(test.leaves)):
					t.Errorf("%s, %+v", w.op.State, w.op.Failure)
				case test.says != "" && (w.op.Failure == nil || w.op.Failure.Class != contract.ClassUser || !strings.Contains(w.op.Failure.Message, test.says)):
					t.Errorf("%s, %+v", w.op.State, w.op.Failure)
				case test.says != "" && strings.Contains(w.op.Failure.Message, secret):
					t.Errorf("it tells %q", w.op.Failure.Message)
				}
			})
		})
	}
}

func TestInputsThatCannotBeHadEndTheWork(t *testing.T) {
	tests := map[string]struct {
		breaks func(*world)
		class  contract.FailureClass
		says   string
		again  bool
	}{
		"no such operation": {func(w *world) { delete(w.others, "built") }, contract.ClassUser, "no operation built", false},
		"another project's": {func(w *world) {
			op := w.others["built"]
			op.Project = "other"
			w.others["built"] = op
		}, contract.ClassUser, "no operation built", false},
		"not completed": {func(w *world) {
			op := w.others["built"]
			op.State = contract.Running
			w.others["built"] = op
		}, contract.ClassUser, "is running", false},
		"a file that is gone": {func(w *world) { delete(w.shelf.files, contract.ArtifactKey(project, digestOf("shop"))) }, contract.ClassInfrastructure, "bin/shop", true},
		"another file":        {func(w *world) { w.shelf.files[contract.ArtifactKey(project, digestOf("shop"))] = "shoq" }, contract.ClassInfrastructure, "digest", true},
		"a broken tar file": {func(w *world) {
			w.broken = map[string]error{"inputs/build/web/dist": &domain.FilesError{Reason: "it leads out"}}
		}, contract.ClassInfrastructure, "input build: web/dist.tar: it leads out", true},
		"a store that is away": {func(w *world) { w.shelf.err = errors.New("no route to host") }, contract.ClassInfrastructure, "no route to host", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, nil)
				test.breaks(w)
				w.take(t, e, worker)
				var failure *contract.Failure
				switch {
				case test.again && w.op.State == contract.Pending:
					failure = w.op.Work.Tries[0].Failure
				case !test.again:
					failure = w.op.Failure
				}
				if failure == nil || failure.Class != test.class || !strings.Contains(failure.Message, test.says) {
					t.Errorf("%s: %+v", w.op.State, failure)
				}
				if w.started != 0 || w.cleaned != 1 {
					t.Errorf("started %d, cleaned %d times", w.started, w.cleaned)
				}
			})
		})
	}
}

func TestACacheIsNeverAReasonToFail(t *testing.T) {
	for name, breaks := range map[string]func(*world){
		"it is not there": func(w *world) { delete(w.shelf.files, contract.CacheKey(project, "go-1")) },
		"it is broken":    func(w *world) { w.broken = map[string]error{".": &domain.FilesError{Reason: "magic number mismatch"}} },
		"it is not kept":  func(w *world) { w.broken = map[string]error{"cache": &domain.FilesError{Reason: "it is too large"}} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, nil)
				breaks(w)
				w.take(t, e, worker)
				if w.op.State != contract.Completed || len(w.op.Result.Artifacts) != 2 || w.started != 1 {
					t.Errorf("%s after %d starts: %+v", w.op.State, w.started, w.op.Failure)
				}
			})
		})
	}
}

func TestArtifactsThatCannotBeKeptFailTheWork(t *testing.T) {
	tests := map[string]struct {
		breaks func(*world)
		class  contract.FailureClass
		says   string
	}{
		"missing": {func(w *world) {
			w.broken = map[string]error{"bin/shop": &domain.FilesError{Reason: `artifact "bin/shop" is not there`}}
		}, contract.ClassUser, `artifact "bin/shop" is not there`},
		"no store": {func(w *world) {
			w.moving = func(context.Context) error { w.shelf.err = errors.New("disk full"); return nil }
		}, contract.ClassInfrastructure, "disk full"},
		"a bad name": {func(w *world) { w.op.Work.Files.Artifacts = []string{"../x"} }, contract.ClassUser, `"../x"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, func(work *contract.Work) { work.MaxAttempts = 5; work.Files.Inputs, work.Files.Caches = nil, nil })
				test.breaks(w)
				w.take(t, e, worker)
				if w.op.State != contract.Pending || len(w.op.Work.Tries) != 1 {
					t.Fatalf("%s: %+v", w.op.State, w.op.Failure)
				}
				try := w.op.Work.Tries[0]
				if try.Failure.Class != test.class || !strings.Contains(try.Failure.Message, test.says) || try.ExitCode == nil || *try.ExitCode != 0 {
					t.Errorf("%+v", try)
				}
				if w.prepared != 0 || w.started != 1 {
					t.Errorf("prepared %d, started %d times", w.prepared, w.started)
				}
			})
		})
	}
}

func TestAnAttemptThatJoinsTheRunKeepsItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{takes: time.Second, exit: domain.Exit{Known: true}}, nil)
		w.change(t, contract.OperationRunning{Attempt: 1, Executor: "dead", Worker: worker, At: time.Now()})
		w.started = 1
		w.take(t, e, worker)
		if w.op.State != contract.Completed || w.prepared != 0 || len(w.placed) != 0 || w.adopted != 1 || len(w.op.Result.Artifacts) != 2 {
			t.Errorf("%s, prepared %d, adopted %d times, %+v", w.op.State, w.prepared, w.adopted, w.op.Result)
		}
	})
}

func TestAnAttemptAfterOneThatDiedWhileFilesCameBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, nil)
		dying, die := context.WithCancel(t.Context())
		w.moving = func(ctx context.Context) error {
			die()
			<-ctx.Done()
			return ctx.Err()
		}
		cmd := contract.RunOperation{Operation: "op-1", Project: project, Kind: contract.KindWorkTest, Worker: worker}
		if err := e.RunOperation(dying, cmd, w.renew); err == nil || w.op.State != contract.Running || w.cleaned != 0 {
			t.Fatalf("it is %s, cleaned %d times: %v", w.op.State, w.cleaned, err)
		}
		w.moving = nil
		w.take(t, e, worker)
		if w.op.State != contract.Completed || w.prepared != 2 || len(w.placed) != 3 || w.started != 1 {
			t.Errorf("%s, prepared %d times, placed %q, started %d times", w.op.State, w.prepared, w.placed, w.started)
		}
	})
}

// stuck has files move for as long as the work may take.
func stuck(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// onlyArtifacts leaves work nothing to wait for before it starts.
func onlyArtifacts(work *contract.Work) { work.Files.Inputs, work.Files.Caches = nil, nil }

func TestFilesThatMoveForLongKeepTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, nil)
		w.moving = func(ctx context.Context) error {
			select {
			case <-time.After(5 * time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		w.take(t, e, worker)
		least := int(25 * time.Minute / contract.DefaultLease().Heartbeat) // three placed, three taken; one cache is not there
		if w.op.State != contract.Completed || w.renewed < least {
			t.Errorf("%s, %+v; renewed %d times, want %d", w.op.State, w.op.Failure, w.renewed, least)
		}
	})
}

func TestAnAgentIsNotSilentWhileItsFilesMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newFiles(t, program{exit: domain.Exit{Known: true}, frames: []domain.Frame{
			stdout(`{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"session_id":"s"}`+"\n", 0, 200),
		}}, nil)
		w.op.Command = &contract.Command{Agent: &contract.Agent{Provider: "claude-code", Prompt: "build it"}}
		w.moving = func(ctx context.Context) error {
			select {
			case <-time.After(6 * time.Minute): // its limit is 5 minutes
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		w.take(t, e, worker)
		if w.op.State != contract.Completed || w.op.Result.Text != "done" || len(w.op.Result.Artifacts) != 2 {
			t.Errorf("%s, %+v, %+v", w.op.State, w.op.Failure, w.op.Result)
		}
	})
}

func TestWorkWhoseFilesMoveCanBeStopped(t *testing.T) {
	ends := map[string]struct {
		ask   func(t *testing.T, w *world, stop func())
		state contract.State
		class contract.FailureClass
	}{
		"a cancel": {func(t *testing.T, w *world, _ func()) {
			t.Helper()
			w.change(t, contract.OperationCancelRequested{})
			w.hear()
		}, contract.Cancelled, ""},
		"a limit": {func(t *testing.T, w *world, _ func()) {
			t.Helper()
			w.change(t, contract.OperationCancelRequested{Cause: contract.NewFailure(contract.ClassBudget, "used up")})
		}, contract.Failed, contract.ClassBudget},
		"the timeout":  {func(*testing.T, *world, func()) {}, contract.Failed, contract.ClassTimeout},
		"the executor": {func(_ *testing.T, _ *world, stop func()) { stop() }, contract.Pending, contract.ClassInfrastructure},
	}
	for name, end := range ends {
		for when, change := range map[string]func(*contract.Work){"before it starts": nil, "when it has ended": onlyArtifacts} {
			t.Run(name+" "+when, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, change)
					stopping, stop := newStopping(t)
					e.Stopping, e.Settings.EndRunsOnStop = stopping, true
					w.moving = stuck
					go func() {
						time.Sleep(time.Minute)
						end.ask(t, w, stop)
					}()
					w.take(t, e, worker)
					failure := w.op.Failure
					if w.op.State == contract.Pending {
						failure = w.op.Work.Tries[0].Failure
					}
					if w.op.State != end.state || (end.class != "") != (failure != nil) || failure != nil && failure.Class != end.class {
						t.Errorf("%s, %+v", w.op.State, failure)
					}
					if w.cleaned != 1 || w.started != 1 && change != nil || w.started != 0 && change == nil {
						t.Errorf("started %d, cleaned %d times", w.started, w.cleaned)
					}
					stop()
				})
			})
		}
	}
}

func TestAnAttemptThatWasReplacedLetsGoOfItsFiles(t *testing.T) {
	for when, change := range map[string]func(*contract.Work){"before it starts": nil, "when it has ended": onlyArtifacts} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, e := newFiles(t, program{exit: domain.Exit{Known: true}}, change)
				w.moving = stuck
				go func() {
					time.Sleep(time.Minute)
					w.change(t, contract.OperationRunning{Attempt: 2, Executor: "newer", Worker: worker, At: time.Now()})
				}()
				cmd := contract.RunOperation{Operation: "op-1", Project: project, Kind: contract.KindWorkTest, Worker: worker}
				err := e.RunOperation(t.Context(), cmd, w.renew)
				if !errors.Is(err, contract.ErrFenced) || w.op.State != contract.Running || w.cleaned != 0 {
					t.Errorf("%v; the operation is %s, cleaned %d times", err, w.op.State, w.cleaned)
				}
			})
		})
	}
}

func TestARunThatIsToEndWhileItStartsIsEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := newWork(t, contract.Work{MaxAttempts: 1}, sleepFor(), program{takes: time.Hour, exit: domain.Exit{Known: true}})
		w.starting = func() {
			w.change(t, contract.OperationCancelRequested{})
			w.hear()
			time.Sleep(time.Minute)
		}
		begin := time.Now()
		w.take(t, e, worker)
		if took := time.Since(begin); w.op.State != contract.Cancelled || w.started != 1 || took > 2*time.Minute {
			t.Errorf("%s after %v, %d starts", w.op.State, took, w.started)
		}
	})
}
