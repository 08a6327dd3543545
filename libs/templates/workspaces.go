package templates

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
)

// What npm keeps at the root.
const (
	packageFile = "package.json"
	lockFile    = "package-lock.json"
)

// app is a component that is an npm workspace.
type app struct {
	directory string // "apps/web"
	name      string // npm's: "@shop/web"
	lock      []byte // of it alone
}

// addWorkspaces puts apps into package.json and package-lock.json, which are made where they
// are not there yet. The packages of each go below its own node_modules, so that no app has
// to agree with another, or with what was changed since.
func addWorkspaces(files map[string]File, existing func(string) ([]byte, bool), project string, apps []app) error {
	for _, name := range []string{packageFile, lockFile} {
		text, ok := existing(name)
		if !ok {
			var err error
			if text, err = execute("files/workspaces/"+name+suffix, data{Project: project}); err != nil {
				return err
			}
		}
		root, err := readObject(text)
		if err != nil {
			return conflict("%s cannot be read: %v", name, err)
		}
		if name == packageFile {
			err = root.insertWorkspaces(apps)
		} else {
			err = addToLock(&root, apps)
		}
		if err != nil {
			return conflict("%s: %v", name, err)
		}
		text, err = root.write(text)
		if err != nil {
			return err
		}
		files[name] = File{Data: text, Mode: modeFile}
	}
	return nil
}

// insertWorkspaces puts directories where their places are among the workspaces.
func (o *object) insertWorkspaces(apps []app) error {
	var list []string
	if err := json.Unmarshal(o.get("workspaces"), &list); err != nil {
		return fmt.Errorf("its workspaces are no list of directories: %w", err)
	}
	for _, a := range apps {
		if slices.Contains(list, a.directory) {
			return fmt.Errorf("%s is a workspace already", a.directory)
		}
		i := slices.IndexFunc(list, func(other string) bool { return other > a.directory })
		if i < 0 {
			i = len(list)
		}
		list = slices.Insert(list, i, a.directory)
	}
	text, err := json.Marshal(list)
	o.set("workspaces", text)
	return err
}

// addToLock puts the locks of apps into that of the root.
func addToLock(root *object, apps []app) error {
	if version := string(root.get("lockfileVersion")); version != "3" {
		return fmt.Errorf("its lockfileVersion is %q, and has to be 3", version)
	}
	packages, err := readObject(root.get("packages"))
	if err != nil {
		return fmt.Errorf("packages: %w", err)
	}
	own, err := readObject(packages.get(""))
	if err != nil {
		return fmt.Errorf("its entry of the root: %w", err)
	}
	if err := own.insertWorkspaces(apps); err != nil {
		return err
	}
	text, err := own.compact()
	if err != nil {
		return err
	}
	packages.set("", text)
	there := map[string]bool{}
	for _, m := range packages.members {
		there[m.name] = true
	}
	var added []member
	for _, a := range apps {
		of, err := a.packages()
		if err != nil {
			return err
		}
		added = append(added, of...)
	}
	for _, m := range added {
		if there[m.name] {
			return fmt.Errorf("%s is there already", m.name)
		}
	}
	packages.merge(added, comparePaths)
	text, err = packages.compact()
	root.set("packages", text)
	return err
}

// packages is what an app adds to the packages of the root's lock.
func (a app) packages() ([]member, error) {
	lock, err := readObject(a.lock)
	if err != nil {
		return nil, err
	}
	packages, err := readObject(lock.get("packages"))
	if err != nil {
		return nil, err
	}
	link, err := json.Marshal(struct {
		Resolved string `json:"resolved"`
		Link     bool   `json:"link"`
	}{a.directory, true})
	if err != nil {
		return nil, err
	}
	var added []member
	for _, m := range packages.members {
		added = append(added, member{path.Join(a.directory, m.name), m.value})
	}
	return append(added, member{path.Join("node_modules", a.name), link}), nil
}

// comparePaths orders paths as npm does.
func comparePaths(a, b string) int {
	const order = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz"
	return slices.CompareFunc([]byte(strings.ToLower(a)), []byte(strings.ToLower(b)), func(x, y byte) int {
		return strings.IndexByte(order, x) - strings.IndexByte(order, y)
	})
}

// indentOf is what a JSON text is indented by, two spaces where it is not.
func indentOf(text []byte) string {
	_, rest, _ := bytes.Cut(text, []byte("\n"))
	if indent := string(rest[:len(rest)-len(bytes.TrimLeft(rest, " \t"))]); indent != "" {
		return indent
	}
	return "  "
}
