package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// land is where the steps of a saga make what they make. Its attempt can be killed at any
// boundary: before and after each effect, and before and after each event.
type land struct {
	mu      sync.Mutex
	there   map[string]bool // what is there, ours or not
	foreign map[string]bool // what was there before
	broken  map[string]error
	stuck   map[string]bool // cannot be removed
	order   []string        // applied and undone
	early   []string        // undone before what needs it

	boundary, killAt int // the boundary that is the last one, 0 for none
	dead             bool
	kill             func()
}

var errDead = errors.New("this process is dead")

// pass is a boundary: it is an error once the attempt is dead.
func (l *land) pass() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dead {
		return errDead
	}
	if l.boundary++; l.boundary == l.killAt {
		l.dead = true
		l.kill()
		return errDead
	}
	return nil
}

// part is a step of a land.
type part struct {
	*land
	name  string
	needs []string
}

func (p part) Name() string    { return p.name }
func (p part) Needs() []string { return p.needs }

func (p part) Plan(context.Context, app.Task) (contract.ProvisionAction, string, error) {
	if err := p.pass(); err != nil {
		return "", "", err
	}
	if p.foreign[p.name] {
		return contract.ProvisionAdopt, "part " + p.name, nil
	}
	return contract.ProvisionCreate, "part " + p.name, nil
}

func (p part) Apply(context.Context, app.Task) (map[string]string, error) {
	if err := p.pass(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	err := p.broken[p.name]
	p.there[p.name] = true // also where it then fails: half of it may be made
	p.order = append(p.order, p.name)
	for _, need := range p.needs {
		if !p.there[need] {
			err = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "%s comes before %s", p.name, need)}
		}
	}
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return map[string]string{"id": p.name}, p.pass()
}

func (p part) Undo(context.Context, app.Task) error {
	if err := p.pass(); err != nil {
		return err
	}
	p.mu.Lock()
	if p.stuck[p.name] {
		p.mu.Unlock()
		return &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it holds on")}
	}
	for name, needs := range map[string]string{"b": "a", "c": "ab", "e": "cd", "f": "a"} {
		if strings.Contains(needs, p.name) && p.there[name] && !p.stuck[name] {
			p.early = append(p.early, p.name+" before "+name)
		}
	}
	delete(p.there, p.name)
	p.order = append(p.order, "-"+p.name)
	p.mu.Unlock()
	return p.pass()
}

// Release gives back what was there before.
func (p part) Release(context.Context, app.Task) error {
	if err := p.pass(); err != nil {
		return err
	}
	p.mu.Lock()
	p.order = append(p.order, "~"+p.name)
	p.mu.Unlock()
	return p.pass()
}

func (p part) Verify(context.Context, app.Task) ([]string, error) {
	if err := p.pass(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.there[p.name] {
		return []string{"it is missing"}, nil
	}
	return nil, nil
}

// mortal is a log whose writer can die before and after each event.
type mortal struct {
	*log
	*land
}

func (m mortal) Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error) {
	if err := m.pass(); err != nil {
		return contract.Operation{}, err
	}
	op, err := m.log.Update(ctx, id, decide)
	return op, errors.Join(err, m.pass())
}

func (m mortal) UpdateProject(ctx context.Context, slug string, decide func(*contract.Project) (string, contract.Project, error)) (contract.Project, error) {
	if err := m.pass(); err != nil {
		return contract.Project{}, err
	}
	project, err := m.log.UpdateProject(ctx, slug, decide)
	return project, errors.Join(err, m.pass())
}

// newSaga is a project of six parts, of which one was there before.
func newSaga() (*app.App, *log, *land) {
	a, l, _ := setUp(contract.KindProjectCreate)
	w := &land{there: map[string]bool{"d": true}, foreign: map[string]bool{"d": true}, broken: map[string]error{}, stuck: map[string]bool{}, kill: func() {}}
	a.Steps = []app.Step{
		part{w, "f", []string{"a"}}, part{w, "e", []string{"c", "d"}}, part{w, "a", nil}, part{w, "b", []string{"a"}}, part{w, "c", []string{"a", "b"}}, part{w, "d", nil},
	}
	a.Operations, a.Projects = mortal{l, w}, mortal{l, w}
	return a, l, w
}

// attempts has the operation carried out as often as it takes, killed at a boundary of
// the first attempt.
func attempts(t *testing.T, a *app.App, l *log, w *land, killAt int) {
	t.Helper()
	w.killAt = killAt
	for range 4 {
		ctx, cancel := context.WithCancel(t.Context())
		w.mu.Lock()
		w.dead, w.kill = false, cancel
		w.mu.Unlock()
		err := a.Handle(ctx, "op", &command{})
		cancel()
		synctest.Wait() // what was under way has seen its end
		if err == nil && l.operations["op"].State.Ended() {
			return
		}
	}
	t.Errorf("killed at %d: it does not end: %+v", killAt, l.operations["op"])
}

func TestASagaThatIsKilledAtAnyBoundaryIsDoneOrUndone(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken string
		cancel bool
		stuck  string
		state  contract.State
		there  string
		words  string
	}{
		{name: "all is well", state: contract.Completed, there: "a b c d e f"},
		{name: "a step fails", broken: "c", state: contract.Failed, there: "d", words: "the part c was not made: it is broken"},
		{name: "the last step fails", broken: "e", state: contract.Failed, there: "d", words: "the part e was not made: it is broken"},
		{name: "what cannot be removed is named", broken: "c", stuck: "b", state: contract.Failed, there: "b d", words: "the part c was not made: it is broken; left, for it could not be removed: part b; once that can be mended, `rdev projects repair shop` removes it"},
		{name: "it is cancelled", cancel: true, state: contract.Cancelled, there: "d"},
	} {
		t.Run(c.name, func(t *testing.T) {
			boundaries := 1
			for killAt := 0; killAt <= boundaries; killAt++ {
				synctest.Test(t, func(t *testing.T) {
					a, l, w := newSaga()
					if c.broken != "" {
						w.broken[c.broken] = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is broken")}
					}
					w.stuck[c.stuck] = true
					if c.cancel { // before it begins: as with a step that takes long
						op := l.operations["op"]
						op.State, op.Attempt, op.Rev, op.CancelRequested = contract.Running, 1, 3, true
						op.Provisioning = []contract.ProvisionStep{
							{Name: "a", Action: contract.ProvisionCreate, State: contract.ProvisionApplied, What: "part a"},
							{Name: "d", Action: contract.ProvisionAdopt, State: contract.ProvisionApplied, What: "part d"},
							{Name: "b", Needs: []string{"a"}, Action: contract.ProvisionCreate, State: contract.ProvisionPlanned, What: "part b"},
						}
						l.operations["op"] = op
						w.there["a"], w.there["b"] = true, true // of b, half was made
					}
					attempts(t, a, l, w, killAt)
					if killAt == 0 {
						boundaries = w.boundary
					}
					op := l.operations["op"]
					if op.State != c.state || (op.Failure != nil) != (c.words != "") || op.Failure != nil && op.Failure.Message != c.words {
						t.Errorf("killed at %d: it is %s, %+v; want %s, %q", killAt, op.State, op.Failure, c.state, c.words)
					}
					if got := w.all(); got != c.there {
						t.Errorf("killed at %d: there are %s, want %s; it went %v", killAt, got, c.there, w.order)
					}
					if released := slices.Contains(w.order, "~d"); released != (c.state != contract.Completed) {
						t.Errorf("killed at %d: what was there before was given back: %t; it went %v", killAt, released, w.order)
					}
					if len(w.early) > 0 {
						t.Errorf("killed at %d: %v", killAt, w.early)
					}
					if made := l.project != nil && l.project.State == contract.ProjectReady; made != (c.state == contract.Completed) {
						t.Errorf("killed at %d: the project is %+v", killAt, l.project)
					}
				})
			}
			if boundaries < 10 {
				t.Errorf("there are %d boundaries: this test kills too little", boundaries)
			}
		})
	}
}

// What was undone in part is not taken up again, even where it would go well by then.
func TestASagaThatHealsIsStillDoneOrUndone(t *testing.T) {
	for killAt := range 40 {
		synctest.Test(t, func(t *testing.T) {
			a, l, w := newSaga()
			w.broken["c"] = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is broken")}
			w.killAt = killAt
			ctx, cancel := context.WithCancel(t.Context())
			w.kill = cancel
			_ = a.Handle(ctx, "op", &command{}) // it may be killed
			cancel()
			synctest.Wait()
			delete(w.broken, "c")
			attempts(t, a, l, w, 0)
			op, there := l.operations["op"], w.all()
			if op.State == contract.Completed && there != "a b c d e f" || op.State == contract.Failed && there != "d" {
				t.Errorf("killed at %d: it is %s, and there are %s; it went %v", killAt, op.State, there, w.order)
			}
		})
	}
}

func (l *land) all() string {
	var names []string
	for name := range l.there {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func TestStepsThatDoNotNeedEachOtherGoSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, w := newSaga()
		met := make(chan struct{})
		a.Steps = []app.Step{meeting{part{w, "x", nil}, met}, meeting{part{w, "y", nil}, met}}
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		if got := w.all(); got != "d x y" {
			t.Errorf("there are %s", got)
		}
	})
}

// meeting is a step that waits for another one of its kind.
type meeting struct {
	part
	met chan struct{}
}

func (m meeting) Apply(ctx context.Context, t app.Task) (map[string]string, error) {
	select {
	case m.met <- struct{}{}:
	case <-m.met:
	}
	return m.part.Apply(ctx, t)
}

func TestAStepIsTriedAgainWhereThatMayHelp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, w := newSaga()
		flaky := &moody{part: part{w, "x", nil}, fails: 3}
		a.Steps = []app.Step{flaky}
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		if op := l.operations["op"]; op.State != contract.Completed || flaky.tries != 4 || op.Provisioning[0].External["id"] != "x" {
			t.Errorf("after %d tries it is %s: %+v", flaky.tries, op.State, op.Provisioning)
		}
	})
}

// moody fails a few times, as what is far away does.
type moody struct {
	part
	fails, tries int
}

func (m *moody) Apply(ctx context.Context, t app.Task) (map[string]string, error) {
	if m.tries++; m.tries <= m.fails {
		return nil, fmt.Errorf("try %d: connection refused", m.tries)
	}
	return m.part.Apply(ctx, t)
}

func TestWhatCannotBePlannedMakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, w := newSaga()
		a.Steps = append(a.Steps, taken{part{w, "name", nil}})
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		op := l.operations["op"]
		if op.State != contract.Failed || op.Failure.Message != "name of shop: it is somebody else's" || len(w.order) > 0 || op.Provisioning != nil {
			t.Errorf("it is %s, %+v, and went %v", op.State, op.Failure, w.order)
		}
	})
}

type taken struct{ part }

func (taken) Plan(context.Context, app.Task) (contract.ProvisionAction, string, error) {
	return "", "", &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is somebody else's")}
}
