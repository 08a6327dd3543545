package httpapi_test

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/httpapi"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

// renderings is each template, and the monorepo with no component, with each kind, and with as
// many as there can be; each of them with a repository, and without.
func renderings(t *testing.T) map[string]map[string]templates.File {
	t.Helper()
	rendered := map[string]map[string]templates.File{}
	render := func(name, template string, components []templates.Component) {
		for _, repository := range []string{"", "https://git.example.com/team/shop.git", "ssh://git@git.example.com:22/shop.git"} {
			// A name that YAML would take for something else.
			files, err := templates.Render(template, templates.Project{Name: "123", Values: map[string]string{"repository": repository}, Components: components})
			if err != nil {
				t.Fatal(err)
			}
			rendered[name+" "+repository] = files
		}
	}
	for _, template := range templates.List() {
		render(template.Name, template.Name, nil)
		var full []templates.Component
		for i := range 60 * min(1, len(template.Components)) {
			kind := template.Components[i%len(template.Components)].Name
			full = append(full, templates.Component{Kind: kind, Name: fmt.Sprintf("no-%d", i)})
		}
		for _, kind := range template.Components {
			render(template.Name+" "+kind.Name, template.Name, []templates.Component{{Kind: kind.Name, Name: "true"}})
		}
		if len(full) > 0 {
			render(template.Name+" full", template.Name, full)
		}
	}
	return rendered
}

func TestBuildsOfTemplatesAreBuilds(t *testing.T) {
	for name, files := range renderings(t) {
		build, err := buildspec.Parse(files[".rdev/build.yml"].Data, nil, httpapi.CheckStep)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, files[".rdev/build.yml"].Data)
			continue
		}
		if build.Name != "123" || build.Repository == nil || (build.Repository.URL != "") != strings.Contains(name, "git.example.com") {
			t.Errorf("%s: %q of %+v", name, build.Name, build.Repository)
		}
		tests, artifacts := 0, 0
		for _, step := range build.Steps {
			if step.Kind == contract.WorkPrefix+"test" {
				tests++
			}
			artifacts += len(step.Files.Artifacts)
			// Of several lines each has to succeed.
			if script := step.Command.Shell.Script; strings.Contains(script, "\n") && !strings.HasPrefix(script, "set -e\n") {
				t.Errorf("%s: the script goes on after a failure:\n%s", name, script)
			}
			if argv := step.Command.Shell.Argv; len(argv) > 0 {
				program(t, name, files, strings.Join(argv[:2], " "))
				component(t, name, files, argv[2])
			}
		}
		bare := bytes.Contains(files["rdev.json"].Data, []byte(`"components": []`)) // and has nothing to keep
		if tests == 0 || artifacts == 0 && !bare {
			t.Errorf("%s: %d steps test, and %d artifacts are kept", name, tests, artifacts)
		}
	}
}

// program wants a script of the files, which is run by sh: a forge may not keep the modes of
// files that it is sent.
func program(t *testing.T, name string, files map[string]templates.File, command string) {
	t.Helper()
	words := strings.Fields(command)
	if len(words) < 2 || words[0] != "sh" || files[words[1]].Mode != 0o755 {
		t.Errorf("%s: %s cannot be run", name, command)
	}
}

// component wants a directory that can be tested.
func component(t *testing.T, name string, files map[string]templates.File, path string) {
	t.Helper()
	if files[path+"/go.mod"].Data == nil && files[path+"/package.json"].Data == nil {
		t.Errorf("%s: there is no %s", name, path)
	}
}

// workflow is what Woodpecker 3 takes, as far as templates have it.
type workflow struct {
	When []struct {
		Event  list
		Branch string
	}
	Matrix struct{ Include []map[string]string }
	Steps  []struct {
		Name, Image string
		Environment map[string]string
		Commands    []string
	}
}

// list is a list, or one text in place of it.
type list []string

func (l *list) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*l = list{node.Value}
		return nil
	}
	return node.Decode((*[]string)(l))
}

func TestWorkflowsOfTemplatesAreWhatWoodpeckerTakes(t *testing.T) {
	for name, files := range renderings(t) {
		text := files[".woodpecker.yml"].Data
		var w workflow
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&w); err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		// Without manual a pipeline that is asked for is silently none.
		var events []string
		for _, when := range w.When {
			events = append(events, when.Event...)
			if slices.Contains(when.Event, "push") && when.Branch != "main" {
				t.Errorf("%s: a push to a branch of a pull request runs twice", name)
			}
		}
		slices.Sort(events)
		if !slices.Equal(events, []string{"manual", "pull_request", "push"}) {
			t.Errorf("%s: it is for %q", name, events)
		}
		checkMatrix(t, name, files, w)
		for _, step := range w.Steps {
			for _, row := range append(slices.Clone(w.Matrix.Include), nil)[:max(1, len(w.Matrix.Include))] {
				image := strings.ReplaceAll(step.Image, "${IMAGE}", row["IMAGE"])
				if step.Name == "" || !regexp.MustCompile(`^[a-z]+:[0-9.]+(-alpine)?$`).MatchString(image) || len(step.Commands) == 0 {
					t.Errorf("%s: %+v with the image %q", name, step, image)
				}
			}
			for _, command := range step.Commands {
				if strings.Contains(command, "scripts/") {
					program(t, name, files, command)
				}
			}
		}
	}
}

// checkMatrix wants a workflow for each component, and that nothing else is replaced in the
// text: where Woodpecker knows no such variable it puts nothing.
func checkMatrix(t *testing.T, name string, files map[string]templates.File, w workflow) {
	t.Helper()
	for _, used := range regexp.MustCompile(`\$\{?\{([^}]*)\}`).FindAllStringSubmatch(string(files[".woodpecker.yml"].Data), -1) {
		if used[1] != "IMAGE" || len(w.Matrix.Include) == 0 {
			t.Errorf("%s: %s would be replaced", name, used[0])
		}
	}
	if len(w.Matrix.Include) > 64 {
		t.Errorf("%s: %d workflows are more than Woodpecker makes", name, len(w.Matrix.Include))
	}
	seen := map[string]bool{}
	for _, row := range w.Matrix.Include {
		if len(row) != 2 || row["IMAGE"] == "" || seen[row["COMPONENT"]] {
			t.Errorf("%s: %v", name, row)
		}
		seen[row["COMPONENT"]] = true
		component(t, name, files, row["COMPONENT"])
	}
	modules := 0
	for path := range files {
		if strings.HasSuffix(path, "/go.mod") || strings.HasSuffix(path, "/package.json") {
			modules++
		}
	}
	if modules != len(seen) {
		t.Errorf("%s: %d components are tested, of %d", name, len(seen), modules)
	}
}

func TestTheSpecNamesTheParametersOfTemplates(t *testing.T) {
	described, _ := at(document(t, newAPI(t)), "paths", "/templates/{template}", "get", "parameters").([]any)
	var names []any
	for _, parameter := range described {
		names = append(names, at(parameter, "name"))
	}
	for _, template := range templates.List() {
		for _, parameter := range template.Parameters {
			if !slices.Contains(names, any(parameter.Name)) {
				t.Errorf("%s of %s is missing", parameter.Name, template.Name)
			}
		}
	}
}
