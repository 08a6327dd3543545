package templates_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

// registers are the files that components are named in.
func registers() []string {
	return []string{"rdev.json", "README.md", "go.work", ".woodpecker.yml", ".rdev/build.yml", "package.json", "package-lock.json"}
}

// add adds a component to files.
func add(files map[string]templates.File, component templates.Component) (map[string]templates.File, error) {
	return templates.Add(func(path string) ([]byte, bool) {
		file, ok := files[path]
		return file.Data, ok
	}, component)
}

func TestTheOrderOfComponentsOfDifferentKindsDoesNotMatter(t *testing.T) {
	t.Parallel()
	for _, one := range all() {
		for _, other := range all() {
			if one == other {
				continue
			}
			there := render(t, "monorepo", templates.Project{Name: "shop", Components: []templates.Component{one, other}})
			back := render(t, "monorepo", templates.Project{Name: "shop", Components: []templates.Component{other, one}})
			if paths := differ(there, back); len(paths) > 0 {
				t.Errorf("%s and %s: %q differ", one.Kind, other.Kind, paths)
			}
		}
	}
}

func TestComponentsThatAreAddedLaterAreAsThoseFromTheStart(t *testing.T) {
	t.Parallel()
	list := append(all(), templates.Component{Kind: "app-react", Name: "web-2"}, templates.Component{Kind: "app-astro", Name: "a1"}, templates.Component{Kind: "service", Name: "z"})
	files := render(t, "monorepo", templates.Project{Name: "shop"})
	for _, component := range list {
		added, err := add(files, component)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(files, added)
	}
	if paths := differ(files, render(t, "monorepo", templates.Project{Name: "shop", Components: list})); len(paths) > 0 {
		t.Errorf("%q differ", paths)
	}
}

// Of one kind they differ in the ports alone, which are given in the order they come.
func TestPortsAreTheNextThatIsFree(t *testing.T) {
	t.Parallel()
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: []templates.Component{
		{"service", "c"}, {"service", "b"}, {"service", "a"}, {"worker", "w"}, {"cli", "x"},
	}})
	want := func(text string) {
		t.Helper()
		if compact := strings.Join(strings.Fields(string(files["rdev.json"].Data)), ""); !strings.HasSuffix(compact, text+"]}") {
			t.Errorf("rdev.json is\n%s\nwant %s", files["rdev.json"].Data, text)
		}
	}
	want(`{"kind":"cli","name":"x"},{"kind":"service","name":"a","port":8102},{"kind":"service","name":"b","port":8101},` +
		`{"kind":"service","name":"c","port":8100},{"kind":"worker","name":"w","port":8200}`)
	if main := string(files["services/a/main.go"].Data); !strings.Contains(main, `"8102"`) {
		t.Errorf("services/a listens elsewhere:\n%s", main)
	}
	if row := "| [services/a](services/a) | an HTTP service in Go | 8102 |\n"; !strings.Contains(string(files["README.md"].Data), row) {
		t.Errorf("README.md says\n%s", files["README.md"].Data)
	}
}

func TestAComponentChangesItsOwnFilesAndTheRegisters(t *testing.T) {
	t.Parallel()
	directories := map[string]string{"service": "services/next/", "worker": "workers/next/", "app-astro": "apps/next/", "app-react": "apps/next/", "cli": "cli/next/"}
	before := render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	for kind, directory := range directories {
		files, err := add(before, templates.Component{Kind: kind, Name: "next"})
		if err != nil {
			t.Fatal(err)
		}
		for path := range files {
			if !strings.HasPrefix(path, directory) && !slices.Contains(registers(), path) {
				t.Errorf("%s: %s is neither", kind, path)
			}
		}
		for _, path := range registers() {
			file, there := files[path]
			npm := strings.HasPrefix(path, "package")
			if npm != strings.HasPrefix(kind, "app") && (npm && there) {
				t.Errorf("%s changes %s", kind, path)
			}
			// No line goes, but for the commas at their ends in JSON.
			left := map[string]int{}
			for line := range strings.Lines(string(file.Data)) {
				left[strings.TrimRight(line, ",\n")]++
			}
			for line := range strings.Lines(string(before[path].Data)) {
				line = strings.TrimRight(line, ",\n")
				if left[line]--; there && left[line] < 0 {
					t.Errorf("%s: %s lost %q", kind, path, line)
				}
			}
		}
		for _, path := range []string{directory + "README.md", directory + "Dockerfile"} {
			if _, ok := files[path]; !ok {
				t.Errorf("%s has no %s", kind, path)
			}
		}
		if _, ok := files[directory+"package-lock.json"]; ok {
			t.Errorf("%s has a lock of its own", kind)
		}
	}
}

// What was written outside of the marks stays.
func TestWhatOthersWroteStays(t *testing.T) {
	t.Parallel()
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	edit := func(path, old, text string) {
		t.Helper()
		if !strings.Contains(string(files[path].Data), old) {
			t.Fatalf("%s has no %q", path, old)
		}
		files[path] = templates.File{Data: []byte(strings.Replace(string(files[path].Data), old, text, 1)), Mode: files[path].Mode}
	}
	edit("README.md", "# shop\n", "# The shop\n\nWe wrote this.\n")
	edit("go.work", "use ./pkg\n", "use (\n\t./pkg\n\t./tools\n)\n")
	edit(".woodpecker.yml", "steps:\n", "services:\n  - name: db\n    image: postgres:18\n\nsteps:\n")
	edit("package.json", "\"private\": true,\n", "\"private\": true,\n  \"description\": \"ours <&>\",\n")
	edit("package.json", `"apps/site",`, `"apps/site", "libs/*",`)
	edit("package-lock.json", "    \"apps/web\": {\n", "    \"apps/web\": {\n      \"license\": \"MIT\",\n")
	files["package.json"] = templates.File{Data: bytes.ReplaceAll(files["package.json"].Data, []byte("  "), []byte("\t"))}
	added, err := add(files, templates.Component{Kind: "app-react", Name: "next"})
	if err != nil {
		t.Fatal(err)
	}
	for path, texts := range map[string][]string{
		"README.md":         {"We wrote this.\n", "[apps/next](apps/next)"},
		"go.work":           {"\t./tools\n"},
		".woodpecker.yml":   {"image: postgres:18\n", "- COMPONENT: apps/next\n      IMAGE: node:24-alpine\n"},
		"package.json":      {"\t\"description\": \"ours <&>\",\n", "\t\t\"apps/next\",\n\t\t\"apps/site\",\n\t\t\"libs/*\",\n\t\t\"apps/web\"\n"},
		"package-lock.json": {"      \"license\": \"MIT\",\n", "    \"node_modules/@shop/next\": {\n      \"resolved\": \"apps/next\",\n      \"link\": true\n    },\n"},
	} {
		for _, text := range texts {
			if !strings.Contains(string(added[path].Data), text) {
				t.Errorf("%s has no %q:\n%.3000s", path, text, added[path].Data)
			}
		}
	}
}

func TestWhatWouldBeLostIsAnError(t *testing.T) {
	t.Parallel()
	whole := render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	for _, test := range []struct{ path, old, text, says string }{
		{"go.work", "use ./services/api\n", "", "go.work was changed by hand"},
		{"go.work", "use ./services/api\n", "use ./services/api // ours\n", "go.work was changed by hand"},
		{"go.work", "// </components>\n", "", "go.work has no line"},
		{"go.work", "// <components>", "// components", "go.work has no line"},
		{"go.work", "// </components>\n", "// </components>\n// </components>\n", "twice"},
		{"README.md", "| 8100 |", "| 9000 |", "README.md was changed by hand"},
		{".woodpecker.yml", "- COMPONENT: apps/site\n      IMAGE: node:24-alpine", "- COMPONENT: apps/site\n      IMAGE: node:22-alpine", ".woodpecker.yml was changed by hand"},
		{".rdev/build.yml", "    artifacts: [bin/api]\n", "    artifacts: [bin/api]\n    timeout: 5m\n", ".rdev/build.yml was changed by hand"},
		{"rdev.json", `"port": 8100`, `"port": 8101`, "README.md was changed by hand"},
		{"rdev.json", `"port": 8100`, `"port": 80`, "none of its kind"},
		{"rdev.json", `"port": 8100`, `"port": 8100, "team": "a"`, "rdev.json cannot be read"},
		{"rdev.json", `"version": 1`, `"version": 2`, "its version is 2"},
		{"rdev.json", `"name": "api"`, `"name": "mail"`, `"mail" is there twice`},
		{"rdev.json", `"name": "api"`, `"name": "../api"`, "must have a name"},
		{"rdev.json", `"kind": "cli"`, `"kind": "thing"`, "must be of the kind"},
		{"rdev.json", `"module": "example.com/shop"`, `"module": "x"`, "module must be"},
		{"rdev.json", `"name": "shop"`, `"name": ""`, "the name of the project"},
		{"rdev.json", `{`, `[`, "rdev.json cannot be read"},
		{"package.json", `"workspaces": [`, `"workspaces": {"packages": [`, "package.json cannot be read"},
		{"package.json", `"private": true,`, `"private": true, "private": false,`, "twice"},
		{"package.json", `"apps/site"`, `"apps/next"`, "apps/next is a workspace already"},
		{"package-lock.json", `"lockfileVersion": 3`, `"lockfileVersion": 2`, "lockfileVersion"},
		{"package-lock.json", `"packages": {`, `"packages": {"apps/next": {},`, "apps/next is there already"},
		{"package-lock.json", `"packages": {`, `"packages": [{`, "package-lock.json cannot be read"},
	} {
		files := maps.Clone(whole)
		text := strings.Replace(string(files[test.path].Data), test.old, test.text, 1)
		if text == string(files[test.path].Data) {
			t.Fatalf("%s has no %q", test.path, test.old)
		}
		files[test.path] = templates.File{Data: []byte(text)}
		added, err := add(files, templates.Component{Kind: "app-astro", Name: "next"})
		problem, ok := errors.AsType[*contract.Error](err)
		if !ok || problem.Code != contract.CodeConflict || !strings.Contains(problem.Detail, test.says) || added != nil {
			t.Errorf("%s with %q: %v, want %q", test.path, test.text, err, test.says)
		}
	}
}

func TestWhatIsThereIsNotAddedAgain(t *testing.T) {
	t.Parallel()
	whole := render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	for _, component := range append(all(), templates.Component{Kind: "cli", Name: "api"}) {
		if _, err := add(whole, component); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("%+v: %v", component, err)
		}
	}
	_, err := add(whole, templates.Component{Kind: "service", Name: "A"})
	if wrong, ok := errors.AsType[*validate.Errors](err); !ok || wrong.Fields[0].Field != "component" {
		t.Errorf("a name that is none: %v", err)
	}
	files := maps.Clone(whole)
	files["services/next/main.go"] = templates.File{}
	if _, err := add(files, templates.Component{Kind: "service", Name: "next"}); err == nil || !strings.Contains(err.Error(), "services/next/main.go is there already") {
		t.Errorf("a file that is there: %v", err)
	}
	for _, path := range []string{"rdev.json", "go.work", "README.md"} {
		files := maps.Clone(whole)
		delete(files, path)
		if _, err := add(files, templates.Component{Kind: "service", Name: "next"}); err == nil || !strings.Contains(err.Error(), "there is no "+path) {
			t.Errorf("without %s: %v", path, err)
		}
	}
}

func TestThereIsAnEndOfComponents(t *testing.T) {
	t.Parallel()
	var list []templates.Component
	for i := range 60 {
		list = append(list, templates.Component{Kind: "cli", Name: fmt.Sprintf("c%d", i)})
	}
	files := render(t, "monorepo", templates.Project{Name: "shop", Components: list})
	if _, err := add(files, templates.Component{Kind: "cli", Name: "next"}); err == nil || !strings.Contains(err.Error(), "no more can be") {
		t.Errorf("the 61st: %v", err)
	}
}
