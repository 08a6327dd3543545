package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// docsPage is what docs.html shows. It is made of openapi.yaml in the order in
// which that is written.
type docsPage struct {
	Title, Intro, Version string
	Groups                []docsGroup
	Schemas               []docsSchema
}

type docsGroup struct {
	Name, Intro string
	Calls       []docsCall
}

type docsCall struct {
	ID, Method, Path, Summary, Text string
	Open                            bool // needs no key
	Parameters                      []docsRow
	Body                            string // schema of the request
	Example                         string
	Answers                         []docsRow
}

// docsRow is a parameter, an answer or a field.
type docsRow struct {
	Name, Kind, Text string
	Schema           string // where the text goes on
	Required         bool
}

type docsSchema struct {
	Name, Text string
	Fields     []docsRow
}

// node reads a YAML document by its keys, in the order of the file.
type node struct{ *yaml.Node }

func (n node) get(key string) node {
	if n.Node == nil {
		return node{}
	}
	for k, v := range n.pairs() {
		if k == key {
			return v
		}
	}
	return node{}
}

func (n node) pairs() func(yield func(string, node) bool) {
	return func(yield func(string, node) bool) {
		if n.Node == nil || n.Kind != yaml.MappingNode {
			return
		}
		for i := 0; i+1 < len(n.Content); i += 2 {
			if !yield(n.Content[i].Value, node{n.Content[i+1]}) {
				return
			}
		}
	}
}

func (n node) text() string {
	if n.Node == nil {
		return ""
	}
	return strings.TrimSpace(n.Value)
}

func (n node) items() []node {
	if n.Node == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	items := make([]node, 0, len(n.Content))
	for _, item := range n.Content {
		items = append(items, node{item})
	}
	return items
}

func (n node) words() []string {
	var words []string
	for _, item := range n.items() {
		words = append(words, item.text())
	}
	return words
}

func docsOf(document []byte) (docsPage, error) {
	var file yaml.Node
	if err := yaml.Unmarshal(document, &file); err != nil || len(file.Content) == 0 {
		return docsPage{}, fmt.Errorf("openapi.yaml: %w", err)
	}
	root := node{file.Content[0]}
	page := docsPage{Title: root.get("info").get("title").text(), Intro: root.get("info").get("description").text()}
	for _, tag := range root.get("tags").items() {
		page.Groups = append(page.Groups, docsGroup{Name: tag.get("name").text(), Intro: tag.get("description").text()})
	}
	for path, methods := range root.get("paths").pairs() {
		for method, call := range methods.pairs() {
			if method == "parameters" {
				continue
			}
			group := slices.IndexFunc(page.Groups, func(g docsGroup) bool { return slices.Contains(call.get("tags").words(), g.Name) })
			if group < 0 {
				return page, fmt.Errorf("openapi.yaml: %s %s has no tag that is known", method, path)
			}
			page.Groups[group].Calls = append(page.Groups[group].Calls, root.call(method, path, methods, call))
		}
	}
	for name, schema := range root.get("components").get("schemas").pairs() {
		page.Schemas = append(page.Schemas, root.schema(name, schema))
	}
	return page, nil
}

func (n node) call(method, path string, methods, call node) docsCall {
	security := call.get("security")
	shown := docsCall{
		ID: call.get("operationId").text(), Method: strings.ToUpper(method), Path: path,
		Summary: call.get("summary").text(), Text: call.get("description").text(),
		Open: security.Node != nil && len(security.Content) == 0,
	}
	for _, parameter := range append(methods.get("parameters").items(), call.get("parameters").items()...) {
		p := n.resolve(parameter)
		shown.Parameters = append(shown.Parameters, docsRow{
			Name: p.get("name").text(), Kind: p.get("in").text(), Text: p.get("description").text(), Required: p.get("required").text() == "true",
		})
	}
	body := call.get("requestBody").get("content").get("application/json")
	shown.Body, shown.Example = refName(body.get("schema")), body.get("x-example").text()
	for status, answer := range call.get("responses").pairs() {
		a := n.resolve(answer)
		row := docsRow{Name: status, Text: a.get("description").text()}
		for _, content := range a.get("content").pairs() {
			if name := refName(content.get("schema")); name != "" && row.Schema == "" {
				row.Schema = name
			}
		}
		shown.Answers = append(shown.Answers, row)
	}
	return shown
}

func (n node) schema(name string, schema node) docsSchema {
	shown := docsSchema{Name: name, Text: schema.get("description").text()}
	required := schema.get("required").words()
	for field, s := range schema.get("properties").pairs() {
		shown.Fields = append(shown.Fields, docsRow{
			Name: field, Kind: kindOf(s), Text: s.get("description").text(), Schema: refName(s), Required: slices.Contains(required, field),
		})
	}
	return shown
}

// resolve follows a $ref within the document.
func (n node) resolve(at node) node {
	ref := at.get("$ref").text()
	if ref == "" {
		return at
	}
	found := n
	for part := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
		found = found.get(part)
	}
	return found
}

// refName is the name of the schema that one refers to: itself, its items or
// its only alternative to null.
func refName(schema node) string {
	for _, at := range append([]node{schema, schema.get("items")}, schema.get("anyOf").items()...) {
		if ref := at.get("$ref").text(); ref != "" {
			return ref[strings.LastIndexByte(ref, '/')+1:]
		}
	}
	return ""
}

// kindOf is a schema's type in a word or two.
func kindOf(schema node) string {
	kinds := schema.get("type").words()
	if kind := schema.get("type").text(); kind != "" {
		kinds = []string{kind}
	}
	if values := schema.get("enum").words(); len(values) > 0 {
		return strings.Join(values, " | ")
	}
	if constant := schema.get("const").text(); constant != "" {
		return constant
	}
	if slices.Contains(kinds, "array") {
		if inner := kindOf(schema.get("items")); inner != "" {
			return "array of " + inner
		}
	}
	return strings.Join(kinds, " or ")
}
