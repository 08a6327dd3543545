package templates

import (
	"maps"
	"path"
	"slices"
	"strings"
)

// Add is the files that components add to a monorepo, or change in it, by their paths with
// slashes: their own, and the registers. existing reads a file of the monorepo, and tells whether
// it is there. Of a register only the part changes that names components; where that was
// changed by hand, or where anything of a component is there already, nothing is added.
//
// Its error is a *contract.Error, CONFLICT, or a *validate.Errors with the field component.
func Add(existing func(path string) ([]byte, bool), components ...Component) (map[string]File, error) {
	text, ok := existing(registerFile)
	if !ok {
		return nil, conflict("there is no %s: components are for projects of the template monorepo", registerFile)
	}
	old, err := readRegister(text)
	if err != nil {
		return nil, err
	}
	files, next, apps := map[string]File{}, old, []app{}
	for _, component := range components {
		var added entry
		if next, added, err = next.with(component); err != nil {
			return nil, err
		}
		own, err := next.filesOf(added)
		if err != nil {
			return nil, err
		}
		lock := path.Join(added.directory(), lockFile)
		if file, ok := own[lock]; ok {
			apps = append(apps, app{added.directory(), "@" + next.Name + "/" + added.Name, file.Data})
			delete(own, lock)
		}
		maps.Copy(files, own)
	}
	for _, own := range slices.Sorted(maps.Keys(files)) {
		if _, there := existing(own); there {
			return nil, conflict("%s is there already", own)
		}
	}
	if files[registerFile], err = next.file(); err != nil {
		return nil, err
	}
	for _, m := range markedFiles() {
		text, ok := existing(m.path)
		if !ok {
			return nil, conflict("there is no %s", m.path)
		}
		changed, err := m.rewrite(text, old, next)
		if err != nil {
			return nil, err
		}
		files[m.path] = File{Data: changed, Mode: modeFile}
	}
	if len(apps) > 0 {
		if err := addWorkspaces(files, existing, next.Name, apps); err != nil {
			return nil, err
		}
	}
	return files, nil
}

// filesOf is a component's own files.
func (r register) filesOf(e entry) (map[string]File, error) {
	k, err := kindOf(e.Kind)
	if err != nil {
		return nil, err
	}
	var trees []tree
	for _, part := range k.parts {
		trees = append(trees, tree{part, e.directory()})
	}
	return render(trees, data{
		Project: r.Name, Name: e.Name, Package: "@" + r.Name + "/" + e.Name,
		Dir: e.directory(), Up: strings.Repeat("../", strings.Count(e.directory(), "/")) + "..",
		Module: r.Module + "/" + e.directory(), Shared: r.Module + "/pkg", Port: e.Port, Go: !k.node, Node: k.node,
		Values: map[string]string{"title": e.Name, "description": "A part of " + r.Name + "."},
	})
}
