//go:build cluster

package kube_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/libs/contract"
	labels "github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/adapters/kube"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runtimetest"
)

func TestOnARealCluster(t *testing.T) {
	w := newWorld(t)
	disconnects := make(chan error, 1) // which take minutes, most of them spent waiting
	runtime, project, cutter := w.runtime(t, w.cluster.Config()), w.project(t), newCutter(t, w.cluster.Config(), 72<<10)
	cut := w.runtime(t, cutter.config())
	go func() { disconnects <- disconnect(t.Context(), runtime, cut, cutter, project) }()

	t.Run("TheRuntimeConforms", func(t *testing.T) {
		runtimetest.Run(t, func(t *testing.T) (app.Runtime, contract.Project) {
			t.Helper()
			return w.runtime(t, w.cluster.Config()), w.project(t)
		})
	})
	t.Run("APodThatIsReplacedEndsItsRunWithTheLastOutput", w.podIsReplaced)
	t.Run("AWorkerThatIsLostIsToldAndNotWaitedFor", w.workerIsLost)
	t.Run("AThousandDisconnectsLoseNothing", func(t *testing.T) {
		began := time.Now()
		if err := <-disconnects; err != nil {
			t.Error(err)
		}
		t.Logf("%d disconnects; waited %v for the last", cutter.cuts.Load(), time.Since(began).Round(time.Second))
	})
	t.Run("WithoutWebSocketsARunGoesOverSPDY", w.webSocketsAreRefused)
	t.Run("AnExecThatIsForbiddenIsTold", w.execIsForbidden)
	t.Run("APodWithoutTheRunnerIsTold", w.podHasNoRunner)
	t.Run("AnAPIServerThatIsKilledLosesNothing", w.apiServerIsKilled)
}

// collect follows a run to its end, and counts what arrived so far.
type collect struct {
	output bytes.Buffer
	size   atomic.Int64
}

func (c *collect) emit(frame domain.Frame) error {
	c.output.Write(frame.Data)
	c.size.Store(int64(c.output.Len()))
	return nil
}

func (c *collect) await(t *testing.T, bytes int64) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for tick := time.Tick(time.Millisecond); c.size.Load() < bytes; <-tick {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes after %v, want %d", c.size.Load(), patience, bytes)
		}
	}
}

// start starts a run and follows it; the channel gets how it ended.
func start(t *testing.T, runtime *kube.Runtime, spec domain.RunSpec) (*collect, <-chan domain.Exit) {
	t.Helper()
	if err := runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	out, ended := &collect{}, make(chan domain.Exit, 1)
	go func() {
		exit, err := runtime.Attach(t.Context(), spec.RunRef, 0, out.emit)
		if err != nil {
			t.Error(err)
		}
		ended <- exit
	}()
	return out, ended
}

func (w *world) apiServerIsKilled(t *testing.T) {
	runtime := w.runtime(t, w.cluster.Config())
	spec := script(w.project(t), `i=0; while [ $i -lt 200 ]; do i=$((i+1)); echo $i; sleep 0.05; done; exit 7`)
	out, ended := start(t, runtime, spec)
	out.await(t, 20)
	if err := w.cluster.KillAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	exit := <-ended
	var want strings.Builder
	for i := range 200 {
		fmt.Fprintln(&want, i+1)
	}
	if out.output.String() != want.String() || !exit.Known || exit.Code != 7 {
		t.Errorf("got %d of %d bytes, exit %+v", out.output.Len(), want.Len(), exit)
	}
}

func (w *world) podIsReplaced(t *testing.T) {
	runtime, project := w.runtime(t, w.cluster.Config()), w.project(t)
	spec := script(project, `echo kept > file; echo begun; sleep 600`)
	out, ended := start(t, runtime, spec)
	out.await(t, 6)
	at := time.Now()
	if err := w.client.CoreV1().Pods(namespace).Delete(t.Context(), labels.NameOf(project.Slug)+"-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if exit := <-ended; exit.Known || out.output.String() != "begun\n" {
		t.Errorf("printed %q, exit %+v, want an unknown one", out.output.String(), exit)
	}
	t.Logf("the end was known %v after the pod was deleted", time.Since(at))
	// The next run finds what the last one left.
	next := script(project, `cat file`)
	next.Token = 2
	if err := runtime.Start(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	var again collect
	if exit, err := runtime.Attach(t.Context(), next.RunRef, 0, again.emit); err != nil || exit.Code != 0 || again.output.String() != "kept\n" {
		t.Errorf("printed %q, exit %+v, %v", again.output.String(), exit, err)
	}
}

// disconnect reads 20 MiB over a connection that is cut at random bytes a thousand
// times, and compares what arrived with what was sent.
func disconnect(ctx context.Context, direct, cut *kube.Runtime, cutter *cutter, project contract.Project) error {
	const cuts, size = 1000, 20 << 20
	spec := script(project, fmt.Sprintf(`head -c %d /dev/urandom | tee "$TMPDIR/sent"; exit 5`, size))
	if err := direct.Start(ctx, spec); err != nil {
		return err
	}
	cutter.begin()
	var out, sum collect
	exit, err := cut.Attach(ctx, spec.RunRef, 0, out.emit)
	if err != nil || !exit.Known || exit.Code != 5 {
		return fmt.Errorf("after %d disconnects and %d bytes: exit %+v, %w", cutter.cuts.Load(), out.output.Len(), exit, err)
	}
	if n := cutter.cuts.Load(); n < cuts {
		return fmt.Errorf("cut %d times, want %d", n, cuts)
	}
	check := script(project, `sha256sum < "$TMPDIR/sent"`)
	check.Token = 2
	if err := direct.Start(ctx, check); err != nil {
		return err
	}
	if _, err := direct.Attach(ctx, check.RunRef, 0, sum.emit); err != nil {
		return err
	}
	if got := fmt.Sprintf("%x  -\n", sha256.Sum256(out.output.Bytes())); out.output.Len() != size || got != sum.output.String() {
		return fmt.Errorf("got %d bytes with hash %s, want %d with %s", out.output.Len(), got, size, sum.output.String())
	}
	return nil
}
