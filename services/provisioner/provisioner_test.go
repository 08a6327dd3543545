package provisioner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/provisioner"
)

// world is a provisioner with its neighbors, which the test plays.
type world struct {
	t     testing.TB
	conn  *bus.Conn
	cfg   provisioner.Config
	stop  func()
	audit *auditor
}

// auditor answers for the audit service.
type auditor struct {
	mu   sync.Mutex
	open []contract.Operation
}

func (a *auditor) list(context.Context, contract.ListOperations) (contract.OperationList, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return contract.OperationList{Operations: a.open}, nil
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := stopped(t)
	w.start()
	return w
}

// stopped is a world whose provisioner does not run yet.
func stopped(t testing.TB) *world {
	t.Helper()
	lease := contract.Lease{AckWait: 4 * time.Second, Heartbeat: 200 * time.Millisecond, SelfFence: 2 * time.Second}
	server := testkit.NATSWith(t, lease)
	w := &world{t: t, conn: testkit.Connect(t, server.URL(), contract.ServiceAudit), audit: &auditor{}, cfg: provisioner.Config{
		NATS: bus.Settings{URL: server.URL()}, DatabaseURL: testkit.Postgres(t), Workspaces: t.TempDir(), Lease: lease,
	}}
	answers, err := w.conn.Serve(testkit.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := bus.Answer(answers, contract.VerbListOperations, w.audit.list); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) start() { w.stop = testkit.Serve(w.t, provisioner.Run, w.cfg) }

// pending accepts an operation as the gateway does.
func (w *world) pending(kind, slug, template string) contract.Operation {
	w.t.Helper()
	op, err := w.conn.Append(w.t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: kind, Project: slug, Actor: "key:test", CreatedAt: time.Now().UTC(),
		Lane: contract.ProjectLane(slug), Spec: &contract.ProjectSpec{Slug: slug, Template: template},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

// offer puts an operation on its lane as soon as the lane is free.
func (w *world) offer(op contract.Operation) {
	w.t.Helper()
	testkit.Eventually(w.t, func() error {
		return w.conn.Offer(w.t.Context(), op.Lane, contract.RunOperation{Operation: op.ID, Project: op.Project, Kind: op.Kind})
	})
}

func (w *world) ended(op contract.Operation, state contract.State) contract.Operation {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), testkit.Patience)
	defer cancel()
	op, err := w.conn.AwaitEnd(ctx, op)
	if err != nil {
		w.t.Fatal(err)
	}
	if op.State != state {
		w.t.Fatalf("operation %s is %s (%+v), want %s", op.Kind, op.State, op.Failure, state)
	}
	return op
}

// do has an operation carried out.
func (w *world) do(kind, slug string, state contract.State) contract.Operation {
	w.t.Helper()
	op := w.pending(kind, slug, "default")
	w.offer(op)
	return w.ended(op, state)
}

func (w *world) project(slug string, state contract.ProjectState) contract.Project {
	w.t.Helper()
	project, err := w.conn.Project(w.t.Context(), slug)
	if err != nil {
		w.t.Fatal(err)
	}
	if project.State != state {
		w.t.Fatalf("project %s is %s, want %s", slug, project.State, state)
	}
	return project
}

func (w *world) list(minSeq uint64, within ...string) []string {
	w.t.Helper()
	var slugs []string
	ask := contract.ListProjects{Limit: 1, MinSeq: minSeq, Within: within}
	for {
		ctx, cancel := context.WithTimeout(w.t.Context(), testkit.Patience)
		list, err := bus.Call[contract.ListProjects, contract.ProjectList](ctx, w.conn, contract.ServiceProvisioner, contract.VerbListProjects, ask)
		cancel()
		if err != nil {
			w.t.Fatal(err)
		}
		if list.Stale {
			w.t.Fatal("the list is stale")
		}
		for _, project := range list.Projects {
			slugs = append(slugs, project.Slug)
		}
		if list.NextCursor == nil {
			return slugs
		}
		ask.Cursor = *list.NextCursor
	}
}

func TestAProjectIsCreatedListedAndDeleted(t *testing.T) {
	w := newWorld(t)

	w.do(contract.KindProjectCreate, "shop", contract.Completed)
	done := w.do(contract.KindProjectCreate, "blog", contract.Completed)

	project := w.project("shop", contract.ProjectReady)
	if want := filepath.Join(w.cfg.Workspaces, "shop", "workspace"); project.Workspace != want || project.Runtime != contract.RuntimeLocal || project.Template != "default" {
		t.Errorf("got %+v, want its workspace at %s", project, want)
	}
	if _, err := os.Stat(project.Workspace); err != nil {
		t.Error(err)
	}
	if got := w.list(done.Seq); fmt.Sprint(got) != "[blog shop]" {
		t.Errorf("listed %v, want blog and shop", got)
	}
	for pattern, want := range map[string]string{"shop": "[shop]", "*o*": "[blog shop]", "b*": "[blog]", "%": "[]", "sho_": "[]"} {
		if got := w.list(done.Seq, pattern, "other"); fmt.Sprint(got) != want {
			t.Errorf("within %s: listed %v, want %s", pattern, got, want)
		}
	}

	deleted := w.do(contract.KindProjectDelete, "shop", contract.Completed)
	w.project("shop", contract.ProjectDeleted)
	if _, err := os.Stat(filepath.Join(w.cfg.Workspaces, "shop")); !os.IsNotExist(err) {
		t.Errorf("the directory is still there (%v)", err)
	}
	if got := w.list(deleted.Seq); fmt.Sprint(got) != "[blog]" {
		t.Errorf("listed %v, want blog", got)
	}

	w.do(contract.KindProjectCreate, "shop", contract.Completed)
	w.project("shop", contract.ProjectReady)
}

func TestWhatCannotBeDoneFailsAndSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.do(contract.KindProjectCreate, "shop", contract.Completed)
	for _, c := range []struct{ kind, slug, template, want string }{
		{contract.KindProjectCreate, "shop", "default", "project shop exists already"},
		{contract.KindProjectCreate, "blog", "fancy", `there is no template "fancy"`},
		{contract.KindProjectDelete, "nowhere", "", "there is no project nowhere"},
		{contract.KindShell, "shop", "", "the provisioner has no command.shell"},
	} {
		op := w.pending(c.kind, c.slug, c.template)
		w.offer(op)
		got := w.ended(op, contract.Failed)
		if got.Failure.Class != contract.ClassUser || got.Failure.Message != c.want || got.Failure.Retryable {
			t.Errorf("%s %s: got %+v, want %q", c.kind, c.slug, got.Failure, c.want)
		}
	}
}

func TestACommandThatComesAgainAfterItsEndChangesNothing(t *testing.T) {
	w := newWorld(t)
	op := w.do(contract.KindProjectCreate, "shop", contract.Completed)
	w.offer(op)
	testkit.Eventually(t, func() error {
		if _, err := w.conn.OnLane(t.Context(), op.Lane); !errors.Is(err, contract.ErrNotFound) {
			return fmt.Errorf("the lane is not free: %w", err)
		}
		return nil
	})
	again, err := w.conn.Load(t.Context(), op.ID)
	if err != nil || again.Seq != op.Seq {
		t.Errorf("the operation went on: %+v (%v)", again, err)
	}
}

func TestACommandWithoutAnOperationIsDropped(t *testing.T) {
	w := newWorld(t)
	w.offer(contract.Operation{ID: uuid.NewString(), Project: "shop", Lane: contract.ProjectLane("shop")})
	w.do(contract.KindProjectCreate, "shop", contract.Completed)
}

func TestAnAttemptThatWasCutOffIsFinishedByTheNext(t *testing.T) {
	type step func(w *world, op contract.Operation)
	running := func(w *world, op contract.Operation) {
		if _, err := w.conn.Append(w.t.Context(), &op, contract.OperationRunning{Attempt: 1, Executor: "gone", At: time.Now()}); err != nil {
			w.t.Fatal(err)
		}
	}
	directory := func(w *world, op contract.Operation) {
		if err := os.MkdirAll(filepath.Join(w.cfg.Workspaces, op.Project, "workspace"), 0o700); err != nil {
			w.t.Fatal(err)
		}
	}
	event := func(eventType string) step {
		return func(w *world, op contract.Operation) {
			if _, err := w.conn.UpdateProject(w.t.Context(), op.Project, func(now *contract.Project) (string, contract.Project, error) {
				project := contract.Project{Slug: op.Project, Runtime: "local"}
				if now != nil {
					project = *now
				}
				project.Operation = op.ID
				return eventType, project, nil
			}); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	removed := func(w *world, op contract.Operation) {
		if err := os.RemoveAll(filepath.Join(w.cfg.Workspaces, op.Project)); err != nil {
			w.t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		kind  string
		steps []step
		want  contract.ProjectState
	}{
		"create, before anything":     {contract.KindProjectCreate, []step{running}, contract.ProjectReady},
		"create, after the directory": {contract.KindProjectCreate, []step{running, directory}, contract.ProjectReady},
		"create, after the event":     {contract.KindProjectCreate, []step{running, directory, event("created")}, contract.ProjectReady},
		"delete, before anything":     {contract.KindProjectDelete, []step{running}, contract.ProjectDeleted},
		"delete, when closed":         {contract.KindProjectDelete, []step{running, event("deleting")}, contract.ProjectDeleted},
		"delete, when removed":        {contract.KindProjectDelete, []step{running, event("deleting"), removed}, contract.ProjectDeleted},
		"delete, after the event":     {contract.KindProjectDelete, []step{running, event("deleting"), removed, event("deleted")}, contract.ProjectDeleted},
	} {
		t.Run(name, func(t *testing.T) {
			w := stopped(t)
			if c.kind == contract.KindProjectDelete {
				w.start()
				w.do(contract.KindProjectCreate, "shop", contract.Completed)
				w.stop()
			}
			op := w.pending(c.kind, "shop", "default")
			for _, step := range c.steps {
				step(w, op)
			}
			w.offer(op)
			w.start()
			if done := w.ended(op, contract.Completed); done.Attempt != 2 {
				t.Errorf("attempt %d, want 2", done.Attempt)
			}
			w.project("shop", c.want)
			_, err := os.Stat(filepath.Join(w.cfg.Workspaces, "shop", "workspace"))
			if there := err == nil; there != (c.want == contract.ProjectReady) {
				t.Errorf("the workspace is there: %t", there)
			}
		})
	}
}

func TestADeleteEndsWhatIsOpenInTheProject(t *testing.T) {
	w := newWorld(t)
	w.do(contract.KindProjectCreate, "shop", contract.Completed)
	waiting := w.command("shop")
	started := w.command("shop")
	started, err := w.conn.Append(t.Context(), &started, contract.OperationRunning{Attempt: 1, Executor: "executor-1", At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	hints := make(chan struct{}, 1)
	if err := w.conn.OnSignal(t.Context(), started.ID, func() { hints <- struct{}{} }); err != nil {
		t.Fatal(err)
	}
	remove := w.pending(contract.KindProjectDelete, "shop", "")
	w.audit.mu.Lock()
	w.audit.open = []contract.Operation{remove, waiting, started}
	w.audit.mu.Unlock()
	w.offer(remove)

	w.ended(waiting, contract.Cancelled)
	await(t, hints)
	w.project("shop", contract.ProjectDeleting)
	now, err := w.conn.Load(t.Context(), started.ID)
	if err != nil || !now.CancelRequested {
		t.Fatalf("got %+v (%v), want a cancel requested", now, err)
	}
	if _, err := os.Stat(filepath.Join(w.cfg.Workspaces, "shop", "workspace")); err != nil {
		t.Errorf("the workspace went under a running command: %v", err)
	}

	// The service is cut off while it waits; the next one goes on.
	w.stop()
	w.start()
	if _, err := w.conn.Append(t.Context(), &now, contract.OperationCancelled{Attempt: 1, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	w.audit.mu.Lock()
	w.audit.open = []contract.Operation{remove}
	w.audit.mu.Unlock()
	w.ended(remove, contract.Completed)
	w.project("shop", contract.ProjectDeleted)
}

func (w *world) command(slug string) contract.Operation {
	w.t.Helper()
	op, err := w.conn.Append(w.t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: uuid.Must(uuid.NewV7()).String(), Kind: contract.KindShell, Project: slug, Actor: "key:test",
		CreatedAt: time.Now().UTC(), Lane: contract.PodLane(slug),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}},
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	return op
}

func await[T any](t *testing.T, c <-chan T) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(testkit.Patience):
		t.Fatal("nothing came")
	}
}
