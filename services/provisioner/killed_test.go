package provisioner_test

import (
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/envutil"
)

// boundaries says at which boundaries the process is killed: at about so many of each
// story, or at each one.
type boundaries struct {
	Every bool `env:"RDEV_TEST_EVERY_BOUNDARY"`
}

// killsPerStory is at how many boundaries a process is killed where not at each one.
const killsPerStory = 6

// story is an operation that the process is killed in.
type story struct {
	name    string
	before  func(slug string) *contract.ProjectSpec // of a project that is made beforehand; nil for none
	op      func(slug string) contract.Operation
	refuses string // part of the path of requests that are refused
	state   contract.State
	there   counts // in the end
}

func stories() []story {
	create := func(slug string) contract.Operation {
		return contract.Operation{Kind: contract.KindProjectCreate, Spec: whole(slug)}
	}
	change := func(slug string) contract.Operation {
		yes, spec := true, whole(slug)
		return contract.Operation{Kind: contract.KindProjectChange, Change: &contract.ProjectChange{AddDomains: spec.Domains, Database: &yes, Cache: &yes}}
	}
	remove := func(string) contract.Operation { return contract.Operation{Kind: contract.KindProjectDelete} }
	half := func(slug string) *contract.ProjectSpec {
		return &contract.ProjectSpec{Slug: slug, Template: "go-api", Repository: &contract.RepositorySpec{}}
	}
	return []story{
		{"made", nil, create, "", contract.Completed, all()},
		{"undone", nil, create, "/secrets", contract.Failed, counts{}},
		{"changed", half, change, "", contract.Completed, all()},
		{"deleted", whole, remove, "", contract.Completed, counts{}},
	}
}

// A project that has all, or nothing at all: whatever line the process is killed at.
func TestAProjectWithAllIsWholeOrGoneWhereverItIsKilled(t *testing.T) {
	how, err := envutil.Load[boundaries]()
	if err != nil {
		t.Fatal(err)
	}
	for _, story := range stories() {
		t.Run(story.name, func(t *testing.T) {
			e := newEverything(t)
			begun := time.Now()
			total := e.killed("never", 0, story)
			t.Logf("%d boundaries; without a kill it took %s", total, time.Since(begun).Round(time.Millisecond))
			if total < 40 {
				t.Fatalf("there are %d boundaries: this test kills too little", total)
			}
			step := max(1, total/killsPerStory)
			if how.Every {
				step = 1
			}
			for at := 1 + int(time.Now().Unix())%step; at <= total; at += step {
				e.killed(fmt.Sprintf("k%d", at), at, story)
				if t.Failed() {
					t.Fatalf("it was killed at boundary %d of %d", at, total)
				}
			}
		})
	}
}

// killed tells a story with a project while the process is killed at a boundary, looks what
// there is, and deletes it. It returns how many boundaries the operation had.
func (e *everything) killed(slug string, at int, story story) int {
	e.t.Helper()
	if e.child == nil {
		e.begin()
	}
	e.gate.set(0, "")
	if story.before != nil {
		e.made(story.before(slug))
	}
	dead := e.gate.set(at, story.refuses)
	op := story.op(slug)
	op.Project = slug
	op = e.ask(op)
	if at > 0 {
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = e.conn.AwaitEnd(e.t.Context(), op)
		}()
		select {
		case <-dead:
			e.end()
			e.begin()
		case <-over: // it had fewer this time
		}
	}
	ended := e.ended(op, story.state)
	passed := e.gate.passed()
	e.gate.set(0, "")
	if there := e.there(slug); !maps.Equal(there, story.there) {
		e.t.Errorf("of %s there are %v, want %v; its steps: %+v", slug, there, story.there, ended.Provisioning)
	}
	if len(story.there) == 0 {
		if project, err := e.conn.Project(e.t.Context(), slug); err == nil && project.State != contract.ProjectDeleted {
			e.t.Errorf("the project is %s", project.State)
		}
		return passed
	}
	drift, err := e.drift(slug)
	if err != nil || drift.Drift || len(drift.Resources) < 12 {
		e.t.Errorf("%v: %+v", err, drift)
	}
	e.deleted(slug)
	if there := e.there(slug); len(there) > 0 {
		e.t.Errorf("of %s, which was deleted, there are %v", slug, there)
	}
	return passed
}

// Of two who make a project of one name at once one does, and the other changes nothing of
// it.
func TestOfTwoCreationsAtOnceOneMakesTheProject(t *testing.T) {
	e := newEverything(t)
	e.begin()
	e.gate.set(0, "")
	var wg sync.WaitGroup
	ended := make([]contract.Operation, 2)
	for i := range ended {
		wg.Go(func() {
			op := e.ask(contract.Operation{Kind: contract.KindProjectCreate, Project: "shop", Spec: whole("shop")})
			ended[i], _ = e.conn.AwaitEnd(t.Context(), op)
		})
	}
	wg.Wait()
	states := map[contract.State]int{}
	for _, op := range ended {
		states[op.State]++
		if op.State == contract.Failed && op.Failure.Message != "project shop exists already" {
			t.Errorf("it says %q", op.Failure.Message)
		}
	}
	if states[contract.Completed] != 1 || states[contract.Failed] != 1 {
		t.Errorf("they are %v", states)
	}
	if there := e.there("shop"); !maps.Equal(there, all()) {
		t.Errorf("there are %v", there)
	}
}
