package templates

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"text/template"
)

// embedded is files/: what ends in .tmpl is rendered, and anything else is taken as it is.
//
//go:embed all:files
var embedded embed.FS

// suffix is of what is rendered. It also keeps Go, git and others from taking the files for
// some of rdev's own.
const suffix = ".tmpl"

// tree is a directory of files/ and where in the project its files go.
type tree struct{ from, to string }

// data is what the files are rendered with.
type data struct {
	Project string // its name
	Name    string // of what the files are of: the project, or a component
	Package string // npm's name of that
	Dir     string // where that is: ".", "services/api"
	Up      string // from there to the root: "../.."
	Module  string // Go's path of that
	Shared  string // Go's path of what programs share
	Port    int    // that it listens on, 0 where it does not
	Go      bool   // it has Go in it
	Node    bool   // it has npm in it
	Scripts []string
	Values  map[string]string
	// Components are only there for the registers.
	Components []row
}

// render is the files of some trees.
func render(trees []tree, d data) (map[string]File, error) {
	files := map[string]File{}
	for _, t := range trees {
		root := path.Join("files", t.from)
		err := fs.WalkDir(embedded, root, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			text, err := execute(name, d)
			if err != nil {
				return err
			}
			to := path.Join(t.to, strings.TrimSuffix(strings.TrimPrefix(name, root+"/"), suffix))
			if _, twice := files[to]; twice {
				return fmt.Errorf("%s is there twice", to)
			}
			files[to] = File{Data: text, Mode: modeOf(to)}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", t.from, err)
		}
	}
	return files, nil
}

// execute is what a file of files/ comes to.
func execute(name string, d data) ([]byte, error) {
	text, err := embedded.ReadFile(name)
	if err != nil || !strings.HasSuffix(name, suffix) {
		return text, err
	}
	parsed, err := template.New(name).Option("missingkey=error").
		Funcs(template.FuncMap{"json": quoted, "markdown": markdown}).
		ParseFS(embedded, "files/partials/*"+suffix)
	if err != nil {
		return nil, err
	}
	if parsed, err = parsed.New(name).Parse(string(text)); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, d); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func modeOf(name string) fs.FileMode {
	if path.Ext(name) == ".sh" {
		return modeProgram
	}
	return modeFile
}
