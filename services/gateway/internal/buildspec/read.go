package buildspec

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// durationPattern is what may be written for a duration; the schema has it, too.
var durationPattern = regexp.MustCompile(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`)

// reader fills the form from YAML, and notes where each field is and what is wrong.
type reader struct {
	findings
	// left is how many values may still be read: an alias is read as often as it is used.
	left    int
	unknown map[string]bool // mappings, by path, that have a field which is not known
}

// special is what reads itself.
type special interface {
	read(r *reader, node *yaml.Node, path string) bool
}

// Options of fields, as in their tags.
const (
	asScalar   = "scalar"
	asDuration = "duration"
)

// value reads a value, and tells whether it is of the type that is wanted.
func (r *reader) value(node *yaml.Node, path string, into reflect.Value, option string) bool {
	node, ok := r.plain(node, path)
	if !ok {
		return false
	}
	if reads, ok := reflect.TypeAssert[special](into.Addr()); ok {
		return reads.read(r, node, path)
	}
	if isNull(node) {
		r.wrongAt(path, "has no value; write one, or leave it out")
		return false
	}
	switch into.Kind() {
	case reflect.Pointer:
		value := reflect.New(into.Type().Elem())
		if ok = r.value(node, path, value.Elem(), option); ok {
			into.Set(value)
		}
		return ok
	case reflect.Struct:
		return r.fields(node, path, into)
	case reflect.Map:
		return r.mapping(node, path, into, option)
	case reflect.Slice:
		return r.list(node, path, into, option)
	}
	return r.scalar(node, path, into, option)
}

// plain is the node that is meant, without alias and tag.
func (r *reader) plain(node *yaml.Node, path string) (*yaml.Node, bool) {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if r.left--; r.left < 0 {
		r.wrongAt("", "comes to more than %d values, with what its aliases stand for", maxValues)
		return nil, false
	}
	if node.Style&yaml.TaggedStyle != 0 {
		r.wrongAt(path, "has the tag %s; write it without", node.Tag)
		return nil, false
	}
	return node, true
}

func (r *reader) fields(node *yaml.Node, path string, into reflect.Value) bool {
	if node.Kind != yaml.MappingNode {
		r.wrongAt(path, "must be a mapping, not %s", describe(node))
		return false
	}
	known := fieldsOf(into.Type())
	for _, p := range r.pairs(node, path) {
		field := below(path, p.name)
		r.lines[field] = p.line
		index, option, ok := fieldNamed(into.Type(), p.name)
		if !ok {
			r.unknown[path] = true
			r.wrongAt(field, "is not a field that is known here%s", r.didYouMean(p.name, known))
			continue
		}
		r.value(p.value, field, into.Field(index), option)
	}
	return true
}

func (r *reader) mapping(node *yaml.Node, path string, into reflect.Value, option string) bool {
	if node.Kind != yaml.MappingNode {
		r.wrongAt(path, "must be a mapping, not %s", describe(node))
		return false
	}
	into.Set(reflect.MakeMap(into.Type()))
	for _, p := range r.pairs(node, path) {
		field := below(path, p.name)
		r.lines[field] = p.line
		value := reflect.New(into.Type().Elem()).Elem()
		r.value(p.value, field, value, option)
		into.SetMapIndex(reflect.ValueOf(p.name), value)
	}
	return true
}

func (r *reader) list(node *yaml.Node, path string, into reflect.Value, option string) bool {
	if node.Kind != yaml.SequenceNode {
		r.wrongAt(path, "must be a list, not %s", describe(node))
		return false
	}
	into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		field := fmt.Sprintf("%s[%d]", path, i)
		r.lines[field] = item.Line
		r.value(item, field, into.Index(i), option)
		if r.left < 0 {
			break
		}
	}
	return true
}

func (r *reader) scalar(node *yaml.Node, path string, into reflect.Value, option string) bool {
	number := node.Tag == "!!int" || node.Tag == "!!float"
	switch into.Kind() {
	case reflect.String:
		switch {
		case node.Kind != yaml.ScalarNode:
			r.wrongAt(path, "must be text, not %s", describe(node))
			return false
		case option == asDuration && !durationPattern.MatchString(node.Value):
			r.wrongAt(path, `must be a duration such as "90s" or "1h30m"`)
			return false
		case option != asScalar && node.Value == "":
			r.wrongAt(path, "must not be empty; leave it out where it is not needed")
			return false
		case option != asScalar && (number || node.Tag == "!!bool"):
			r.wrongAt(path, "must be text; put it in quotes: %q", node.Value)
			return false
		}
		into.SetString(node.Value)
		return true
	case reflect.Bool:
		if node.Tag != "!!bool" || node.Decode(into.Addr().Interface()) != nil {
			r.wrongAt(path, "must be true or false")
			return false
		}
		return true
	case reflect.Float64:
		if !number || node.Decode(into.Addr().Interface()) != nil || math.IsInf(into.Float(), 0) || math.IsNaN(into.Float()) {
			r.wrongAt(path, "must be a number")
			return false
		}
		return true
	}
	if node.Tag != "!!int" || node.Decode(into.Addr().Interface()) != nil {
		r.wrongAt(path, "must be a whole number")
		return false
	}
	return true
}

// fieldsOf are the names of the fields of a struct.
func fieldsOf(t reflect.Type) []string {
	names := make([]string, t.NumField())
	for i := range names {
		names[i], _, _ = strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
	}
	return names
}

func fieldNamed(t reflect.Type, name string) (index int, option string, ok bool) {
	for i := range t.NumField() {
		known, option, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if known == name {
			return i, option, true
		}
	}
	return 0, "", false
}
