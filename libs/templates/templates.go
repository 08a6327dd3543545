// Package templates makes the files of new projects, and of components that are added to
// one later:
//
//	Render: a template, a name and values       ──▶ all files of a project
//	Add:    files of a monorepo, a kind, a name ──▶ those of the component, and the registers
//
// The same input makes the same bytes. What rdev knows of a monorepo is in its rdev.json, and
// the parts of other files that follow from it (the registers) are written again with each
// component. files/ is what is rendered: a directory for each part of a template.
package templates

import (
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// Modes of files.
const (
	modeFile    fs.FileMode = 0o644
	modeProgram fs.FileMode = 0o755
)

// File is a file of a project: text, as UTF-8.
type File struct {
	Data []byte
	Mode fs.FileMode // 0644, or 0755 of a script
}

// Template is what a project can be made of.
type Template struct {
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Parameters  []Parameter `json:"parameters"`
	// Components are what it can have, and what can be added later; empty where there is
	// no such thing.
	Components []Kind `json:"components"`
}

// Parameter is a value that goes into the files.
type Parameter struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// Default is the value where none is given; {name} in it is the project's name.
	Default string `json:"default"`
}

// Kind is a kind of components.
type Kind struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Directory   string `json:"directory"` // that its components are in, by their names
}

// Component is a part of a monorepo.
type Component struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

// Project is what a project is to be.
type Project struct {
	Name       string            // a slug
	Values     map[string]string // of the template's parameters; what is missing has its default
	Components []Component       // in the order in which they get their ports
}

// List is all templates.
func List() []Template {
	var list []Template
	for _, s := range specs() {
		list = append(list, s.Template)
	}
	return list
}

// Get is one template. Its error is a *contract.Error, NOT_FOUND.
func Get(name string) (Template, error) {
	s, err := specOf(name)
	return s.Template, err
}

// Render is all files of a new project, by their paths with slashes. Its error is a
// *contract.Error, NOT_FOUND, or a *validate.Errors with the fields name, components, and those
// that are called as the template's parameters.
func Render(template string, project Project) (map[string]File, error) {
	s, err := specOf(template)
	if err != nil {
		return nil, err
	}
	values, err := check(s, project)
	if err != nil {
		return nil, err
	}
	d := data{Project: project.Name, Name: project.Name, Package: project.Name, Dir: ".", Port: s.port, Go: s.golang, Node: s.node, Scripts: s.scripts, Values: values}
	if s.golang {
		d.Module = values["module"]
		d.Shared = d.Module + "/" + s.shared
	}
	files, err := render(s.trees, d)
	if err != nil || len(s.Components) == 0 {
		return files, err
	}
	if files[registerFile], err = (register{Name: project.Name, Module: d.Module}).file(); err != nil {
		return nil, err
	}
	added, err := Add(func(path string) ([]byte, bool) {
		file, ok := files[path]
		return file.Data, ok
	}, project.Components...)
	if err != nil {
		return nil, err
	}
	maps.Copy(files, added)
	return files, nil
}

// check wants a name, values and components that are right, and returns the values with the
// defaults of those that are not given.
func check(s spec, project Project) (map[string]string, error) {
	v := validate.New()
	v.Slug("name", project.Name)
	values := map[string]string{}
	for _, parameter := range s.Parameters {
		value, ok := project.Values[parameter.Name]
		if !ok {
			value = strings.ReplaceAll(parameter.Default, "{name}", project.Name)
		}
		wrong := wrongValue(parameter.Name, value)
		v.Check(parameter.Name, wrong == "" || v.Err() != nil && !ok, wrong)
		values[parameter.Name] = value
	}
	for _, name := range slices.Sorted(maps.Keys(project.Values)) {
		_, known := values[name]
		v.Checkf(name, known, "is no parameter of the template %s", s.Name)
	}
	v.Checkf("components", len(project.Components) == 0 || len(s.Components) > 0, "are not for the template %s", s.Name)
	seen := map[string]bool{}
	for i, component := range project.Components {
		field := fmt.Sprintf("components[%d]", i)
		wrong := wrongComponent(component)
		v.Check(field, wrong == "", wrong)
		v.Check(field, !seen[component.Name], "has a name that another component has")
		seen[component.Name] = true
	}
	return values, v.Err()
}

func specOf(name string) (spec, error) {
	list := specs()
	i := slices.IndexFunc(list, func(s spec) bool { return s.Name == name })
	if i < 0 {
		return spec{}, &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no template %q", name)}
	}
	return list[i], nil
}
