package buildspec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/adapters/httpapi"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

var update = flag.Bool("update", false, "write the golden files")

// parse is Parse with the rules of work.
func parse(text []byte, params map[string]string) (contract.Build, error) {
	return buildspec.Parse(text, params, httpapi.CheckStep)
}

// problems are the errors of a specification, one a line.
func problems(t testing.TB, err error) string {
	t.Helper()
	problem, ok := errors.AsType[*contract.Error](err)
	if !ok || problem.Code != contract.CodeInvalidRequest || len(problem.Fields) == 0 {
		t.Fatalf("%v is no error with fields", err)
	}
	var lines strings.Builder
	for _, field := range problem.Fields {
		fmt.Fprintf(&lines, "build.yml:%d: %s %s\n", field.Line, field.Field, field.Message)
	}
	return lines.String()
}

// golden compares with a file.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(buildspec.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("build.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("build.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// asJSON is a text in YAML as a schema sees it.
func asJSON(text []byte) (any, error) {
	if json.Valid(text) {
		return jsonschema.UnmarshalJSON(bytes.NewReader(text))
	}
	var value any
	err := yaml.Unmarshal(text, &value)
	return plain(value), err
}

func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name, inner := range value {
			value[name] = plain(inner)
		}
	case map[any]any:
		all := map[string]any{}
		for name, inner := range value {
			all[fmt.Sprint(name)] = plain(inner)
		}
		return all
	case []any:
		for i, inner := range value {
			value[i] = plain(inner)
		}
	case time.Time:
		return value.Format(time.DateOnly)
	}
	return value
}

// TestTheCorpus has three kinds of texts: what is valid; what only its meaning makes
// invalid; and what has not the structure that the schema says.
func TestTheCorpus(t *testing.T) {
	schema := compileSchema(t)
	for kind, valid := range map[string]struct{ schema, parse bool }{
		"valid": {true, true}, "meaning": {true, false}, "structure": {false, false},
	} {
		files, err := filepath.Glob("testdata/" + kind + "/*.*")
		if err != nil || len(files) == 0 {
			t.Fatalf("no files: %v", err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, ".golden") {
				continue
			}
			t.Run(filepath.Base(path), func(t *testing.T) {
				text, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				build, err := parse(text, nil)
				switch {
				case valid.parse && err != nil:
					t.Errorf("is refused:\n%s", problems(t, err))
				case valid.parse:
					encoded, err := json.MarshalIndent(build, "", "  ")
					if err != nil {
						t.Fatal(err)
					}
					golden(t, path+".golden", string(encoded)+"\n")
				case err == nil:
					t.Error("is taken")
				default:
					golden(t, path+".golden", problems(t, err))
				}
				value, err := asJSON(text)
				if err != nil {
					if valid.schema {
						t.Errorf("is no YAML: %v", err)
					}
					return
				}
				if err := schema.Validate(value); (err == nil) != valid.schema {
					t.Errorf("the schema says %v", err)
				}
			})
		}
	}
}
