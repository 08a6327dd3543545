package gateway_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// What is asked of a project is what its operation has, and of a plan what the provisioner
// is asked.
func TestWhatIsAskedOfAProjectIsWhatTheOperationHas(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	var planned contract.PlanProject
	serve(w, contract.ServiceProvisioner, contract.VerbPlanProject, func(p contract.PlanProject) (contract.ProjectPlan, error) {
		planned = p
		return contract.ProjectPlan{Project: p.Project, Kind: p.Kind, OK: true, Steps: []contract.ProvisionStep{}}, nil
	})
	yes, no := true, false
	for _, c := range []struct {
		method, path, body, kind string
		spec                     *contract.ProjectSpec
		change                   *contract.ProjectChange
	}{
		{path: "/projects", body: `{"slug":"a"}`, kind: "project.create", spec: &contract.ProjectSpec{Slug: "a", Template: "default"}},
		{
			path: "/projects", body: `{"slug":"b","template":"go-api","database":true,"cache":true}`, kind: "project.create",
			spec: &contract.ProjectSpec{Slug: "b", Template: "go-api", Repository: &contract.RepositorySpec{}, Domains: []contract.Domain{{}}, Database: true, Cache: true},
		},
		{
			path: "/projects", body: `{"slug":"c","repository":{"adopt":"acme/c","ci":false},"domains":["C","WWW.Bücher.example"]}`, kind: "project.create",
			spec: &contract.ProjectSpec{
				Slug: "c", Template: "default", Repository: &contract.RepositorySpec{Adopt: "acme/c", NoCI: true},
				Domains: []contract.Domain{{Host: "c"}, {Host: "www.xn--bcher-kva.example"}},
			},
		},
		{
			path: "/projects", body: `{"slug":"d","template":"monorepo","components":[{"kind":"service","name":"front"}],"domains":[]}`, kind: "project.create",
			spec: &contract.ProjectSpec{
				Slug: "d", Template: "monorepo", Repository: &contract.RepositorySpec{}, Components: []contract.Component{{Kind: "service", Name: "front"}},
			},
		},
		{
			path: "/projects/shop/domains", body: `{"host":"x.org","alias_of":"Shop"}`, kind: "project.change",
			change: &contract.ProjectChange{AddDomains: []contract.Domain{{Host: "x.org", AliasOf: "shop"}}},
		},
		{method: "DELETE", path: "/projects/shop/domains/x.org", kind: "project.change", change: &contract.ProjectChange{RemoveDomains: []string{"x.org"}}},
		{
			path: "/projects/shop/components", body: `{"components":[{"kind":"worker","name":"mail"}]}`, kind: "project.change",
			change: &contract.ProjectChange{AddComponents: []contract.Component{{Kind: "worker", Name: "mail"}}},
		},
		{path: "/projects/shop/database", kind: "project.change", change: &contract.ProjectChange{Database: &yes}},
		{method: "DELETE", path: "/projects/shop/cache", kind: "project.change", change: &contract.ProjectChange{Cache: &no}},
		{path: "/projects/shop/cache/rotate", kind: "project.change", change: &contract.ProjectChange{Rotate: []string{"cache"}}},
		{path: "/projects/shop/repository/rotate", kind: "project.change", change: &contract.ProjectChange{Rotate: []string{"access"}}},
		{path: "/projects/shop/repair", kind: "project.repair"},
		{
			method: "DELETE", path: "/projects/shop?keep=repository,database", kind: "project.delete",
			spec: &contract.ProjectSpec{Slug: "shop"}, change: &contract.ProjectChange{Keep: []string{"repository", "database"}},
		},
	} {
		op := w.send(call{method: c.method, path: c.path, body: c.body}).operation(t, http.StatusAccepted)
		if op.Kind != c.kind || !reflect.DeepEqual(op.Spec, c.spec) || !reflect.DeepEqual(op.Change, c.change) {
			t.Errorf("%s %s %s: it has %+v and %+v", c.path, c.body, op.Kind, op.Spec, op.Change)
		}
		dry := "?dry_run=true"
		if c.kind == contract.KindProjectDelete {
			dry, c.spec = "&dry_run=true", nil
		}
		answer := w.send(call{method: c.method, path: c.path + dry, body: c.body})
		var plan contract.ProjectPlan
		if err := json.Unmarshal(answer.body, &plan); err != nil || answer.status != http.StatusOK || !plan.OK {
			t.Errorf("%s: %d, %v: %s", c.path, answer.status, err, answer.body)
		}
		if planned.Kind != c.kind || !reflect.DeepEqual(planned.Spec, c.spec) || !reflect.DeepEqual(planned.Change, c.change) {
			t.Errorf("%s: what was to be planned is %+v", c.path, planned)
		}
	}
}

func TestAProjectIsShownWithAllItHas(t *testing.T) {
	w := newWorld(t)
	w.has("shop", contract.Project{
		Spec: &contract.ProjectSpec{
			Slug: "shop", Components: []contract.Component{{Kind: "service", Name: "api"}},
			Domains: []contract.Domain{{Host: "shop.example.com"}, {Host: "x.org", AliasOf: "shop.example.com"}},
		},
		Resources: []contract.Resource{
			{Name: "repository", Action: "create", External: map[string]string{"id": "7", "name": "rdev/shop", "clone_url": "https://git.example.com/rdev/shop.git", "url": "https://git.example.com/rdev/shop", "branch": "main"}},
			{Name: "ci", External: map[string]string{"id": "3", "url": "https://ci.example.com/repos/3"}},
			{Name: "cache", External: map[string]string{"user": "u", "prefix": "shop:", "host": "redis:6379"}},
			{Name: "dns/shop.example.com", External: map[string]string{"id": "r"}},
			{Name: "route/shop.example.com", External: map[string]string{"url": "https://shop.example.com"}},
			{Name: "route/x.org", External: map[string]string{"url": "https://x.org"}},
		},
	})
	shown := map[string]json.RawMessage{}
	if err := json.Unmarshal(w.get("/projects/shop").body, &shown); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"repository": `{"name":"rdev/shop","clone_url":"https://git.example.com/rdev/shop.git","url":"https://git.example.com/rdev/shop","branch":"main","adopted":false}`,
		"ci":         `{"url":"https://ci.example.com/repos/3"}`,
		"components": `[{"kind":"service","name":"api"}]`,
		"domains":    `[{"host":"shop.example.com","url":"https://shop.example.com","dns":true},{"host":"x.org","url":"https://x.org","alias_of":"shop.example.com","dns":false}]`,
		"database":   `null`, "cache": `{"user":"u","prefix":"shop:","host":"redis:6379"}`,
	} {
		if string(shown[name]) != want {
			t.Errorf("%s is %s, want %s", name, shown[name], want)
		}
	}
	if shown["resources"] != nil || shown["spec"] != nil {
		t.Errorf("it shows %s and %s", shown["resources"], shown["spec"])
	}
	var list struct{ Domains []struct{ Host string } }
	if err := json.Unmarshal(w.get("/projects/shop/domains").body, &list); err != nil || len(list.Domains) != 2 {
		t.Errorf("%v: %+v", err, list)
	}
}

// has makes a project with a spec and resources.
func (w *world) has(slug string, with contract.Project) {
	w.t.Helper()
	w.ready(slug)
	_, err := w.conn.UpdateProject(w.t.Context(), slug, func(p *contract.Project) (string, contract.Project, error) {
		next := *p
		next.Spec, next.Resources = with.Spec, with.Resources
		return contract.TypeProjectChanged, next, nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
