package executor_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/executor"
)

// askWork accepts a piece of work and offers it to the one worker, as a gateway does.
func (w *world) askWork(work contract.Work, cmd contract.Command) contract.Operation {
	w.Helper()
	work.MaxAttempts = 1
	op, err := w.conn.Append(w.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.NewString(), Kind: contract.KindWorkBuild, Project: "shop", Actor: "key:test", CreatedAt: time.Now().UTC(),
		Lane: contract.WorkLane(), Command: &cmd, Work: &work,
	}})
	if err != nil {
		w.Fatal(err)
	}
	testkit.Eventually(w, func() error {
		return w.conn.Offer(w.Context(), contract.WorkerLane("local-1"), contract.RunOperation{
			Operation: op.ID, Project: "shop", Kind: op.Kind, Worker: "local-1",
		})
	})
	return op
}

func TestWorkFindsWhatOtherWorkLeft(t *testing.T) {
	w := newWorld(t)
	cfg := w.config()
	cfg.Runtime, cfg.Workers, cfg.WorkersDir = contract.RuntimeLocal, 1, filepath.Join(filepath.Dir(w.workspace), "workers")
	cfg.Files.URL = "file://" + t.TempDir()
	testkit.Serve(t, executor.Run, cfg)
	cache := []contract.Cache{{Key: "tools", Paths: []string{"tools"}}}

	built, out := w.ended(w.askWork(
		contract.Work{Files: contract.Files{Caches: cache, Artifacts: []string{"bin/*", "site"}}},
		script(`mkdir -p bin site/a "$HOME/tools" && printf '#!/bin/sh\necho sold\n' >bin/shop && chmod +x bin/shop && echo page >site/a/page && echo cached >"$HOME/tools/t"`),
	))
	if built.State != contract.Completed || built.Result == nil || len(built.Result.Artifacts) != 2 {
		t.Fatalf("%s, %+v, %+v\n%s", built.State, built.Failure, built.Result, out)
	}
	checked, out := w.ended(w.askWork(
		contract.Work{
			Files:    contract.Files{Caches: cache, Inputs: []contract.Input{{Name: "build", Operation: built.ID}}},
			Services: []contract.Service{{Name: "web", Script: `echo up; touch up; exec sleep 600`, Ready: "test -f up"}},
		},
		script(`"$RDEV_INPUTS/build/bin/shop" && cat "$RDEV_INPUTS/build/site/a/page" "$HOME/tools/t" && ls`),
	))
	if checked.State != contract.Completed || !strings.Contains(out, "sold\npage\ncached\nup\n") || !strings.Contains(out, "[web] up\n") {
		t.Errorf("%s, %+v\n%s", checked.State, checked.Failure, out)
	}
	if checked.Result != nil && checked.Result.Leftovers > 0 {
		t.Errorf("%d processes were left of a service", checked.Result.Leftovers)
	}
	missing, _ := w.ended(w.askWork(contract.Work{Files: contract.Files{Artifacts: []string{"bin/shop"}}}, script("true")))
	if missing.State != contract.Failed || missing.Failure.Class != contract.ClassUser || missing.Failure.Message != `artifact "bin/shop" is not there` {
		t.Errorf("%s, %+v", missing.State, missing.Failure)
	}
}
