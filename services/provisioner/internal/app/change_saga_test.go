package app_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// hosted is a project with a workspace, a database, and the hosts of its domains, which are
// parts of a land.
func hosted(kind string, change contract.ProjectChange) (*app.App, *log, *land) {
	a, l, w := newSaga()
	a.Steps = []app.Step{
		part{w, "workspace", nil},
		wished{part{w, "database", nil}, func(s contract.ProjectSpec) bool { return s.Database }},
		part{w, "ci", []string{"workspace", "database"}},
	}
	a.Domain = "example.com"
	a.Families = []app.Family{{
		Name: "host",
		Subjects: func(_, target contract.ProjectSpec) (all []string) {
			for _, d := range target.Domains {
				all = append(all, d.Host)
			}
			return all
		},
		Step: func(host string) app.Step { return part{w, "host/" + host, nil} },
	}}
	w.foreign, w.there = map[string]bool{}, map[string]bool{"workspace": true, "database": true, "ci": true, "host/a.example.com": true}
	l.project = &contract.Project{Slug: "shop", State: contract.ProjectReady, Rev: 1, Seq: 1, Operation: "before", Spec: &contract.ProjectSpec{
		Slug: "shop", Template: "default", Database: true, Domains: []contract.Domain{{Host: "a.example.com"}},
	}}
	for _, name := range []string{"workspace", "database", "ci", "host/a.example.com"} {
		r := contract.Resource{Name: name, Action: contract.ProvisionCreate, What: "part " + name, External: map[string]string{"id": name}}
		if name == "ci" {
			r.Needs = []string{"workspace", "database"}
		}
		l.project.Resources = append(l.project.Resources, r)
	}
	op := l.operations["op"]
	op.Kind, op.Spec, op.Change = kind, nil, &change
	l.operations["op"] = op
	return a, l, w
}

// wished is a part that a project has which asks for it.
type wished struct {
	part
	asked func(contract.ProjectSpec) bool
}

func (w wished) Asked(_, target contract.ProjectSpec) bool { return w.asked(target) }

// A project that is changed is as it was, or as it is to be, wherever the change is killed;
// and what it is said to have is what is there.
func TestAChangeThatIsKilledAtAnyBoundaryIsDoneOrUndone(t *testing.T) {
	no := false
	for _, c := range []struct {
		name   string
		kind   string
		change contract.ProjectChange
		before func(*log, *land)
		state  contract.State
		there  string
		hosts  string
		words  string
	}{
		{
			name: "a host more, one less", kind: contract.KindProjectChange,
			change: contract.ProjectChange{AddDomains: []contract.Domain{{Host: "b"}}, RemoveDomains: []string{"a"}},
			state:  contract.Completed, there: "ci database host/b.example.com workspace", hosts: "b.example.com",
		},
		{
			name: "what is new cannot be made", kind: contract.KindProjectChange,
			change: contract.ProjectChange{AddDomains: []contract.Domain{{Host: "b"}, {Host: "c.org"}}, RemoveDomains: []string{"a"}},
			before: func(_ *log, w *land) {
				w.broken["host/c.org"] = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is broken")}
			},
			state: contract.Failed, there: "ci database host/a.example.com workspace", hosts: "a.example.com",
			words: "the part host/c.org was not made: it is broken",
		},
		{
			name: "what is old cannot be removed", kind: contract.KindProjectChange,
			change: contract.ProjectChange{RemoveDomains: []string{"a"}},
			before: func(_ *log, w *land) { w.stuck["host/a.example.com"] = true },
			state:  contract.Failed, there: "ci database host/a.example.com workspace",
			words: "the part host/a.example.com was not removed: it holds on",
		},
		{
			name: "no database any more", kind: contract.KindProjectChange, change: contract.ProjectChange{Database: &no},
			state: contract.Completed, there: "ci host/a.example.com workspace", hosts: "a.example.com",
		},
		{
			name: "repair", kind: contract.KindProjectRepair,
			before: func(l *log, w *land) {
				delete(w.there, "database")
				w.there["host/old.org"] = true
				l.project.Resources = append(l.project.Resources, contract.Resource{Name: "host/old.org", Action: contract.ProvisionCreate, What: "part host/old.org"})
			},
			state: contract.Completed, there: "ci database host/a.example.com workspace", hosts: "a.example.com",
		},
		{
			name: "repair of one that is being deleted", kind: contract.KindProjectRepair,
			before: func(l *log, _ *land) { l.project.State = contract.ProjectDeleting },
			state:  contract.Completed, there: "",
		},
		{
			name: "delete", kind: contract.KindProjectDelete, state: contract.Completed, there: "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			boundaries := 1
			for killAt := 0; killAt <= boundaries; killAt++ {
				synctest.Test(t, func(t *testing.T) {
					a, l, w := hosted(c.kind, c.change)
					if c.before != nil {
						c.before(l, w)
					}
					attempts(t, a, l, w, killAt)
					if killAt == 0 {
						boundaries = w.boundary
					}
					op := l.operations["op"]
					if op.State != c.state || (op.Failure != nil) != (c.words != "") || op.Failure != nil && op.Failure.Message != c.words {
						t.Errorf("killed at %d: it is %s, %+v; want %s, %q", killAt, op.State, op.Failure, c.state, c.words)
					}
					var hosts, noted []string
					if l.project.State == contract.ProjectReady {
						for _, d := range l.project.Spec.Domains {
							hosts = append(hosts, d.Host)
						}
						for _, r := range l.project.Resources {
							noted = append(noted, r.Name)
						}
					}
					slices.Sort(noted)
					if got := w.all(); got != c.there || got != strings.Join(noted, " ") || strings.Join(hosts, " ") != c.hosts {
						t.Errorf("killed at %d: there are %q, want %q; noted are %v, and the hosts %v; it went %v", killAt, got, c.there, noted, hosts, w.order)
					}
				})
			}
			if boundaries < 6 {
				t.Errorf("there are %d boundaries: this test kills too little", boundaries)
			}
		})
	}
}

func TestAChangeThatMakesNoSenseIsRefusedAndChangesNothing(t *testing.T) {
	yes, no := true, false
	for words, change := range map[string]contract.ProjectChange{
		"project shop has the domain a.example.com already":                  {AddDomains: []contract.Domain{{Host: "a"}}},
		"project shop has no domain b.example.com":                           {RemoveDomains: []string{"b"}},
		"project shop has a database already":                                {Database: &yes},
		"project shop has no cache":                                          {Cache: &no},
		"project shop has no access":                                         {Rotate: []string{"access"}},
		"project shop has no repository to which a component could be added": {AddComponents: []contract.Component{{Kind: "service", Name: "api"}}},
		"x.org cannot be an alias of b.example.com, which is none of the project's own domains": {
			AddDomains: []contract.Domain{{Host: "x.org", AliasOf: "b"}},
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			a, l, w := hosted(contract.KindProjectChange, change)
			if err := a.Handle(t.Context(), "op", &command{}); err != nil {
				t.Fatal(err)
			}
			op := l.operations["op"]
			if op.State != contract.Failed || op.Failure.Message != words || op.Failure.Class != contract.ClassUser || len(w.order) > 0 || l.project.Rev != 1 {
				t.Errorf("it is %s, %+v; want %q", op.State, op.Failure, words)
			}
		})
	}
}

func TestWhatNeedsAPartThatChangesIsAppliedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, w := hosted(contract.KindProjectChange, contract.ProjectChange{Rotate: []string{"database"}})
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		var steps []string
		for _, step := range l.operations["op"].Provisioning {
			steps = append(steps, fmt.Sprintf("%s %s %s", step.Action, step.Name, step.State))
		}
		if want := []string{"rotate database applied", "update ci applied"}; !slices.Equal(steps, want) || w.all() != "ci database host/a.example.com workspace" {
			t.Errorf("it did %q, want %q", steps, want)
		}
	})
}

func TestADeleteKeepsWhatItIsToKeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectDelete)
		op := d.log.operations["op"]
		op.Change = &contract.ProjectChange{Keep: []string{"database"}}
		d.log.operations["op"] = op
		d.handle(t, "op", contract.Completed)
		if !slices.Equal(d.done, []string{"release", "workspace"}) || !d.shelf.there || d.log.project.State != contract.ProjectDeleted {
			t.Errorf("it went %v; the project is %+v", d.done, d.log.project)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectDelete)
		op := d.log.operations["op"]
		op.Change = &contract.ProjectChange{Keep: []string{"workspace"}}
		d.log.operations["op"] = op
		failed := d.handle(t, "op", contract.Failed)
		if failed.Failure.Message != "workspace cannot be kept: it may be repository or database" || len(d.done) > 0 || d.log.project.State != contract.ProjectReady {
			t.Errorf("it says %q, and went %v", failed.Failure.Message, d.done)
		}
	})
}

func TestARepairAppliesAgainWhatNeedsWhatItMakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, w := hosted(contract.KindProjectRepair, contract.ProjectChange{})
		delete(w.there, "database")
		found, err := a.Drift(t.Context(), contract.ProjectDrift{Project: "shop"})
		for _, r := range found.Resources {
			if differs := r.State != contract.DifferenceNone; err != nil || differs != (r.Name == "database") {
				t.Errorf("%+v, %v", r, err)
			}
		}
		attempts(t, a, l, w, 0)
		if !slices.Equal(w.order, []string{"database", "ci"}) {
			t.Errorf("it went %v", w.order)
		}
	})
}

func TestWhatARepairCannotMakeStaysForTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, l, w := hosted(contract.KindProjectRepair, contract.ProjectChange{})
		delete(w.there, "database")
		delete(w.there, "host/a.example.com")
		w.broken["database"] = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is broken")}
		if err := a.Handle(t.Context(), "op", &command{}); err != nil {
			t.Fatal(err)
		}
		if op := l.operations["op"]; op.State != contract.Failed || op.Failure.Message != "the part database was not updated: it is broken" || len(l.project.Resources) != 4 || slices.Contains(w.order, "-workspace") {
			t.Errorf("it is %s, %+v, and went %v", op.State, op.Failure, w.order)
		}
		delete(w.broken, "database")
		l.operations["again"] = contract.Operation{ID: "again", Kind: contract.KindProjectRepair, Project: "shop", State: contract.Pending}
		if err := a.Handle(context.WithoutCancel(t.Context()), "again", &command{}); err != nil {
			t.Fatal(err)
		}
		if got := w.all(); got != "ci database host/a.example.com workspace" || l.operations["again"].State != contract.Completed {
			t.Errorf("there are %s", got)
		}
	})
}
