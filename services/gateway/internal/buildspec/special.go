package buildspec

import (
	"reflect"

	"go.yaml.in/yaml/v3"
)

// read implements special.
func (p *program) read(r *reader, node *yaml.Node, path string) bool {
	switch node.Kind {
	case yaml.SequenceNode:
		return r.value(node, path, reflect.ValueOf(&p.Argv).Elem(), asScalar)
	case yaml.ScalarNode:
		return r.value(node, path, reflect.ValueOf(&p.Script).Elem(), "")
	}
	r.wrongAt(path, "must be a script, or a list: a program with its arguments")
	return false
}

// read implements special.
func (o *origin) read(r *reader, node *yaml.Node, path string) bool {
	switch {
	case node.Kind == yaml.MappingNode:
		return r.value(node, path, reflect.ValueOf(&o.Repository).Elem(), "")
	case node.Kind == yaml.ScalarNode && node.Value == "none":
		o.None = true
		return true
	}
	r.wrongAt(path, `must be a mapping with url and ref, or "none"`)
	return false
}

// read implements special.
func (p *param) read(r *reader, node *yaml.Node, path string) bool {
	switch {
	case node.Kind == yaml.MappingNode:
		return r.fields(node, path, reflect.ValueOf(p).Elem())
	case node.Kind == yaml.ScalarNode && !isNull(node):
		p.Default = &node.Value
		return true
	}
	r.wrongAt(path, "must be its default, or a mapping; {} is a parameter that has to be given")
	return false
}

// read implements special.
func (m *matrix) read(r *reader, node *yaml.Node, path string) bool {
	if node.Kind != yaml.MappingNode {
		r.wrongAt(path, "must be a mapping of names to lists of values, not %s", describe(node))
		return false
	}
	for _, p := range r.pairs(node, path) {
		one := axis{Name: p.name}
		field := below(path, p.name)
		r.lines[field] = p.line
		r.value(p.value, field, reflect.ValueOf(&one.Values).Elem(), asScalar)
		*m = append(*m, one)
	}
	return true
}
