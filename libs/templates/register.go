package templates

import (
	"bytes"
	"cmp"
	stdjson "encoding/json"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// registerFile is what a monorepo's components are kept in.
const registerFile = "rdev.json"

// registerVersion is of its form.
const registerVersion = 1

// register is rdev.json.
type register struct {
	Version    int     `json:"version"`
	Name       string  `json:"name"`   // of the project
	Module     string  `json:"module"` // the Go module path that those of the components begin with
	Components []entry `json:"components"`
}

// entry is a component in the register.
type entry struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	Port int    `json:"port,omitzero"` // that it listens on
}

// row is a component as the registers' templates see it.
type row struct {
	entry

	Dir   string // "services/api"
	About string // of its kind
	Image string // that CI tests it in
	Go    bool   // a Go module, else an npm workspace
}

// file is the register as a file.
func (r register) file() (File, error) {
	r.Version = registerVersion
	r.Components = append([]entry{}, r.Components...)
	text, err := stdjson.MarshalIndent(r, "", "  ")
	return File{Data: append(text, '\n'), Mode: modeFile}, err
}

// readRegister reads rdev.json. It is written by rdev and kept by others, so all of it is
// checked; what has more than rdev would write is refused, for that would be lost.
func readRegister(text []byte) (register, error) {
	var r register
	if err := json.Unmarshal(text, &r, json.RejectUnknownMembers(true)); err != nil {
		return r, conflict("%s cannot be read: %v", registerFile, err)
	}
	wrong := ""
	switch {
	case r.Version != registerVersion:
		wrong = fmt.Sprintf("its version is %d, and this rdev knows %d", r.Version, registerVersion)
	case !validate.IsSlug(r.Name):
		wrong = "the name of the project is none"
	case wrongValue("module", r.Module) != "":
		wrong = "module " + wrongValue("module", r.Module)
	case len(r.Components) > maxComponents:
		wrong = "there are too many components"
	}
	names, ports := map[string]bool{}, map[int]bool{}
	for _, e := range r.Components {
		switch k, err := kindOf(e.Kind); {
		case wrong != "":
		case err != nil, wrongComponent(Component{e.Kind, e.Name}) != "":
			wrong = fmt.Sprintf("the component %q of the kind %q %s", e.Name, e.Kind, wrongComponent(Component{e.Kind, e.Name}))
		case names[e.Name]:
			wrong = fmt.Sprintf("%q is there twice", e.Name)
		case k.ports == 0 && e.Port != 0, k.ports != 0 && (e.Port < k.ports || e.Port >= k.ports+portsOfKind):
			wrong = fmt.Sprintf("%q has the port %d, which is none of its kind", e.Name, e.Port)
		case e.Port != 0 && ports[e.Port]:
			wrong = fmt.Sprintf("the port %d is there twice", e.Port)
		}
		names[e.Name], ports[e.Port] = true, true
	}
	if wrong != "" {
		return r, conflict("%s is wrong: %s", registerFile, wrong)
	}
	return r, nil
}

// with is the register with one more component: on the first port of its kind that is free.
func (r register) with(component Component) (register, entry, error) {
	if wrong := wrongComponent(component); wrong != "" {
		v := validate.New()
		v.Check("component", false, wrong)
		return r, entry{}, v.Err()
	}
	k, err := kindOf(component.Kind)
	if err != nil {
		return r, entry{}, err
	}
	added := entry{Kind: component.Kind, Name: component.Name, Port: k.ports}
	taken := map[int]bool{}
	for _, e := range r.Components {
		if e.Name == component.Name {
			return r, entry{}, conflict("there is a component %q already", e.Name)
		}
		taken[e.Port] = true
	}
	if len(r.Components) == maxComponents {
		return r, entry{}, conflict("there are %d components, and no more can be", maxComponents)
	}
	for added.Port != 0 && taken[added.Port] {
		added.Port++
	}
	r.Components = append(slices.Clone(r.Components), added)
	slices.SortFunc(r.Components, func(a, b entry) int { return cmp.Compare(a.directory(), b.directory()) })
	return r, added, nil
}

// directory is where a component is. Its kind is known.
func (e entry) directory() string {
	k, _ := kindOf(e.Kind)
	return k.Directory + "/" + e.Name
}

// rows are the components as the registers' templates see them.
func (r register) rows() []row {
	var rows []row
	for _, e := range r.Components {
		k, _ := kindOf(e.Kind)
		rows = append(rows, row{entry: e, Dir: e.directory(), About: k.Description, Image: k.image, Go: !k.node})
	}
	return rows
}

// conflict is what stands against a component.
func conflict(format string, args ...any) error {
	return &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf(format, args...)}
}

// trimmed is a text without what is around it, for errors.
func trimmed(text []byte) string { return string(bytes.TrimSpace(text)) }
