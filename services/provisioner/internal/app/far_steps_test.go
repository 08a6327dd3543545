package app_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// forge keeps the repository of one project in memory.
type forge struct {
	there, marked bool
	keys          bool // gives keys instead of tokens
	grants        int
	commits       []app.Commit
	lost          int   // so many answers to Commit do not arrive
	refuses       error // of Commit
	stuck         error // of Release
	done          []string
	renamed       map[string]string // by the name before
	released      string            // what was adopted
}

func (f *forge) Plan(_ context.Context, slug, adopt string) (string, error) {
	if adopt != "" {
		return cmp.Or(f.renamed[adopt], adopt), nil
	}
	return "rdev/" + slug, nil
}

func (f *forge) Create(ctx context.Context, slug, adopt string) (app.Repository, error) {
	f.there, f.marked = true, true
	name, err := f.Plan(ctx, slug, adopt)
	return app.Repository{ID: "7", Name: name, CloneURL: "https://git.example.com/" + name + ".git", WebURL: "https://git.example.com/" + name, Branch: "main"}, err
}

func (f *forge) Grant(_ context.Context, _ string, r app.Repository) (app.Access, error) {
	f.grants++
	if f.keys {
		return app.Access{SSHURL: "git@git.example.com:" + r.Name + ".git", Key: fmt.Sprintf("key %d", f.grants)}, nil
	}
	return app.Access{User: "bot", Token: fmt.Sprintf("token %d", f.grants)}, nil
}

func (f *forge) Head(context.Context, app.Repository) (string, error) {
	if len(f.commits) == 0 {
		return "", nil
	}
	return fmt.Sprintf("c%d", len(f.commits)), nil
}

func (f *forge) Read(_ context.Context, _ app.Repository, _, path string) ([]byte, bool, error) {
	for _, commit := range slices.Backward(f.commits) {
		if file, ok := commit.Files[path]; ok {
			return file.Data, true, nil
		}
	}
	return nil, false, nil
}

func (f *forge) Committed(_ context.Context, _ app.Repository, operation string) (string, error) {
	for i, commit := range f.commits {
		if commit.Operation == operation {
			return fmt.Sprintf("c%d", i+1), nil
		}
	}
	return "", nil
}

func (f *forge) Commit(ctx context.Context, r app.Repository, c app.Commit) (string, error) {
	if commit, err := f.Committed(ctx, r, c.Operation); commit != "" {
		return commit, err
	}
	if head, _ := f.Head(ctx, r); head != c.Parent {
		return "", fmt.Errorf("it is for %q, and the branch is at %q", c.Parent, head)
	}
	if f.refuses != nil {
		return "", f.refuses
	}
	f.commits = append(f.commits, c)
	if f.lost > 0 {
		f.lost--
		return "", errors.New("the answer is lost")
	}
	return f.Head(ctx, r)
}

func (f *forge) Remove(context.Context, string, string) error {
	f.there, f.marked, f.done = false, false, append(f.done, "remove")
	return nil
}

func (f *forge) Release(_ context.Context, _, adopt string) error {
	if f.stuck != nil {
		return f.stuck
	}
	f.marked, f.done, f.released = false, append(f.done, "release"), adopt
	return nil
}

func (f *forge) Verify(context.Context, string, string) ([]string, error) { return nil, nil }

// pipes is a CI that knows one repository.
type pipes struct {
	active  bool
	secrets map[string]string
	refuses error // of Activate
	stuck   error // of Remove
	done    []string
}

func (p *pipes) Plan(context.Context) error                  { return nil }
func (p *pipes) Known(context.Context, string) (bool, error) { return p.active, nil }

func (p *pipes) Verify(context.Context, app.Repository, []string) ([]string, error) { return nil, nil }

func (p *pipes) Activate(_ context.Context, r app.Repository, secrets map[string]string) (app.CIRepository, error) {
	p.active, p.secrets = true, secrets
	return app.CIRepository{ID: "9", URL: "https://ci.example.com/" + r.Name}, p.refuses
}

func (p *pipes) Release(context.Context, app.Repository) error {
	p.secrets, p.done = nil, append(p.done, "release")
	return nil
}

func (p *pipes) Remove(context.Context, app.Repository) error {
	if p.stuck != nil {
		return p.stuck
	}
	p.active, p.done = false, append(p.done, "remove")
	return nil
}

// far is a project with a repository, of which the vault knows a database and a cache.
type far struct {
	*databases
	forge *forge
	pipes *pipes
}

func withRepository(kind string, spec contract.ProjectSpec) *far {
	f := &far{databases: withDatabases(contract.KindProjectCreate), forge: &forge{}, pipes: &pipes{}}
	f.safe.values["shop REDIS_URL"], f.safe.values["shop DATABASE_URL"] = "redis://", "postgres://"
	f.Steps = []app.Step{
		app.RepositoryStep{Repositories: f.forge},
		app.AccessStep{Repositories: f.forge, Secrets: f.safe},
		app.WorkspaceStep{Workspaces: f.disk},
		app.CIStep{CI: f.pipes, Repositories: f.forge, Secrets: f.safe},
		app.TemplateStep{Repositories: f.forge},
		app.ComponentsStep{Repositories: f.forge},
	}
	spec.Slug = "shop"
	f.ask("op", kind, &spec, nil)
	return f
}

// ask adds an operation to the log.
func (f *far) ask(id, kind string, spec *contract.ProjectSpec, change *contract.ProjectChange) {
	f.log.operations[id] = contract.Operation{
		ID: id, Kind: kind, Project: "shop", State: contract.Pending, Rev: 1, Lane: contract.ProjectLane("shop"), Spec: spec, Change: change,
	}
}

// kept is what the vault has of the repository, by name.
func (f *far) kept() map[string]string {
	all := map[string]string{}
	for name, value := range f.safe.values {
		if name = strings.TrimPrefix(name, "shop "); strings.HasPrefix(name, "REPOSITORY_") {
			all[name] = value
		}
	}
	return all
}

func TestARepositoryLeavesItsNamesInTheProjectAndItsCredentialsInTheVault(t *testing.T) {
	const url = "https://git.example.com/rdev/shop"
	for name, c := range map[string]struct {
		keys          bool
		access, vault map[string]string
	}{
		"token": {
			false,
			map[string]string{"user": "bot"},
			map[string]string{"REPOSITORY_URL": url + ".git", "REPOSITORY_USER": "bot", "REPOSITORY_TOKEN": "token 1"},
		},
		"key": {
			true,
			map[string]string{"clone_url": "git@git.example.com:rdev/shop.git"},
			map[string]string{"REPOSITORY_URL": "git@git.example.com:rdev/shop.git", "REPOSITORY_KEY": "key 1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "go-api", Repository: &contract.RepositorySpec{}})
				f.forge.keys = c.keys
				op := f.handle(t, "op", contract.Completed)
				for resource, want := range map[string]map[string]string{
					"repository": {"id": "7", "name": "rdev/shop", "clone_url": url + ".git", "url": url, "branch": "main"},
					"access":     c.access,
					"ci":         {"id": "9", "url": "https://ci.example.com/rdev/shop"},
				} {
					if r := f.log.project.Resource(resource); r == nil || !maps.Equal(r.External, want) {
						t.Errorf("the %s is %+v, want %v", resource, r, want)
					}
				}
				if !maps.Equal(f.kept(), c.vault) {
					t.Errorf("the vault has %v, want %v", f.kept(), c.vault)
				}
				if len(f.forge.commits) != 1 || f.forge.commits[0].Files["go.mod"].Data == nil || f.forge.commits[0].Operation != "op" {
					t.Errorf("it has %d commits", len(f.forge.commits))
				}
				for _, step := range op.Provisioning {
					if step.Name == "template" && (step.External["commit"] != "c1" || f.log.project.Resource("template") != nil) {
						t.Errorf("the template is %+v", step)
					}
				}

				f.ask("gone", contract.KindProjectDelete, nil, nil)
				f.handle(t, "gone", contract.Completed)
				if len(f.kept()) > 0 || f.forge.there || f.pipes.active {
					t.Errorf("left are %v; the repository: %t, the pipelines: %t", f.kept(), f.forge.there, f.pipes.active)
				}
			})
		})
	}
}

func TestAProjectThatIsNotMadeLeavesNoCredential(t *testing.T) {
	for _, keys := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
			f.forge.keys, f.forge.refuses = keys, &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is read-only")}
			op := f.handle(t, "op", contract.Failed)
			if op.Failure.Message != "the files of the template default was not written: it is read-only" || len(f.kept()) > 0 || f.forge.grants != 1 || f.forge.there || f.pipes.active {
				t.Errorf("it says %q; left are %v; the repository: %t, the pipelines: %t", op.Failure.Message, f.kept(), f.forge.there, f.pipes.active)
			}
		})
	}
}

func TestAnotherTokenTakesThePlaceOfTheOneBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
		f.handle(t, "op", contract.Completed)
		f.ask("rotate", contract.KindProjectChange, nil, &contract.ProjectChange{Rotate: []string{"access"}})
		f.handle(t, "rotate", contract.Completed)
		if got := f.kept(); got["REPOSITORY_TOKEN"] != "token 2" || got["REPOSITORY_URL"] != "https://git.example.com/rdev/shop.git" || len(f.forge.commits) != 1 {
			t.Errorf("the vault has %v, and there are %d commits", got, len(f.forge.commits))
		}
	})
}

func TestAMissingCredentialOfTheRepositoryIsADifference(t *testing.T) {
	for _, name := range []string{"REPOSITORY_URL", "REPOSITORY_TOKEN", ""} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
			f.handle(t, "op", contract.Completed)
			delete(f.safe.values, "shop "+name)
			found, err := f.Drift(t.Context(), contract.ProjectDrift{Project: "shop"})
			var all []string
			for _, r := range found.Resources {
				all = append(all, r.Differences...)
			}
			if err != nil || name == "" && len(all) > 0 || name != "" && !slices.Equal(all, []string{"the credential " + name + " is missing"}) {
				t.Errorf("without %q it finds %q, %v", name, all, err)
			}
		})
	}
}

func TestPipelinesGetTheAddressesOfWhatTheProjectHas(t *testing.T) {
	for _, c := range []struct {
		database, cache bool
		want            map[string]string
	}{
		{false, false, nil},
		{true, false, map[string]string{"DATABASE_URL": "postgres://"}},
		{false, true, map[string]string{"REDIS_URL": "redis://"}},
		{true, true, map[string]string{"DATABASE_URL": "postgres://", "REDIS_URL": "redis://"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{
				Template: "default", Repository: &contract.RepositorySpec{}, Database: c.database, Cache: c.cache,
			})
			f.handle(t, "op", contract.Completed)
			if !f.pipes.active || !maps.Equal(f.pipes.secrets, c.want) {
				t.Errorf("database %t, cache %t: the pipelines get %v", c.database, c.cache, f.pipes.secrets)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{NoCI: true}})
		f.handle(t, "op", contract.Completed)
		if f.pipes.active || f.log.project.Resource("ci") != nil {
			t.Errorf("without a CI it has %+v", f.log.project.Resources)
		}
	})
}

func TestAnAdoptedRepositoryGetsNoFilesAndStays(t *testing.T) {
	for _, active := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "go-api", Repository: &contract.RepositorySpec{Adopt: "alice/shop"}})
			f.forge.there, f.pipes.active = true, active
			f.handle(t, "op", contract.Completed)
			r := f.log.project.Resource("repository")
			if r == nil || r.Action != contract.ProvisionAdopt || r.External["name"] != "alice/shop" || len(f.forge.commits) > 0 || !f.forge.marked {
				t.Errorf("it is %+v, with %d commits", r, len(f.forge.commits))
			}
			if f.kept()["REPOSITORY_URL"] != "https://git.example.com/alice/shop.git" {
				t.Errorf("the vault has %v", f.kept())
			}
			f.ask("gone", contract.KindProjectDelete, nil, nil)
			f.handle(t, "gone", contract.Completed)
			f.givenBack(t, active)
		})
	}
}

// givenBack fails the test where a repository that was adopted, and its pipelines, are not as
// they were.
func (f *far) givenBack(t *testing.T, active bool) {
	t.Helper()
	if !slices.Equal(f.forge.done, []string{"release"}) || !f.forge.there || f.forge.marked || len(f.kept()) > 0 {
		t.Errorf("the forge did %v; the vault has %v", f.forge.done, f.kept())
	}
	if f.pipes.active != active || active && (f.pipes.secrets != nil || !slices.Equal(f.pipes.done, []string{"release"})) {
		t.Errorf("pipelines ran before: %t; after: %t, with %v, for it did %v", active, f.pipes.active, f.pipes.secrets, f.pipes.done)
	}
}

func TestAnAdoptedRepositoryIsGivenBackWhereTheProjectIsNotMade(t *testing.T) {
	for _, active := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{
				Template: "go-api", Repository: &contract.RepositorySpec{Adopt: "alice/shop"}, Database: true,
			})
			f.forge.there, f.pipes.active = true, active
			f.pipes.refuses = &app.StepError{Failure: contract.NewFailure(contract.ClassUser, "it is full")}
			if op := f.handle(t, "op", contract.Failed); strings.Contains(op.Failure.Message, "left") {
				t.Errorf("it says %s", op.Failure.Message)
			}
			f.givenBack(t, active)
		})
	}
}

// What was asked for may be a name of before, which another repository has by now.
func TestAnAdoptedRepositoryIsTheOneThatWasFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "go-api", Repository: &contract.RepositorySpec{Adopt: "alice/old"}})
		f.forge.there, f.forge.renamed = true, map[string]string{"alice/old": "alice/shop"}
		f.handle(t, "op", contract.Completed)
		f.ask("gone", contract.KindProjectDelete, nil, nil)
		f.handle(t, "gone", contract.Completed)
		if f.forge.released != "alice/shop" {
			t.Errorf("it gave back %q", f.forge.released)
		}
	})
}

func TestARepositoryThatIsKeptIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
		f.handle(t, "op", contract.Completed)
		f.ask("gone", contract.KindProjectDelete, nil, &contract.ProjectChange{Keep: []string{"repository"}})
		f.handle(t, "gone", contract.Completed)
		if !slices.Equal(f.forge.done, []string{"release"}) || !f.forge.there || len(f.kept()) > 0 {
			t.Errorf("the forge did %v; the vault has %v", f.forge.done, f.kept())
		}
	})
}

func TestPipelinesThatWereLeftAreRemovedWhereTheRepositoryIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
		f.pipes.refuses = &app.StepError{Failure: contract.NewFailure(contract.ClassAuth, "it is out of reach")}
		f.pipes.stuck = f.pipes.refuses
		f.handle(t, "op", contract.Failed)
		if f.forge.there || !f.pipes.active || f.log.project.State != contract.ProjectDeleting {
			t.Fatalf("the repository: %t, the pipelines: %t, the project: %+v", f.forge.there, f.pipes.active, f.log.project)
		}
		f.pipes.stuck = nil
		f.ask("again", contract.KindProjectRepair, nil, nil)
		f.handle(t, "again", contract.Completed)
		if f.pipes.active || f.log.project.State != contract.ProjectDeleted {
			t.Errorf("the pipelines: %t, the project: %+v", f.pipes.active, f.log.project)
		}
	})
}

// A repair would remove what it takes for a rest, and fail at what is nobody's any more.
func TestWhatWasToBeKeptIsKeptWhateverFinishesTheDeletion(t *testing.T) {
	stuck := &app.StepError{Failure: contract.NewFailure(contract.ClassAuth, "it is out of reach")}
	for _, finish := range []string{contract.KindProjectDelete, contract.KindProjectRepair} {
		for _, keep := range [][]string{nil, {"repository"}} {
			for what, hold := range map[string]func(*far, error){
				"the pipelines":  func(f *far, err error) { f.pipes.stuck = err },
				"the repository": func(f *far, err error) { f.forge.stuck = err },
			} {
				synctest.Test(t, func(t *testing.T) {
					f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "default", Repository: &contract.RepositorySpec{}})
					f.handle(t, "op", contract.Completed)
					hold(f, stuck)
					f.ask("gone", contract.KindProjectDelete, nil, &contract.ProjectChange{Keep: []string{"repository"}})
					f.handle(t, "gone", contract.Failed)
					hold(f, nil)
					f.ask("again", finish, nil, &contract.ProjectChange{Keep: keep})
					f.handle(t, "again", contract.Completed)
					if !slices.Equal(slices.Compact(f.forge.done), []string{"release"}) || !f.forge.there || f.pipes.active || len(f.kept()) > 0 || f.log.project.State != contract.ProjectDeleted {
						t.Errorf("%s were stuck: the forge did %v; pipelines run: %t; the project is %+v", what, f.forge.done, f.pipes.active, f.log.project)
					}
				})
			}
		}
	}
}

// The answer to a commit may be lost: the step is tried again, and finds it.
func TestComponentsAreOneCommitWhateverBecomesOfItsAnswer(t *testing.T) {
	for _, lost := range []int{0, 1} {
		synctest.Test(t, func(t *testing.T) {
			f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "monorepo", Repository: &contract.RepositorySpec{}})
			f.handle(t, "op", contract.Completed)
			f.forge.lost = lost
			f.ask("add", contract.KindProjectChange, nil, &contract.ProjectChange{
				AddComponents: []contract.Component{{Kind: "service", Name: "api"}, {Kind: "cli", Name: "tool"}},
			})
			op := f.handle(t, "add", contract.Completed)
			if len(f.forge.commits) != 2 {
				t.Fatalf("there are %d commits", len(f.forge.commits))
			}
			commit, paths := f.forge.commits[1], ""
			for path := range commit.Files {
				paths += path + "\n"
			}
			if commit.Message != "Add the service api, the cli tool" || commit.Operation != "add" || commit.Parent != "c1" || !strings.Contains(paths, "api/") || !strings.Contains(paths, "tool/") {
				t.Errorf("the commit is %q of %s on %s with\n%s", commit.Message, commit.Operation, commit.Parent, paths)
			}
			i := slices.IndexFunc(op.Provisioning, func(s contract.ProvisionStep) bool { return s.Name == "components" })
			if i < 0 || op.Provisioning[i].External["commit"] != "c2" || len(f.log.project.Spec.Components) != 2 {
				t.Errorf("it notes %+v", op.Provisioning)
			}
		})
	}
}

// Of what the templates refuse the failure has the words alone.
func TestComponentsThatCannotBeAddedAreRefusedInWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := withRepository(contract.KindProjectCreate, contract.ProjectSpec{Template: "monorepo", Repository: &contract.RepositorySpec{}})
		f.handle(t, "op", contract.Completed)
		f.forge.commits = append(f.forge.commits, app.Commit{Files: map[string]app.CommitFile{"cli/tool/main.go": {}}})
		f.ask("add", contract.KindProjectChange, nil, &contract.ProjectChange{AddComponents: []contract.Component{{Kind: "cli", Name: "tool"}}})
		op := f.handle(t, "add", contract.Failed)
		if op.Failure.Class != contract.ClassUser || !strings.HasSuffix(op.Failure.Message, "cli/tool/main.go is there already") ||
			strings.Contains(op.Failure.Message, string(contract.CodeConflict)) || len(f.forge.commits) != 2 {
			t.Errorf("%d commits, %+v", len(f.forge.commits), op.Failure)
		}
	})
}
