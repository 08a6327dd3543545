package up_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/orchard9/rdev/cmd/rdev/internal/up"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/executor"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

var update = flag.Bool("update", false, "write docs/configuration.md")

func TestTheConfigurationPageListsEveryVariable(t *testing.T) {
	page := "# Configuration\n\nEvery environment variable, by program. Made from the code and its comments:\n" +
		"`go test ./cmd/rdev/internal/up -run Configuration -update`.\n"
	libs := []string{"libs/bus", "libs/blob"}
	everywhere := []string{"cmd/rdev/internal/up", "services/provisioner", "services/executor", "services/notifier"}
	for _, p := range []struct {
		name      string
		dirs      []string // of the code
		variables []envutil.Variable
	}{
		{"rdev up", everywhere, envutil.Describe[up.Config]()},
		{"gateway", []string{"services/gateway"}, envutil.Describe[gateway.Config]()},
		{"gateway streams", []string{"services/gateway"}, envutil.Describe[gateway.Streams]()},
		{"provisioner", []string{"services/provisioner"}, envutil.Describe[provisioner.Config]()},
		{"executor", []string{"services/executor"}, envutil.Describe[executor.Config]()},
		{"audit", []string{"services/audit"}, envutil.Describe[audit.Config]()},
		{"notifier", []string{"services/notifier"}, envutil.Describe[notifier.Config]()},
	} {
		page += fmt.Sprintf("\n## %s\n\n| variable | default | |\n|---|---|---|\n", p.name)
		said := comments(t, append(p.dirs, libs...))
		listed := map[string]bool{}
		for _, v := range p.variables {
			if listed[v.Name] {
				continue
			}
			listed[v.Name] = true
			value := "`" + v.Default + "`"
			switch {
			case v.Required:
				value = "required"
			case v.Default == "":
				value = ""
			}
			if said[v.Name] == "" {
				t.Errorf("%s: no comment says what %s is", p.name, v.Name)
			}
			page += fmt.Sprintf("| `%s` | %s | %s |\n", v.Name, value, said[v.Name])
		}
	}
	path := filepath.Join(root, "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(path, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != page {
		t.Error("docs/configuration.md is not what the code says; run this test with -update")
	}
}

// comments are what the comments of fields say of their variables. That of the first of
// dirs that has a variable counts.
func comments(t *testing.T, dirs []string) map[string]string {
	t.Helper()
	said := map[string]string{}
	for _, dir := range dirs {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s has no code: %v", dir, err)
		}
		for _, path := range paths {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if fields, ok := n.(*ast.StructType); ok {
					for name, text := range commentsOf(fields) {
						if said[name] == "" {
							said[name] = text
						}
					}
				}
				return true
			})
		}
	}
	return said
}

// commentsOf are those of a struct, with variables in the place of its fields' names. A
// comment that names several fields is said of the first, and of the others that it is
// said there.
func commentsOf(fields *ast.StructType) map[string]string {
	variables, said, above := map[string]string{}, map[string]string{}, ""
	for _, field := range fields.Fields.List {
		if variable := variableOf(field); variable != "" {
			variables[field.Names[0].Name] = variable
		}
	}
	first := ""
	for _, field := range fields.Fields.List {
		variable := variableOf(field)
		if field.Doc != nil {
			above, first = field.Doc.Text(), variable
		}
		if variable == "" {
			continue
		}
		name := field.Names[0].Name
		switch {
		case field.Comment != nil:
			said[variable] = inWords(field.Comment.Text(), name, variables)
		case field.Doc != nil:
			said[variable] = inWords(above, name, variables)
		case regexp.MustCompile(`\b` + name + `\b`).MatchString(above):
			said[variable] = "see `" + first + "`"
		}
	}
	return said
}

func variableOf(field *ast.Field) string {
	if field.Tag == nil || len(field.Names) == 0 {
		return ""
	}
	tag, err := strconv.Unquote(field.Tag.Value)
	if err != nil {
		return ""
	}
	name, _, _ := strings.Cut(reflect.StructTag(tag).Get("env"), ",")
	return strings.TrimPrefix(name, "-")
}

// inWords is a comment of a field in one line, without the name that it begins with.
func inWords(comment, name string, variables map[string]string) string {
	text := strings.Join(strings.Fields(comment), " ")
	if rest, ok := strings.CutPrefix(text, name+" "); ok && !strings.HasPrefix(rest, "and ") {
		text = strings.TrimPrefix(strings.TrimPrefix(rest, "is "), "are ")
	}
	text = regexp.MustCompile(`\b[A-Z]\w+\b`).ReplaceAllStringFunc(text, func(word string) string {
		if variable := variables[word]; variable != "" {
			return "`" + variable + "`"
		}
		return word
	})
	return strings.ReplaceAll(text, "|", `\|`)
}
