package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// shelf keeps databases in memory, and the order of what is done.
type shelf struct {
	there    bool
	password string
	fails    error // of Create, and of Drop, after its effect
	foreign  error // of all
	done     *[]string
}

func (s *shelf) Plan(context.Context, string) (string, error) { return "project_shop", s.foreign }

func (s *shelf) Create(_ context.Context, _, password string) (app.Database, error) {
	if s.foreign != nil {
		return app.Database{}, s.foreign
	}
	s.there, s.password = true, password
	return app.Database{Name: "project_shop", Role: "role", Host: "db:5432", URL: "postgres://role:" + password + "@db/project_shop"}, s.fails
}

func (s *shelf) Rotate(ctx context.Context, slug, password string) (app.Database, error) {
	*s.done = append(*s.done, "rotate")
	return s.Create(ctx, slug, password)
}

func (s *shelf) Release(context.Context, string) error {
	*s.done = append(*s.done, "release")
	return s.fails
}

func (s *shelf) Verify(context.Context, string) ([]string, error) {
	if !s.there {
		return []string{"it is missing"}, s.foreign
	}
	return nil, s.foreign
}

func (s *shelf) Drop(context.Context, string) error {
	*s.done = append(*s.done, "database")
	if s.foreign == nil && s.fails == nil {
		s.there = false
	}
	return errors.Join(s.foreign, s.fails)
}

// safe is the vault of one project.
type safe struct {
	values map[string]string
	fails  error
	none   error
}

func (s *safe) Keep(_ context.Context, op contract.Operation, name, value string) error {
	s.values[op.Project+" "+name] = value
	return s.fails
}

func (s *safe) Forget(context.Context, string) error {
	clear(s.values)
	return nil
}

func (s *safe) Available(string) error { return s.none }

func (s *safe) Values(_ context.Context, slug string, names ...string) (map[string]string, error) {
	all := map[string]string{}
	for _, name := range names {
		all[name] = s.values[slug+" "+name]
	}
	return all, nil
}

func (s *safe) Has(_ context.Context, slug, name string) (bool, error) {
	return s.values[slug+" "+name] != "", nil
}

func (s *safe) Drop(_ context.Context, slug string, names ...string) error {
	for _, name := range names {
		delete(s.values, slug+" "+name)
	}
	return nil
}

// noted is a workspace that notes its end.
type noted struct {
	*disk
	done *[]string
}

func (n noted) Remove(ctx context.Context, slug string) error {
	*n.done = append(*n.done, "workspace")
	return n.disk.Remove(ctx, slug)
}

type databases struct {
	*app.App
	log   *log
	disk  *disk
	shelf *shelf
	safe  *safe
	done  []string
}

func withDatabases(kind string) *databases {
	d := &databases{safe: &safe{values: map[string]string{}}}
	d.App, d.log, d.disk = setUp(kind)
	d.shelf = &shelf{done: &d.done}
	d.Credentials = d.safe
	d.Steps = []app.Step{
		app.WorkspaceStep{Workspaces: noted{d.disk, &d.done}},
		app.DatabaseStep{Databases: d.shelf, Secrets: d.safe},
	}
	op := d.log.operations["op"]
	op.Spec.Database = kind == contract.KindProjectCreate
	if d.log.project != nil {
		d.shelf.there = true
		d.log.project.Resources = []contract.Resource{
			{Name: "workspace", Action: contract.ProvisionCreate, What: "workspace of shop"},
			{Name: "database", Action: contract.ProvisionCreate, What: "database project_shop", External: map[string]string{"host": "db:5432"}},
		}
	}
	return d
}

func (d *databases) handle(t *testing.T, id string, state contract.State) contract.Operation {
	t.Helper()
	if err := d.Handle(t.Context(), id, &command{}); err != nil {
		t.Fatal(err)
	}
	op := d.log.operations[id]
	if op.State != state {
		t.Fatalf("it is %s: %+v", op.State, op.Failure)
	}
	return op
}

func TestAProjectGetsADatabaseWhereItAsksForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectCreate)
		op := d.handle(t, "op", contract.Completed)
		if got := d.safe.values["shop DATABASE_URL"]; got != "postgres://role:"+d.shelf.password+"@db/project_shop" || len(d.shelf.password) < 20 {
			t.Errorf("the vault has %q", got)
		}
		database := d.log.project.Resource("database")
		if database == nil || database.External["database"] != "project_shop" || database.External["role"] != "role" || database.External["host"] != "db:5432" {
			t.Errorf("the project has %+v", d.log.project.Resources)
		}
		for _, document := range []any{op, d.log.project} {
			if text, err := json.Marshal(document); err != nil || strings.Contains(string(text), d.shelf.password) {
				t.Errorf("the password is in the log: %s, %v", text, err)
			}
		}
	})
}

func TestAProjectWithoutADatabaseHasNothingOfOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectCreate)
		d.log.operations["op"].Spec.Database = false
		d.Steps[1] = app.DatabaseStep{} // there is none to be had
		op := d.handle(t, "op", contract.Completed)
		if len(op.Provisioning) != 1 || len(d.log.project.Resources) != 1 || d.log.project.Resource("database") != nil {
			t.Errorf("it has %+v and %+v", op.Provisioning, d.log.project.Resources)
		}
	})
}

func TestADatabaseThatCannotBeHadIsSaidBeforeAnythingIsMade(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*databases, *app.DatabaseStep)
		words  string
	}{
		"none configured": {
			func(_ *databases, s *app.DatabaseStep) { s.Databases = nil },
			"database of shop: databases are not available on this installation: set PROVISIONER_PROJECTS_DATABASE_URL",
		},
		"no vault": {
			func(_ *databases, s *app.DatabaseStep) { s.Secrets = app.VaultSecrets{} },
			"database of shop: there is no vault for DATABASE_URL: set PROVISIONER_MASTER_KEY_FILE",
		},
		"somebody else's": {func(d *databases, _ *app.DatabaseStep) {
			d.shelf.foreign = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is alice's")}
		}, "database of shop: it is alice's"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := withDatabases(contract.KindProjectCreate)
				step, _ := d.Steps[1].(app.DatabaseStep)
				c.change(d, &step)
				d.Steps[1] = step
				op := d.handle(t, "op", contract.Failed)
				if op.Failure.Message != c.words || op.Failure.Class != contract.ClassUser || op.Failure.Retryable || d.disk.there || d.shelf.there || op.Provisioning != nil {
					t.Errorf("it says %+v; there are %t and %t", op.Failure, d.disk.there, d.shelf.there)
				}
			})
		})
	}
}

func TestADatabaseThatFailsLeavesNothing(t *testing.T) {
	for name, breaks := range map[string]func(*databases){
		"create": func(d *databases) {
			d.shelf.fails = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "no")}
		},
		"keep": func(d *databases) {
			d.safe.fails = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "no")}
		},
		"the disk": func(d *databases) { d.disk.fails = errors.New("no") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := withDatabases(contract.KindProjectCreate)
				breaks(d)
				op := d.handle(t, "op", contract.Failed)
				wantLeft := name == "create" // its fake fails to drop as well
				if left := strings.Contains(op.Failure.Message, "left, for it could not be removed: database project_shop"); left != wantLeft {
					t.Errorf("it says %s", op.Failure.Message)
				}
				if d.shelf.there != wantLeft || d.disk.there && d.disk.fails == nil || len(d.safe.values) > 0 && !wantLeft {
					t.Errorf("there are %t, %t, %v", d.shelf.there, d.disk.there, d.safe.values)
				}
				if noted := d.log.project != nil && d.log.project.State == contract.ProjectDeleting; noted != strings.Contains(op.Failure.Message, "left,") {
					t.Errorf("it says %s, and the project is %+v", op.Failure.Message, d.log.project)
				}
			})
		})
	}
}

func TestADeleteRemovesTheDatabaseBeforeTheWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectDelete)
		op := d.handle(t, "op", contract.Completed)
		if !slices.Equal(d.done, []string{"database", "workspace"}) || d.shelf.there || d.disk.there || d.log.project.State != contract.ProjectDeleted || d.log.project.Resources != nil {
			t.Errorf("it went %v; the project is %+v", d.done, d.log.project)
		}
		for _, step := range op.Provisioning {
			if step.State != contract.ProvisionUndone || step.What == "" {
				t.Errorf("of a step it notes %+v", step)
			}
		}
		if len(op.Provisioning) != 2 {
			t.Errorf("it notes %+v", op.Provisioning)
		}
	})
}

func TestADeleteKeepsWhatWasThereBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := withDatabases(contract.KindProjectDelete)
		d.log.project.Resources[1].Action = contract.ProvisionAdopt
		d.handle(t, "op", contract.Completed)
		if !d.shelf.there || d.disk.there {
			t.Errorf("the database is there: %t, the workspace: %t", d.shelf.there, d.disk.there)
		}
	})
}

func TestADeleteThatFailsRemovesTheRestAndIsFinishedByAnother(t *testing.T) {
	for name, c := range map[string]struct {
		fails error
		class contract.FailureClass
	}{
		"no server":       {errors.New("connection refused"), contract.ClassInfrastructure},
		"somebody else's": {&app.StepError{Failure: contract.NewFailure(contract.ClassUser, "connection refused")}, contract.ClassUser},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := withDatabases(contract.KindProjectDelete)
				d.shelf.fails = c.fails
				op := d.handle(t, "op", contract.Failed)
				if op.Failure.Class != c.class || op.Failure.Message != "the database project_shop was not removed: connection refused" {
					t.Errorf("it says %+v", op.Failure)
				}
				states := map[string]contract.ProvisionState{}
				for _, step := range op.Provisioning {
					states[step.Name] = step.State
				}
				if states["database"] != contract.ProvisionLeft || states["workspace"] != contract.ProvisionUndone || d.disk.there || d.log.project.State != contract.ProjectDeleting {
					t.Errorf("it notes %v; the project is %+v", states, d.log.project)
				}

				d.shelf.fails = nil
				d.log.operations["again"] = contract.Operation{ID: "again", Kind: contract.KindProjectDelete, Project: "shop", State: contract.Pending}
				d.handle(t, "again", contract.Completed)
				if d.shelf.there || d.log.project.State != contract.ProjectDeleted {
					t.Errorf("the database is there: %t, and the project %s", d.shelf.there, d.log.project.State)
				}
			})
		})
	}
}

// putting are credentials that one comes to.
type putting struct {
	app.Credentials
	put []app.SealedCredential
}

func (p *putting) Put(ctx context.Context, _, _ string, decide func(context.Context, *app.SealedCredential) (app.SealedCredential, error)) error {
	sealed, err := decide(ctx, nil)
	if err == nil {
		p.put = append(p.put, sealed)
	}
	return err
}

// plain is a cipher that hides nothing.
type plain struct{ app.Cipher }

func (plain) NewKey() []byte { return []byte("key") }

func (plain) Seal(_ []byte, c app.SealedCredential, value string) (app.SealedCredential, error) {
	c.Ciphertext = []byte(value)
	return c, nil
}

// anyKeys takes every data key.
type anyKeys struct{ dataKeys }

func (anyKeys) Add(context.Context, app.DataKey) error { return nil }

func TestTheVaultKeepsWhatARunningOperationMakesAndNoOther(t *testing.T) {
	_, l, _ := setUp(contract.KindProjectCreate)
	credentials := &putting{}
	v := &app.Vault{
		Operations: l, Projects: l, Credentials: credentials, DataKeys: anyKeys{}, Cipher: plain{},
		KMS: &masters{current: "m", unwrap: func() error { return nil }}, Actor: func(context.Context) string { return "nobody" },
	}
	op := l.operations["op"]
	op.State, op.Attempt, op.Actor = contract.Running, 2, "key:ci"
	l.operations["op"] = op
	if err := v.Keep(t.Context(), op, "DATABASE_URL", "x"); err != nil {
		t.Fatal(err)
	}
	if got := credentials.put; len(got) != 1 || got[0].Project != "shop" || got[0].Name != "DATABASE_URL" || got[0].Actor != "key:ci" || string(got[0].Ciphertext) != "x" {
		t.Errorf("it has %+v", got)
	}
	if _, err := v.PutCredential(t.Context(), contract.PutCredential{Project: "shop", Name: "OTHER", Value: "x"}); err == nil {
		t.Error("somebody set a credential of a project that is not there")
	}
	for name, change := range map[string]func(*contract.Operation){
		"the next attempt": func(op *contract.Operation) { op.Attempt = 3 },
		"ended":            func(op *contract.Operation) { op.State = contract.Failed },
		"undone":           func(op *contract.Operation) { op.Undo = contract.NewFailure(contract.ClassUser, "no") },
	} {
		now := op
		change(&now)
		l.operations["op"] = now
		if err := v.Keep(t.Context(), op, "DATABASE_URL", "x"); !errors.Is(err, contract.ErrFenced) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(credentials.put) != 1 {
		t.Errorf("it has %+v", credentials.put)
	}
}
