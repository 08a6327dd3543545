package templates_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

// FuzzAdd adds a component to a monorepo, one register of which is what anybody wrote. What
// it says is either what is wrong, or files to which one more can be added.
func FuzzAdd(f *testing.F) {
	whole := render(f, "monorepo", templates.Project{Name: "shop", Components: all()[:3]})
	for i, path := range registers() {
		text := string(whole[path].Data)
		f.Add(uint8(i), text[:min(len(text), 2000)])
		f.Add(uint8(i), strings.Replace(text, "shop", "blog", 1)[:min(len(text), 5000)])
	}
	f.Add(uint8(0), `{"version":1,"name":"a","module":"a.b","components":[]}`)
	f.Add(uint8(5), `{"workspaces":[]}`)
	f.Add(uint8(6), `{"lockfileVersion":3,"packages":{"":{"workspaces":[]}}}`)
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		files := maps.Clone(whole)
		files[registers()[int(which)%len(registers())]] = templates.File{Data: []byte(text)}
		for _, name := range []string{"one", "two"} {
			added, err := add(files, templates.Component{Kind: "app-react", Name: name})
			if err != nil {
				_, told := errors.AsType[*contract.Error](err)
				if !told || added != nil || name == "two" && !strings.Contains(err.Error(), "no more can be") {
					t.Fatalf("%s: %v", name, err)
				}
				return
			}
			maps.Copy(files, added)
		}
	})
}

// FuzzValues renders with whatever somebody calls a project and its parameters.
func FuzzValues(f *testing.F) {
	f.Add("shop", "a shop", "example.com/shop", "https://example.com/shop.git")
	f.Add("../a", "\u202e{{.}}", "example.com/..", "https://a:b@c/d")
	f.Fuzz(func(t *testing.T, name, description, module, repository string) {
		files, err := templates.Render("go-api", templates.Project{Name: name, Values: map[string]string{
			"description": description, "module": module, "repository": repository,
		}})
		if err != nil {
			if wrong, ok := errors.AsType[*validate.Errors](err); !ok || len(wrong.Fields) == 0 {
				t.Fatal(err)
			}
			return
		}
		// No value is more than a part of a line.
		lines := map[string]int{"README.md": 18, "go.mod": 3, ".rdev/build.yml": 17, "CLAUDE.md": 10}
		for path, want := range lines {
			if got := strings.Count(string(files[path].Data), "\n"); got != want {
				t.Errorf("%s has %d lines, want %d:\n%s", path, got, want, files[path].Data)
			}
		}
	})
}
