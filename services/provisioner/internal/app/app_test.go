package app_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// log is the event log in memory, of one project and its operations.
type log struct {
	mu         sync.Mutex
	operations map[string]contract.Operation
	project    *contract.Project
	seq        uint64

	renewed  []string
	renewErr error
}

func (l *log) Load(_ context.Context, id string) (contract.Operation, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	op, ok := l.operations[id]
	if !ok {
		return op, contract.ErrNotFound
	}
	return op, nil
}

func (l *log) Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	op, err := l.Load(ctx, id)
	if err != nil {
		return op, err
	}
	if ctx.Err() != nil {
		return op, ctx.Err()
	}
	change, err := decide(op)
	if err != nil || change == nil {
		return op, err
	}
	next, err := contract.Next(&op, change)
	if err != nil {
		return op, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	next.Seq = l.seq
	l.operations[id] = next
	return next, nil
}

func (l *log) Signal(string) error { return nil }

func (l *log) UpdateProject(_ context.Context, _ string, decide func(*contract.Project) (string, contract.Project, error)) (contract.Project, error) {
	eventType, proposed, err := decide(l.project)
	if err != nil || eventType == "" {
		if l.project == nil {
			return contract.Project{}, err
		}
		return *l.project, err
	}
	next, err := contract.NextProject(l.project, eventType, proposed)
	if err != nil {
		return next, err
	}
	l.seq++
	next.Seq = l.seq
	l.project = &next
	return next, nil
}

func (l *log) RenewProject(_ context.Context, known contract.Project, _ time.Duration) (bool, error) {
	l.renewed = append(l.renewed, known.Slug)
	return true, l.renewErr
}

// disk is a Workspaces whose steps take their time.
type disk struct {
	there bool
	takes time.Duration
	fails error
}

func (d *disk) Create(ctx context.Context, _ string) (app.Workspace, error) {
	d.there = true
	return app.Workspace{Path: "/w", Runtime: "local"}, d.work(ctx)
}

func (d *disk) Remove(ctx context.Context, _ string) error {
	d.there = false
	return d.work(ctx)
}

func (d *disk) Verify(context.Context, string) ([]string, error) {
	if !d.there {
		return []string{"it is missing"}, nil
	}
	return nil, nil
}

func (d *disk) work(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d.takes):
		return d.fails
	}
}

// nobody answers for open operations.
type nobody struct{ err error }

func (n nobody) Open(context.Context, string, uint64) ([]contract.Operation, error) {
	return nil, n.err
}

// noFiles is a store that nobody put anything into.
type noFiles struct{}

func (noFiles) Sweep(context.Context, string, time.Time) (int, error) { return 0, nil }

func (noFiles) DeleteAll(context.Context, string) error { return nil }

// noCredentials are of no project.
type noCredentials struct{}

func (noCredentials) Forget(context.Context, string) error { return nil }

// command counts how often it was renewed.
type command struct {
	renewed int
	fails   error
}

func (c *command) Renew(context.Context) error {
	c.renewed++
	return c.fails
}

func setUp(kind string) (*app.App, *log, *disk) {
	l := &log{operations: map[string]contract.Operation{"op": {
		ID: "op", Kind: kind, Project: "shop", State: contract.Pending, Rev: 1,
		Lane: contract.ProjectLane("shop"), Spec: &contract.ProjectSpec{Slug: "shop"},
	}}}
	d := &disk{}
	if kind == contract.KindProjectDelete {
		l.project = &contract.Project{Slug: "shop", State: contract.ProjectReady, Operation: "earlier"}
		d.there = true
	}
	return &app.App{Operations: l, Projects: l, Open: nobody{}, Steps: []app.Step{app.WorkspaceStep{Workspaces: d}}, Credentials: noCredentials{}, Files: noFiles{}, Lease: contract.DefaultLease(), Instance: "p1"}, l, d
}

func TestALongStepIsKeptAliveByHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectCreate)
		d.takes = 10 * time.Minute
		c := &command{}
		if err := a.Handle(t.Context(), "op", c); err != nil {
			t.Fatal(err)
		}
		if got := l.operations["op"]; got.State != contract.Completed || l.project.State != contract.ProjectReady {
			t.Errorf("got %s and %+v, want completed and ready", got.State, l.project)
		}
		if c.renewed < 29 {
			t.Errorf("renewed %d times in 10 minutes, want every 20 s", c.renewed)
		}
	})
}

func TestAnAttemptThatWasReplacedStopsAndWritesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectDelete)
		d.takes = time.Hour
		time.AfterFunc(time.Minute, func() {
			_, _ = l.Update(context.Background(), "op", func(op contract.Operation) (contract.Change, error) {
				return contract.OperationRunning{Attempt: op.Attempt + 1, Executor: "p2"}, nil
			})
		})
		begin := time.Now()
		err := a.Handle(t.Context(), "op", &command{})
		if !errors.Is(err, contract.ErrFenced) {
			t.Fatalf("got %v, want ErrFenced", err)
		}
		if took := time.Since(begin); took > 2*time.Minute {
			t.Errorf("it went on for %s", took)
		}
		if got := l.operations["op"]; got.Attempt != 2 || got.State != contract.Running || l.project.State != contract.ProjectDeleting {
			t.Errorf("got %+v and %+v, want both as the newer attempt has them", got, l.project)
		}
	})
}

func TestAnAttemptThatIsUnheardStopsBeforeAnotherMayStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectDelete)
		d.takes = time.Hour
		begin := time.Now()
		err := a.Handle(t.Context(), "op", &command{fails: errors.New("no NATS")})
		if err == nil || errors.Is(err, contract.ErrFenced) {
			t.Fatalf("got %v, want an error that has the command come again", err)
		}
		if took := time.Since(begin); took < a.Lease.SelfFence || took > a.Lease.AckWait {
			t.Errorf("it stopped after %s, want between %s and %s", took, a.Lease.SelfFence, a.Lease.AckWait)
		}
		if got := l.operations["op"]; got.State != contract.Running {
			t.Errorf("got %s, want running", got.State)
		}
	})
}

func TestACancelStopsBeforeTheNextStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectCreate)
		d.takes = time.Minute
		time.AfterFunc(time.Second, func() {
			_, _ = l.Update(context.Background(), "op", func(contract.Operation) (contract.Change, error) {
				return contract.OperationCancelRequested{}, nil
			})
		})
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		if got := l.operations["op"]; got.State != contract.Cancelled {
			t.Errorf("got %s, want cancelled", got.State)
		}
		if l.project != nil || d.there {
			t.Errorf("project %+v, workspace %t; want neither", l.project, d.there)
		}
	})
}

func TestAWorkspaceThatCannotBeRemovedFailsTheDeleteAndKeepsTheProjectClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectDelete)
		d.fails = errors.New("input/output error")
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		got := l.operations["op"]
		if got.State != contract.Failed || got.Failure.Class != contract.ClassInfrastructure || l.project.State != contract.ProjectDeleting {
			t.Fatalf("got %+v and %+v, want failed and deleting", got, l.project)
		}

		d.fails = nil
		l.operations["again"] = contract.Operation{ID: "again", Kind: contract.KindProjectDelete, Project: "shop", State: contract.Pending}
		if err := a.Handle(t.Context(), "again", &command{}); err != nil {
			t.Fatal(err)
		}
		if l.project.State != contract.ProjectDeleted {
			t.Errorf("another delete left the project %s", l.project.State)
		}
	})
}

func TestADeleteGivesUpWhereNobodyTellsWhatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, d := setUp(contract.KindProjectDelete)
		a.Open = nobody{errors.New("the audit service does not answer")}
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		got := l.operations["op"]
		if got.State != contract.Failed || !got.Failure.Retryable || !d.there {
			t.Errorf("got %+v, workspace %t; want failed, to be tried again, and the workspace kept", got.Failure, d.there)
		}
	})
}
