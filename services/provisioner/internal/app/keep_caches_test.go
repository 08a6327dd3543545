package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// drawer keeps caches in memory: a password for each project.
type drawer struct {
	app.Caches

	passwords map[string]string
	asked     []string
	away      error            // of Known
	fails     map[string]error // of Create
	during    func()           // what happens while Create works
}

func (d *drawer) Known(_ context.Context, slug, password string) (bool, error) {
	d.asked = append(d.asked, slug)
	return d.passwords[slug] == password, d.away
}

func (d *drawer) Create(_ context.Context, slug, password string) (app.Cache, error) {
	if d.during != nil {
		d.during()
		d.during = nil
	}
	d.passwords[slug] = password
	return app.Cache{}, d.fails[slug]
}

func (d *drawer) Drop(_ context.Context, slug string) error {
	delete(d.passwords, slug)
	return nil
}

// urls are the credentials REDIS_URL of projects.
type urls struct {
	app.Secrets

	values map[string]string
	fails  map[string]error
}

func (u urls) Has(_ context.Context, slug, _ string) (bool, error) {
	_, has := u.values[slug]
	return has, u.fails[slug]
}

func (u urls) Values(_ context.Context, slug string, names ...string) (map[string]string, error) {
	value, ok := u.values[slug]
	if !ok {
		return nil, &contract.Error{Code: contract.CodeNotFound}
	}
	return map[string]string{names[0]: value}, nil
}

func cached(slug string) contract.Project {
	return contract.Project{Slug: slug, State: contract.ProjectReady, Resources: []contract.Resource{
		{Name: "workspace"}, {Name: "cache", External: map[string]string{"user": "rdev-" + slug}},
	}}
}

func urlOf(slug, password string) string { return "redis://rdev-" + slug + ":" + password + "@h:1/0" }

func keeping(projects ...contract.Project) (*app.App, *drawer, urls) {
	d, u := &drawer{passwords: map[string]string{}, fails: map[string]error{}}, urls{values: map[string]string{}, fails: map[string]error{}}
	for _, project := range projects {
		u.values[project.Slug] = urlOf(project.Slug, "secret-"+project.Slug)
	}
	return &app.App{View: view(projects), Steps: []app.Step{app.WorkspaceStep{}, app.CacheStep{Caches: d, Secrets: u}}}, d, u
}

func TestForgottenUsersAreLetInAgain(t *testing.T) {
	var all []contract.Project
	for i := range contract.MaxPage + 3 {
		all = append(all, cached(fmt.Sprintf("p-%06d", i)))
	}
	a, d, _ := keeping(all...)
	for _, project := range all[:10] {
		d.passwords[project.Slug] = "secret-" + project.Slug
	}
	d.passwords[all[10].Slug] = "another"
	for round, want := range []int{contract.MaxPage + 3 - 10, 0} {
		if restored, err := a.KeepCaches(t.Context()); restored != want || err != nil {
			t.Errorf("round %d: %d are let in again, %v", round, restored, err)
		}
		for _, project := range all {
			if got := d.passwords[project.Slug]; got != "secret-"+project.Slug {
				t.Errorf("round %d: %s has %q", round, project.Slug, got)
			}
		}
	}
}

func TestWhatIsNoCacheOfOursIsLeftAlone(t *testing.T) {
	without, deleting := contract.Project{Slug: "without", State: contract.ProjectReady}, cached("deleting")
	deleting.State = contract.ProjectDeleting
	a, d, u := keeping(without, deleting, cached("elsewhere"), cached("nothing"), cached("broken"), cached("open"))
	u.values["elsewhere"] = "redis://me:secret@elsewhere:6379"
	delete(u.values, "nothing")
	u.values["broken"] = "redis://%zz"
	u.values["open"] = "redis://rdev-open@h:1"
	if restored, err := a.KeepCaches(t.Context()); restored != 0 || err != nil || len(d.asked) > 0 {
		t.Errorf("%d are let in again, %v; asked was about %q", restored, err, d.asked)
	}
	for _, a := range []*app.App{{View: view{cached("shop")}}, {View: view{cached("shop")}, Steps: []app.Step{app.CacheStep{}}}} {
		if restored, err := a.KeepCaches(t.Context()); restored != 0 || err != nil {
			t.Errorf("without a server: %d, %v", restored, err)
		}
	}
}

func TestAProjectThatFailsHoldsUpNoOtherButAServerThatIsAwayDoes(t *testing.T) {
	a, d, u := keeping(cached("a"), cached("b"), cached("c"))
	u.fails["a"] = errors.New("no vault")
	d.fails["b"] = errors.New("no rules")
	restored, err := a.KeepCaches(t.Context())
	if restored != 1 || err == nil || err.Error() != "keep the cache of a: no vault\nkeep the cache of b: no rules" {
		t.Errorf("%d, %v", restored, err)
	}
	a, d, _ = keeping(cached("a"), cached("b"), cached("c"))
	d.away = errors.New("connection refused")
	if _, err := a.KeepCaches(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") || !slices.Equal(d.asked, []string{"a"}) {
		t.Errorf("%v; asked was about %q", err, d.asked)
	}
}

func TestWhatChangesWhileAUserIsLetInWins(t *testing.T) {
	a, d, u := keeping(cached("shop"))
	d.during = func() { u.values["shop"] = urlOf("shop", "next") }
	if restored, err := a.KeepCaches(t.Context()); restored != 1 || err != nil || d.passwords["shop"] != "next" {
		t.Errorf("rotated: %d, %v, %q", restored, err, d.passwords)
	}
	a, d, u = keeping(cached("shop"))
	d.during = func() { delete(u.values, "shop") }
	if restored, err := a.KeepCaches(t.Context()); restored != 0 || err != nil || len(d.passwords) > 0 {
		t.Errorf("removed: %d, %v, %q", restored, err, d.passwords)
	}
}
