package provisioner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/testkit"
)

// seeds says how often systems are filled: so many times, from one seed on, which is another
// each time where it is not set.
type seeds struct {
	Count uint64 `env:"RDEV_TEST_SEEDS" envDefault:"2"`
	First uint64 `env:"RDEV_TEST_SEED"`
}

// operationsPerSeed is how many there are before all projects are deleted.
const operationsPerSeed = 16

// All systems are full of what others have, by the names that projects would have: people,
// another installation, another project. Then projects are made, changed, repaired and
// deleted, whatever is in the way, is refused, or is killed. After each operation all that
// was there before is as it was, and once the projects are deleted nothing else is left, but
// for what was to be kept. What cannot be done names what is in its way, and says what to do.
func TestNothingOfOthersIsChangedInAnySystem(t *testing.T) {
	how, err := envutil.Load[seeds]()
	if err != nil {
		t.Fatal(err)
	}
	if how.First == 0 {
		how.First = uint64(time.Now().Unix())
	}
	did := map[string]int{}
	for seed := how.First; seed < how.First+how.Count; seed++ {
		t.Run(fmt.Sprintf("RDEV_TEST_SEED=%d", seed), func(t *testing.T) {
			s := newStrangers(t, seed, did)
			for range operationsPerSeed {
				s.carryOut(s.next())
			}
			for _, slug := range []string{s.taken, s.free} {
				if s.now(slug).State != "" {
					s.carryOut(step{op: contract.Operation{Kind: contract.KindProjectDelete, Project: slug}})
				}
			}
			if diff := cmp.Diff(s.before, s.last); diff != "" {
				s.fail("all is deleted, and something else is there: %s", diff)
			}
		})
	}
	t.Logf("operations: %v", did)
	if n := int(how.Count); did[string(contract.Completed)] < 2*n || did[string(contract.Failed)] < n {
		t.Error("this test tries too little")
	}
}

// step is an operation, and what becomes of it on its way.
type step struct {
	op      contract.Operation
	killAt  int    // boundary at which the service is killed, 0 for none
	refuses string // what requests have that are refused, "" for none
}

// carryOut has an operation carried out, and looks what has become of everything.
func (s *strangers) carryOut(step step) {
	s.t.Helper()
	was := s.now(step.op.Project)
	want := s.obstacles(step.op, was)
	op := s.finish(step)
	s.log = append(s.log, line(op.Kind, op.Project, op.Spec, op.Change, "killed at", step.killAt, "refused", step.refuses, string(op.State), op.Failure))
	s.count(op, step)
	now := s.now(op.Project)
	s.use(now)
	there := s.look()
	s.keep(op, was, now, there)
	if diff := cmp.Diff(s.before, s.allowed(there)); diff != "" {
		s.fail("something of others has changed: %s", diff)
	}
	s.last = there
	switch {
	case step.refuses != "": // how it ends depends on what it asked for
	case len(want) == 0 && op.State != contract.Completed:
		s.fail("nothing was in its way")
	case len(want) > 0 && (op.State != contract.Failed || op.Failure.Class != contract.ClassUser || !isClear(op.Failure.Message, want)):
		s.fail("it should name one of %q as in its way, and say what to do", want)
	case len(want) == 0 && now.State == contract.ProjectReady && op.Kind != contract.KindProjectChange:
		drift, err := s.drift(op.Project)
		if err != nil || drift.Drift {
			s.fail("it differs: %+v, %v", drift, err)
		}
	}
}

// fail ends the test with all that was done.
func (s *strangers) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s\nin the way: %v\ndone:\n%s", fmt.Sprintf(format, args...), s.inTheWay, strings.Join(s.log, "\n"))
}

func (s *strangers) count(op contract.Operation, step step) {
	s.did[string(op.State)]++
	if op.Attempt > 1 {
		s.did["killed"]++
	}
	if step.refuses != "" {
		s.did["with refusals"]++
	}
}

// finish has an operation come to its end, by another process where this one is killed.
func (s *strangers) finish(step step) contract.Operation {
	s.t.Helper()
	dead := s.gate.set(step.killAt, step.refuses)
	op := s.ask(step.op)
	over := make(chan contract.Operation, 1)
	go func() {
		ctx, cancel := context.WithTimeout(s.t.Context(), 2*testkit.Patience)
		defer cancel()
		ended, _ := s.conn.AwaitEnd(ctx, op) // what it is by then
		over <- ended
	}()
	again := func() {
		s.end()
		s.begin()
	}
	select {
	case <-dead:
		again()
		op = <-over
		s.gate.set(0, "")
	case op = <-over:
		s.gate.set(0, "")
		select {
		case <-dead: // by what came after the end
			again()
		default:
		}
	}
	if !op.State.Ended() {
		s.fail("it does not end: %s", line(op.Kind, op.Project, op.Spec, op.Change, step.killAt, step.refuses))
	}
	s.await()
	return op
}

// now is a project as it is, without a state where there is none.
func (s *strangers) now(slug string) contract.Project {
	s.t.Helper()
	project, err := s.conn.Project(s.t.Context(), slug)
	if errors.Is(err, contract.ErrNotFound) || project.State == contract.ProjectDeleted {
		return contract.Project{}
	}
	s.must(err)
	return project
}

// use leaves in a project what its commands would.
func (s *strangers) use(project contract.Project) {
	s.t.Helper()
	if project.State != contract.ProjectReady {
		return
	}
	s.must(os.WriteFile(filepath.Join(project.Workspace, "file"), []byte("ours"), 0o600))
	if cache := project.Resource(contract.ResourceCache); cache != nil {
		s.must(s.redis.Set(s.t.Context(), cache.External[contract.ExternalPrefix]+"ours", "x", 0).Err())
	}
	if database := project.Resource(contract.ResourceDatabase); database != nil {
		s.sql(database.External[contract.ExternalDatabase], "create table if not exists ours as select 'ours' as text", "alter table ours owner to "+database.External[contract.ExternalRole])
	}
}

// keep makes what was to be kept somebody else's, once the project is deleted: that may take
// more than one operation.
func (s *strangers) keep(op contract.Operation, was, now contract.Project, there things) {
	s.t.Helper()
	if op.Kind == contract.KindProjectDelete && op.Change != nil {
		for _, name := range op.Change.Keep {
			external := was.Resource(name).External
			whats := []string{"database " + external[contract.ExternalDatabase], "role " + external[contract.ExternalRole]}
			part, obstacle := "database "+op.Project, external[contract.ExternalDatabase]
			if name == contract.ResourceRepository {
				obstacle = external[contract.ExternalName]
				whats, part = []string{"repository " + external[contract.ExternalID]}, "repository "+obstacle
				s.adopts = append(s.adopts, obstacle)
			}
			if s.last[whats[0]] != "" { // or it went with a deletion that did not come to its end
				s.kept[op.Project], s.inTheWay[part] = append(s.kept[op.Project], whats...), obstacle
			}
		}
	}
	for _, what := range s.kept[op.Project] {
		if there[what] == "" || contents(there[what]) != contents(s.last[what]) {
			s.fail("the %s was to be kept: there was %s, and is %s", what, s.last[what], there[what])
		}
		if now.State == "" {
			s.before[what] = there[what]
		}
	}
	if now.State == "" {
		delete(s.kept, op.Project)
	}
}

// contents are the lines that are of what is in something.
func contents(text string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return !strings.HasPrefix(line, "ref ") && !strings.HasPrefix(line, "inside ")
	}), "\n")
}

// allowed is what there is of what was there before, without what a project adds to a
// repository that it has adopted: its user or its key, the webhook, and in the CI the two
// secrets that are rdev's.
func (s *strangers) allowed(there things) things {
	s.t.Helper()
	there = there.only(s.before)
	for _, slug := range []string{s.taken, s.free} {
		r := s.now(slug).Resource(contract.ResourceRepository)
		if r == nil || r.Action != contract.ProvisionAdopt {
			continue
		}
		id := r.External[contract.ExternalID]
		for what, text := range there {
			switch {
			case what == "repository "+id:
				there[what] = without(text, s.before[what], `^right rdev-\S+ write$|^key rdev-[0-9a-f]{20} .* false$|^hook `+regexp.QuoteMeta(s.settings.Hook)+` `)
			case strings.HasPrefix(what, "in the CI ") && strings.Contains(text, " of "+id+" active "):
				there[what] = without(text, s.before[what], `^  secret \d+ (database_url=postgres|redis_url=redis)://`)
			}
		}
	}
	return there
}

// without is a text without the lines of a pattern that were not there before.
func without(text, before, pattern string) string {
	added := regexp.MustCompile(pattern)
	known := strings.Split(before, "\n")
	return strings.Join(slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool {
		return added.MatchString(line) && !slices.Contains(known, line)
	}), "\n")
}
