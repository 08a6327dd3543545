package buildspec

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

// part is what of a schema is looked at here.
type part struct {
	Ref         string          `json:"$ref"`
	Title       string          `json:"title"`
	Description string          `json:"description"`
	Type        any             `json:"type"`
	Enum        []string        `json:"enum"`
	Additional  json.RawMessage `json:"additionalProperties"`
	Properties  map[string]part `json:"properties"`
	Items       *part           `json:"items"`
	AnyOf       []part          `json:"anyOf"`
	Defs        map[string]part `json:"$defs"`
	Pattern     string          `json:"pattern"`
}

func document(t *testing.T) part {
	t.Helper()
	var root part
	if err := json.Unmarshal(Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return root
}

// object is the part for a mapping with known fields, wherever that is said.
func (root part) object(p part) (part, bool) {
	if p.Properties != nil {
		return p, true
	}
	if p.Ref != "" {
		return root.object(root.Defs[strings.TrimPrefix(p.Ref, "#/$defs/")])
	}
	if p.Items != nil {
		return root.object(*p.Items)
	}
	for _, one := range p.AnyOf {
		if found, ok := root.object(one); ok {
			return found, true
		}
	}
	var values part
	if json.Unmarshal(p.Additional, &values) == nil {
		return root.object(values)
	}
	return part{}, false
}

func TestTheSchemaHasEveryFieldAndNoOther(t *testing.T) {
	root := document(t)
	var same func(path string, p part, form reflect.Type)
	same = func(path string, p part, form reflect.Type) {
		if form == reflect.TypeFor[origin]() {
			form = reflect.TypeFor[Repository]()
		}
		if form == reflect.TypeFor[matrix]() || form == reflect.TypeFor[program]() {
			return // they have no fields of their own
		}
		switch form.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			same(path, p, form.Elem())
			return
		case reflect.Struct:
		default:
			return
		}
		object, ok := root.object(p)
		if !ok {
			t.Errorf("%s has no fields in the schema", path)
			return
		}
		var described []string
		for name, field := range object.Properties {
			described = append(described, name)
			if field.Title == "" || !strings.HasSuffix(field.Description, ".") {
				t.Errorf("%s.%s has no title, or no description that is a sentence", path, name)
			}
		}
		known := fieldsOf(form)
		slices.Sort(known)
		slices.Sort(described)
		if diff := cmp.Diff(known, described); diff != "" {
			t.Errorf("%s differs (-form +schema):\n%s", path, diff)
		}
		if string(object.Additional) != "false" {
			t.Errorf("%s may have other fields", path)
		}
		for field := range form.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
			same(path+"."+name, object.Properties[name], field.Type)
		}
	}
	same("build", root, reflect.TypeFor[spec]())
}

func TestTheSchemaHasTheWordsOfTheContract(t *testing.T) {
	root := document(t)
	var agents []string
	for _, agent := range contract.Agents() {
		agents = append(agents, agent.Name)
	}
	words := func(def, field string) []string { return root.Defs[def].Properties[field].Enum }
	for name, test := range map[string]struct{ schema, want []string }{
		"kinds":    {words("step", "kind"), contract.WorkKinds()},
		"verbs":    {words("git", "verb"), contract.GitVerbs()},
		"agents":   {words("agent", "provider"), agents},
		"priority": {root.Properties["priority"].Enum, []string{string(contract.PriorityHigh), string(contract.PriorityNormal), string(contract.PriorityLow)}},
		"patterns": {[]string{root.Defs["duration"].Pattern, root.Defs["name"].Pattern}, []string{durationPattern.String(), namePattern.String()}},
	} {
		slices.Sort(test.schema)
		slices.Sort(test.want)
		if diff := cmp.Diff(test.want, test.schema); diff != "" {
			t.Errorf("%s differ (-contract +schema):\n%s", name, diff)
		}
	}
}
