package bus_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// startBuild is a build whose steps run, and their operations, which the log need not know.
func startBuild(t *testing.T, c *bus.Conn, steps int) (build contract.Operation, works []contract.Operation) {
	t.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	spec := contract.Build{Name: "ci"}
	for i := range steps {
		work := contract.StepOperation(id, i)
		works = append(works, contract.Operation{ID: work, Project: "shop"})
		spec.Steps = append(spec.Steps, contract.BuildStep{Name: fmt.Sprint("step", i), Of: "step", State: contract.StepRunning, Operation: work})
	}
	op, err := c.Append(t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: id, Kind: contract.KindBuild, Project: "shop", CreatedAt: time.Now().UTC(), Build: &spec,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if op, err = c.Append(t.Context(), &op, contract.OperationStepped{Steps: spec.Steps, At: time.Now().UTC()}); err != nil {
		t.Fatal(err)
	}
	return op, works
}

// endStep has a build know that one of its steps has completed.
func endStep(ctx context.Context, c *bus.Conn, build string, step int) error {
	_, err := c.Update(ctx, build, func(op contract.Operation) (contract.Change, error) {
		steps := slices.Clone(op.Build.Steps)
		steps[step].State = contract.StepCompleted
		return contract.OperationStepped{Steps: steps, At: time.Now().UTC()}, nil
	})
	return err
}

func ids(works []contract.Operation) []string {
	var all []string
	for _, work := range works {
		all = append(all, work.ID)
	}
	return all
}

// progress counts what was written, for those who wait for it.
type progress struct {
	mu   sync.Mutex
	cond *sync.Cond
	n    int
	over bool
}

func newProgress() *progress {
	p := &progress{}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *progress) add(n int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	p.cond.Broadcast()
	return p.n
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	p.cond.Broadcast()
}

// await returns once n are written, or all.
func (p *progress) await(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.n < n && !p.over {
		p.cond.Wait()
	}
}

// watching is a sink that keeps what it sees of a build.
type watching struct {
	seqs    []uint64
	of      map[string]int // chunks by operation
	gaps    []string
	early   []string // steps that had ended before all of their output
	steps   []string // that are followed
	want    int      // chunks of a step
	begun   bool     // the first state of this connection was seen
	stopN   int      // stop with errStop after so many chunks, 0 for never
	stall   func()   // after some chunks
	stallAt int
	idle    func()
	end     *contract.Operation
}

func (w *watching) Chunk(c contract.Chunk) error {
	w.seqs = append(w.seqs, c.Seq)
	w.of[c.Operation]++
	if w.stall != nil && len(w.seqs)%w.stallAt == 0 {
		w.stall()
	}
	if w.stopN--; w.stopN == 0 {
		return errStop
	}
	return nil
}

func (w *watching) State(op *contract.Operation) error {
	for _, step := range op.Build.Steps {
		if w.begun && step.State.Ended() && slices.Contains(w.steps, step.Operation) && w.of[step.Operation] != w.want {
			w.early = append(w.early, step.Name)
		}
	}
	w.begun = true
	return nil
}

func (w *watching) Gap(operation string, after, before uint64) error {
	w.gaps = append(w.gaps, fmt.Sprintf("%s %d-%d", operation[len(operation)-1:], after, before))
	return nil
}

func (w *watching) Idle() error {
	if w.idle != nil {
		w.idle()
	}
	return nil
}

func (w *watching) End(op *contract.Operation) error { w.end = op; return nil }

func watch(ctx context.Context, c *bus.Conn, build string, steps []string, how bus.Follow, sink bus.OutputSink) error {
	f, err := c.FollowBuild(ctx, build, steps, how)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Feed(ctx, sink)
}

// stored is what RDEV_OUTPUT has of operations.
func stored(t *testing.T, c *bus.Conn, works []string) (seqs []uint64) {
	t.Helper()
	stream, err := c.JetStream().Stream(t.Context(), contract.StreamOutput)
	if err != nil {
		t.Fatal(err)
	}
	for seq := uint64(1); seq <= stream.CachedInfo().State.LastSeq; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Contains(works, strings.TrimPrefix(m.Subject, contract.SubjectOutput)) {
			seqs = append(seqs, seq)
		}
	}
	return seqs
}
