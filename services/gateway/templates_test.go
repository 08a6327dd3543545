package gateway_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// rendered is what a preview says.
type rendered struct {
	Name  string
	Files []struct{ Path, Mode, Content string }
}

// content is that of a file, "" where there is none.
func (r rendered) content(path string) string {
	for _, file := range r.Files {
		if file.Path == path {
			return file.Content
		}
	}
	return ""
}

func TestTemplatesAreListed(t *testing.T) {
	w := newWorld(t)
	key := w.newKey(`{"name":"reader","scopes":["audit:read"]}`).Secret
	a := w.send(call{method: http.MethodGet, path: "/templates", key: key})
	w.schemas().check("TemplateList", a.body)
	var list struct {
		Templates []struct {
			Name, Description      string
			Parameters, Components []struct{ Name string }
		}
	}
	a.decode(t, http.StatusOK, &list)
	var text []string
	for _, template := range list.Templates {
		line := template.Name + ":"
		for _, p := range append(template.Parameters, template.Components...) {
			line += " " + p.Name
		}
		text = append(text, line)
	}
	want := "default: description repository\nastro-landing: title description repository\ngo-api: description module repository\n" +
		"monorepo: description module repository service worker app-astro app-react cli"
	if got := strings.Join(text, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestATemplateIsPreviewed(t *testing.T) {
	w := newWorld(t)
	s := w.schemas()
	before := w.stored()
	for _, test := range []struct{ query, path, mode, holds string }{
		{"default", "scripts/test.sh", "0755", "hello from default"},
		{"default?name=blog", "README.md", "0644", "# blog\n"},
		{"astro-landing?title=Hi%20%22you%22&description=a%0A", "", "", ""},
		{"astro-landing?title=Hi%20%22you%22", "src/site.json", "0644", `"title": "Hi \"you\""`},
		{"go-api?name=blog&module=git.example.com/blog", "go.mod", "0644", "module git.example.com/blog\n"},
		{"monorepo?name=blog&components=service:api,app-react:web", "services/api/go.mod", "0644", "module example.com/blog/services/api\n"},
		{"monorepo?name=blog&components=service:api,app-react:web", "apps/web/package.json", "0644", `"@blog/web"`},
	} {
		a := w.get("/templates/" + test.query)
		if test.path == "" {
			a.problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "description")
			continue
		}
		s.check("RenderedTemplate", a.body)
		var r rendered
		a.decode(t, http.StatusOK, &r)
		if text := r.content(test.path); !strings.Contains(text, test.holds) {
			t.Errorf("%s: %s is\n%s", test.query, test.path, text)
		}
		for _, file := range r.Files {
			if file.Path == test.path && file.Mode != test.mode {
				t.Errorf("%s: %s has the mode %s", test.query, file.Path, file.Mode)
			}
		}
		if again := w.get("/templates/" + test.query); string(again.body) != string(a.body) {
			t.Errorf("%s is another the second time", test.query)
		}
	}
	if after := w.stored(); after != before {
		t.Errorf("%d events came of it", after-before)
	}
}

func TestAPreviewThatCannotBeIsRefused(t *testing.T) {
	w := newWorld(t)
	w.get("/templates/nothing").problem(t, http.StatusNotFound, contract.CodeNotFound)
	for query, fields := range map[string][]string{
		"default?name=A":                             {"name"},
		"default?title=x":                            {"title"},
		"default?colour=red":                         {"colour"},
		"default?components=cli:x":                   {"components"},
		"monorepo?components=cli:x,cli":              {"components[1]"},
		"monorepo?components=cli:x,":                 {"components[1]"},
		"monorepo?components=cli:x,cli:x":            {"components[1]"},
		"monorepo?name=%7B%7B.%7D%7D&module=a%22b.c": {"name", "module"},
		"default?description=":                       {"description"},
	} {
		w.get("/templates/"+query).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, fields...)
	}
}
