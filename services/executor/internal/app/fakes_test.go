package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/app"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// world is all that the executor meets, in memory.
type world struct {
	mu     sync.Mutex
	op     contract.Operation
	chunks []contract.Chunk
	hear   func() // a cancel signal

	run     *program // that is there, nil where none is
	started int
	adopted int
	cleaned int
	closed  bool // standard input
	// cleaning is called when a run is cleaned, where it is set.
	cleaning func()
	inputs   []string
	// starting is called when a run is started, where it is set.
	starting func()

	inputErr error

	renewErr error
	loadErr  error
	renewed  int

	yard
	shelf  shelf
	others map[string]contract.Operation // by id

	vault  func(contract.Operation) (map[string]string, error)
	opened int
	env    []string // of the last start
	spec   domain.RunSpec

	mostChunks int // after which no chunk is stored any more, 0 for no limit
}

// program is a run: it says its frames, then takes its time, then exits.
type program struct {
	frames []domain.Frame
	takes  time.Duration
	exit   domain.Exit
	stop   chan struct{}     // closed by Cancel
	more   chan domain.Frame // said in between
	said   int64             // bytes of all of them
}

const (
	project = "shop"
	worker  = "local-1"
)

// maxEvent is what an event may hold, in bytes.
const maxEvent = 512 << 10

var errNoRoom = errors.New("the chunk is not stored")

func newWorld(t *testing.T, cmd contract.Command, p program) (*world, *app.Executor) {
	t.Helper()
	p.stop = make(chan struct{})
	w := &world{run: &p}
	op, err := contract.Next(nil, contract.OperationPending{Operation: contract.Operation{
		ID: "op-1", Kind: contract.KindShell, Project: project, Lane: contract.PodLane(project), Command: &cmd,
	}})
	if err != nil {
		t.Fatal(err)
	}
	op.Seq = 1
	w.op = op
	e := &app.Executor{
		Operations: w, Projects: w, Workers: w, Output: w, Signals: w, Runtime: w, Vault: w, Files: &w.shelf,
		Log: slog.New(slog.DiscardHandler), Stopping: t.Context(),
		Settings: app.Settings{
			Instance: "test", Lease: contract.DefaultLease(), Timeout: time.Hour, Silence: 5 * time.Minute,
			Grace: 10 * time.Second, Progress: 15 * time.Second, MaxOutput: 1 << 20,
		},
	}
	return w, e
}

func (w *world) execute(t *testing.T, e *app.Executor) error {
	t.Helper()
	return e.RunOperation(t.Context(), contract.RunOperation{Operation: "op-1", Project: project}, w.renew)
}

func (w *world) renew(context.Context) error { w.renewed++; return w.renewErr }

func (w *world) Open(_ context.Context, op contract.Operation) (map[string]string, error) {
	w.opened++
	return w.vault(op)
}

func (w *world) Load(_ context.Context, id string) (contract.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, ok := w.others[id]; ok {
		return other, nil
	}
	if id != w.op.ID {
		return contract.Operation{}, contract.ErrNotFound
	}
	return w.op, w.loadErr
}

func (w *world) Amend(ctx context.Context, known contract.Operation, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	return w.Update(ctx, known.ID, decide)
}

func (w *world) Update(_ context.Context, _ string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change, err := decide(w.op)
	if err != nil || change == nil {
		return w.op, err
	}
	next, err := contract.Next(&w.op, change)
	if err != nil {
		return w.op, err
	}
	if body, err := json.Marshal(next); err != nil || len(body) > maxEvent {
		return w.op, errors.Join(fmt.Errorf("append: %w", contract.ErrTooLarge), err)
	}
	next.Seq = w.op.Seq + 1
	w.op = next
	return next, nil
}

// change has somebody else change the operation.
func (w *world) change(t *testing.T, c contract.Change) {
	t.Helper()
	if _, err := w.Update(t.Context(), "op-1", func(contract.Operation) (contract.Change, error) { return c, nil }); err != nil {
		t.Error(err)
	}
}

func (w *world) Project(context.Context, string) (contract.Project, error) {
	return contract.Project{Slug: project, State: contract.ProjectReady, Workspace: "/workspaces/shop"}, nil
}

func (w *world) Worker(_ context.Context, id string) (contract.Worker, error) {
	if id != worker {
		return contract.Worker{}, contract.ErrNotFound
	}
	return contract.Worker{ID: id, State: contract.WorkerReady, Workspace: "/workers/local-1/workspace"}, nil
}

func (w *world) OnSignal(_ context.Context, _ string, hear func()) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hear = hear
	return nil
}

func (w *world) OpenOutput(context.Context, contract.Operation) (app.OutputWriter, error) {
	return w, nil
}

func (w *world) Cursor() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.chunks) == 0 || w.chunks[len(w.chunks)-1].Attempt <= w.op.TriedUpTo() {
		return 0
	}
	return w.chunks[len(w.chunks)-1].Cursor
}

func (w *world) Write(_ context.Context, c contract.Chunk) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mostChunks > 0 && len(w.chunks) >= w.mostChunks {
		return errNoRoom
	}
	w.chunks = append(w.chunks, c)
	return nil
}

func (w *world) text() string {
	text := ""
	for _, c := range w.chunks {
		text += string(c.Data)
	}
	return text
}

func (w *world) Start(_ context.Context, spec domain.RunSpec) error {
	w.started++
	w.env, w.spec = spec.Env, spec
	if spec.Token != w.op.Seq {
		return fmt.Errorf("token %d, want the running event's %d", spec.Token, w.op.Seq)
	}
	if w.starting != nil {
		w.starting()
	}
	return nil
}

func (w *world) Adopt(context.Context, domain.RunRef) error {
	if w.started == 0 {
		return domain.ErrNoRun
	}
	w.adopted++
	return nil
}

func (w *world) Attach(ctx context.Context, _ domain.RunRef, from int64, emit func(domain.Frame) error) (domain.Exit, error) {
	for _, f := range w.run.frames {
		if f.Next <= from {
			continue
		}
		if err := emit(f); err != nil {
			return domain.Exit{}, err
		}
	}
	over := time.After(w.run.takes)
	for {
		select {
		case <-ctx.Done():
			return domain.Exit{}, ctx.Err()
		case <-w.run.stop:
			return domain.Exit{Known: true, Code: -1, Signal: "SIGTERM", Cancelled: true}, nil
		case f := <-w.run.more:
			if err := emit(f); err != nil {
				return domain.Exit{}, err
			}
		case <-over:
			return w.run.exit, nil
		}
	}
}

func (w *world) Input(_ context.Context, _ domain.RunRef, data []byte, closeAfter bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = w.closed || closeAfter
	if w.inputErr != nil {
		return w.inputErr
	}
	if len(data) > 0 {
		w.inputs = append(w.inputs, string(data))
	}
	return nil
}

func (w *world) Cancel(context.Context, domain.RunRef, time.Duration) error {
	close(w.run.stop)
	return nil
}

func (w *world) List(context.Context, contract.Project) ([]domain.RunRef, error) { return nil, nil }

func (w *world) Clean(context.Context, domain.RunRef) error {
	w.cleaned++
	if w.cleaning != nil {
		w.cleaning()
	}
	return nil
}

// newStopping is a context for Executor.Stopping, and what ends it.
func newStopping(t *testing.T) (ctx context.Context, stop context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}
