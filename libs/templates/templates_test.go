package templates_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

// all is one component of each kind.
func all() []templates.Component {
	return []templates.Component{{"service", "api"}, {"worker", "mail"}, {"app-astro", "site"}, {"app-react", "web"}, {"cli", "ctl"}}
}

// render renders for a test.
func render(t testing.TB, template string, project templates.Project) map[string]templates.File {
	t.Helper()
	files, err := templates.Render(template, project)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// everything is each template, and the monorepo with each kind and with all.
func everything(t *testing.T) map[string]map[string]templates.File {
	t.Helper()
	rendered := map[string]map[string]templates.File{}
	for _, template := range templates.List() {
		rendered[template.Name] = render(t, template.Name, templates.Project{Name: "shop"})
	}
	for _, component := range all() {
		rendered["monorepo with "+component.Kind] = render(t, "monorepo", templates.Project{Name: "shop", Components: []templates.Component{component}})
	}
	rendered["monorepo with all"] = render(t, "monorepo", templates.Project{Name: "shop", Components: all()})
	return rendered
}

// differ is the paths whose files are not the same.
func differ(a, b map[string]templates.File) []string {
	var paths []string
	for path := range a {
		if _, ok := b[path]; !ok {
			paths = append(paths, path)
		}
	}
	for path, file := range b {
		if other, ok := a[path]; !ok || other.Mode != file.Mode || !bytes.Equal(other.Data, file.Data) {
			paths = append(paths, path)
		}
	}
	return slices.Sorted(slices.Values(paths))
}

func TestTheSameInputMakesTheSameBytes(t *testing.T) {
	t.Parallel()
	once, again := everything(t), everything(t)
	for name, files := range once {
		if paths := differ(files, again[name]); len(paths) > 0 {
			t.Errorf("%s: %q differ", name, paths)
		}
	}
}

func TestEveryTemplateCarriesWhatAProjectNeeds(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		for _, file := range []string{"README.md", "CLAUDE.md", ".claude/settings.json", ".woodpecker.yml", ".rdev/build.yml", ".gitignore", ".dockerignore"} {
			if _, ok := files[file]; !ok {
				t.Errorf("%s has no %s", name, file)
			}
		}
		if _, ok := files["Dockerfile"]; ok == strings.HasPrefix(name, "monorepo") {
			t.Errorf("%s: a Dockerfile at the root: %v", name, ok)
		}
		var settings struct {
			Permissions struct{ Allow, Deny []string }
		}
		if err := json.Unmarshal(files[".claude/settings.json"].Data, &settings); err != nil {
			t.Errorf("%s: .claude/settings.json: %v", name, err)
		}
		if !slices.Contains(settings.Permissions.Deny, "Read(./.env)") || !slices.Contains(settings.Permissions.Allow, "Bash(git status)") {
			t.Errorf("%s: .claude/settings.json has %+v", name, settings)
		}
	}
}

func TestEveryFileIsTextThatIsWhole(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		for file, content := range files {
			want := "-rw-r--r--"
			if strings.HasSuffix(file, ".sh") {
				want = "-rwxr-xr-x"
			}
			if got := content.Mode.String(); got != want {
				t.Errorf("%s: %s has the mode %s, want %s", name, file, got, want)
			}
			text := string(content.Data)
			if !utf8.ValidString(text) || !strings.HasSuffix(text, "\n") || strings.HasSuffix(text, "\n\n") || strings.Contains(text, "\r") {
				t.Errorf("%s: %s is no text, or does not end with its last line", name, file)
			}
			for _, left := range []string{"{{", "<no value>", "%!", "<nil>"} {
				if strings.Contains(text, left) {
					t.Errorf("%s: %s has %q in it", name, file, left)
				}
			}
			for i, line := range strings.Split(text, "\n") {
				if strings.TrimRight(line, " \t") != line {
					t.Errorf("%s: %s:%d ends with a space", name, file, i+1)
				}
			}
			if path.IsAbs(file) || path.Clean(file) != file || strings.HasPrefix(file, "..") {
				t.Errorf("%s: %s is no path", name, file)
			}
			if strings.HasSuffix(file, ".json") && !json.Valid(content.Data) {
				t.Errorf("%s: %s is no JSON", name, file)
			}
		}
	}
}

// A lock says what is installed, and not from where.
func TestLocksNameNoRegistry(t *testing.T) {
	t.Parallel()
	for name, files := range everything(t) {
		text, ok := files["package-lock.json"]
		if !ok {
			continue
		}
		var lock struct {
			Packages map[string]struct {
				Resolved, Integrity string
				Link                bool
			}
		}
		if err := json.Unmarshal(text.Data, &lock); err != nil {
			t.Fatal(err)
		}
		for at, p := range lock.Packages {
			own := !strings.Contains(at, "node_modules/") || p.Link
			if !own && (!strings.HasPrefix(p.Integrity, "sha512-") || p.Resolved != "") {
				t.Errorf("%s: %s: %+v", name, at, p)
			}
		}
	}
}

func TestWhatIsWrongIsToldByField(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 201)
	component := func(list ...templates.Component) templates.Project {
		return templates.Project{Name: "shop", Components: list}
	}
	value := func(name, value string) templates.Project {
		return templates.Project{Name: "shop", Values: map[string]string{name: value}}
	}
	for _, test := range []struct {
		template string
		project  templates.Project
		fields   string
	}{
		{"default", templates.Project{}, "name"},
		{"go-api", templates.Project{Name: "Shop"}, "name"},
		{"default", templates.Project{Name: "shop\n"}, "name"},
		{"default", templates.Project{Name: `a"b`}, "name"},
		{"default", templates.Project{Name: "{{.Name}}"}, "name"},
		{"default", templates.Project{Name: "../shop"}, "name"},
		{"default", templates.Project{Name: strings.Repeat("a", 41)}, "name"},
		{"go-api", templates.Project{Name: "con"}, "module"},
		{"default", value("description", ""), "description"},
		{"default", value("description", " "), "description"},
		{"default", value("description", "a\nb"), "description"},
		{"default", value("description", "a\x00b"), "description"},
		{"default", value("description", "a\u2028b"), "description"},
		{"default", value("description", "a\u202eb"), "description"},
		{"default", value("description", "\xff"), "description"},
		{"default", value("description", long), "description"},
		{"default", value("colour", "red"), "colour"},
		{"default", value("module", "example.com/shop"), "module"},
		{"go-api", value("module", "shop"), "module"},
		{"go-api", value("module", "example.com/a b"), "module"},
		{"go-api", value("module", "example.com/a\n"), "module"},
		{"go-api", value("module", `example.com/"`), "module"},
		{"go-api", value("module", "example.com/../x"), "module"},
		{"go-api", value("module", "example.com/x."), "module"},
		{"go-api", value("module", "example.com/-x"), "module"},
		{"go-api", value("module", "example.com//x"), "module"},
		{"go-api", value("module", "example.com/NUL.x"), "module"},
		{"monorepo", value("module", "gopkg.in/x"), "module"},
		{"default", value("repository", "shop.git"), "repository"},
		{"default", value("repository", "file:///etc"), "repository"},
		{"default", value("repository", "https://me:secret@example.com/shop.git"), "repository"},
		{"default", value("repository", "https://token@example.com/shop.git"), "repository"},
		{"default", value("repository", `https://example.com/"`), "repository"},
		{"default", value("repository", "https://example.com/a b"), "repository"},
		{"default", value("repository", "-oProxyCommand=x"), "repository"},
		{"default", component(templates.Component{"service", "api"}), "components"},
		{"monorepo", component(templates.Component{"thing", "api"}), "components[0]"},
		{"monorepo", component(templates.Component{"service", ""}), "components[0]"},
		{"monorepo", component(templates.Component{"service", "1a"}), "components[0]"},
		{"monorepo", component(templates.Component{"service", "a/b"}), "components[0]"},
		{"monorepo", component(templates.Component{"service", ".."}), "components[0]"},
		{"monorepo", component(templates.Component{"service", "a\nb"}), "components[0]"},
		{"monorepo", component(templates.Component{"service", "{{.}}"}), "components[0]"},
		{"monorepo", component(templates.Component{"cli", "pkg"}), "components[0]"},
		{"monorepo", component(templates.Component{"cli", "vendor"}), "components[0]"},
		{"monorepo", component(templates.Component{"cli", "dist"}), "components[0]"},
		{"monorepo", component(templates.Component{"cli", "nul"}), "components[0]"},
		{"monorepo", component(templates.Component{"cli", "a"}, templates.Component{"service", "a"}), "components[1]"},
		{"monorepo", templates.Project{Name: "A", Values: map[string]string{"x": "", "module": "y"}, Components: []templates.Component{{"a", "b"}}}, "name module x components[0]"},
	} {
		_, err := templates.Render(test.template, test.project)
		var fields []string
		if wrong, ok := errors.AsType[*validate.Errors](err); ok {
			for _, field := range wrong.Fields {
				fields = append(fields, field.Field)
			}
		}
		if got := strings.Join(fields, " "); got != test.fields {
			t.Errorf("%s of %+v: %q, want %q (%v)", test.template, test.project, got, test.fields, err)
		}
	}
	_, err := templates.Render("nothing", templates.Project{Name: "shop"})
	if missing, ok := errors.AsType[*contract.Error](err); !ok || missing.Code != contract.CodeNotFound {
		t.Errorf("a template that is none: %v", err)
	}
}

// A text goes into files in which some of its signs mean something.
func TestATextStaysWhatItIs(t *testing.T) {
	t.Parallel()
	const text = `"it's" {{.Name}} <b>&amp; \ ${HOME} $(id) *x* _y_ [z](u) # : --- %s`
	plain := everything(t)
	for _, template := range templates.List() {
		values := map[string]string{}
		for _, p := range template.Parameters {
			if p.Name == "title" || p.Name == "description" {
				values[p.Name] = text
			}
		}
		files := render(t, template.Name, templates.Project{Name: "shop", Values: values})
		changed := differ(plain[template.Name], files)
		for file, content := range files {
			if !bytes.Contains(content.Data, []byte("HOME")) {
				continue
			}
			if was, is := bytes.Count(plain[template.Name][file].Data, []byte("\n")), bytes.Count(content.Data, []byte("\n")); was != is {
				t.Errorf("%s: %s has %d lines, and without the text %d", template.Name, file, is, was)
			}
		}
		want := []string{"README.md"}
		if template.Name == "astro-landing" {
			want = append(want, "src/site.json")
			var site struct{ Title, Description string }
			if err := json.Unmarshal(files["src/site.json"].Data, &site); err != nil || site.Title != text || site.Description != text {
				t.Errorf("src/site.json: %+v, %v", site, err)
			}
		}
		if diff := cmp.Diff(want, changed); diff != "" {
			t.Errorf("%s: the text is in\n%s", template.Name, diff)
		}
		if readme := string(files["README.md"].Data); !strings.Contains(readme, `\<b\>\&amp; \\ ${HOME} $(id) \*x\* \_y\_ \[z\](u) \#`) {
			t.Errorf("%s: README.md says\n%s", template.Name, readme)
		}
	}
}

func TestARepositoryIsThatOfTheBuild(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"https://git.example.com/team/shop.git", "ssh://git@example.com:22/shop.git", "http://127.0.0.1:3000/a/b"} {
		files := render(t, "monorepo", templates.Project{Name: "shop", Values: map[string]string{"repository": url}})
		if want := `repository: {url: "` + url + `", ref: main}`; !strings.Contains(string(files[".rdev/build.yml"].Data), "\n"+want+"\n") {
			t.Errorf("%s: it says\n%s", url, files[".rdev/build.yml"].Data)
		}
	}
}
