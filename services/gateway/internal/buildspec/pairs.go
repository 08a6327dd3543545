package buildspec

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// pair is a field of a mapping.
type pair struct {
	name  string
	line  int
	value *yaml.Node
}

// pairs are the fields of a mapping: its own, then those of what it merges with "<<" that
// it has not itself.
func (r *reader) pairs(node *yaml.Node, path string) []pair {
	var all []pair
	first := map[string]int{}
	var merges []*yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, ok := r.plain(node.Content[i], path)
		if !ok {
			continue
		}
		if key.Kind != yaml.ScalarNode || isNull(key) {
			r.wrongAt(path, "has a name that is %s", describe(key))
			continue
		}
		if len(key.Value) > maxKey {
			r.wrongAt(path, "has a name of more than %d bytes", maxKey)
			continue
		}
		if line, twice := first[key.Value]; twice {
			r.lines[below(path, key.Value)] = key.Line
			r.wrongAt(below(path, key.Value), "is there twice; the first one is in line %d", line)
			continue
		}
		first[key.Value] = key.Line
		if key.Tag == "!!merge" {
			r.lines[below(path, "<<")] = key.Line
			merges = append(merges, node.Content[i+1])
			continue
		}
		all = append(all, pair{key.Value, key.Line, node.Content[i+1]})
	}
	for _, merged := range merges {
		for _, p := range r.merged(merged, path) {
			if first[p.name] == 0 {
				first[p.name] = p.line
				all = append(all, p)
			}
		}
	}
	return all
}

func (r *reader) merged(node *yaml.Node, path string) []pair {
	node, ok := r.plain(node, path)
	switch {
	case !ok:
		return nil
	case node.Kind == yaml.MappingNode:
		return r.pairs(node, path)
	case node.Kind != yaml.SequenceNode:
		r.wrongAt(below(path, "<<"), "must be the alias of a mapping, or a list of them")
		return nil
	}
	var all []pair
	for i, item := range node.Content {
		if item, ok = r.plain(item, path); !ok {
			continue
		}
		if item.Kind != yaml.MappingNode {
			r.wrongAt(fmt.Sprintf("%s[%d]", below(path, "<<"), i), "must be the alias of a mapping")
			continue
		}
		all = append(all, r.pairs(item, path)...)
	}
	return all
}

// below is the path of a field of a mapping.
func below(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func isNull(node *yaml.Node) bool { return node.Tag == "!!null" }

// describe says what a node is instead of what it should be.
func describe(node *yaml.Node) string {
	switch {
	case node.Kind == yaml.MappingNode:
		return "a mapping"
	case node.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(node):
		return "nothing"
	case node.Tag == "!!int", node.Tag == "!!float":
		return "a number"
	case node.Tag == "!!bool":
		return "true or false"
	}
	return "text"
}
