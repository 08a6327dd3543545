package templates

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// object is a JSON object whose members keep their order, and the values their text.
type object struct{ members []member }

type member struct {
	name  string
	value json.RawMessage
}

// readObject reads a JSON object, and nothing after it.
func readObject(text []byte) (object, error) {
	var o object
	decoder := json.NewDecoder(bytes.NewReader(text))
	token, err := decoder.Token()
	if err != nil {
		return o, err
	}
	if token != json.Delim('{') {
		return o, errors.New("it is no object")
	}
	seen := map[json.Token]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return o, err
		}
		if seen[name] {
			return o, fmt.Errorf("it has %q twice", name)
		}
		seen[name] = true
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return o, err
		}
		o.members = append(o.members, member{name.(string), value}) //nolint:forcetypeassert // names of an object are strings
	}
	if _, err := decoder.Token(); err != nil {
		return o, err
	}
	if len(bytes.TrimSpace(text[decoder.InputOffset():])) > 0 {
		return o, errors.New("there is something after it")
	}
	return o, nil
}

// get is the value of a member, nil where there is none.
func (o *object) get(name string) json.RawMessage {
	if i := o.index(name); i >= 0 {
		return o.members[i].value
	}
	return nil
}

// set gives a member a value, in its place or at the end.
func (o *object) set(name string, value json.RawMessage) {
	if i := o.index(name); i >= 0 {
		o.members[i].value = value
		return
	}
	o.members = append(o.members, member{name, value})
}

func (o *object) index(name string) int {
	return slices.IndexFunc(o.members, func(m member) bool { return m.name == name })
}

// merge puts members before the first one that comes after them in an order.
func (o *object) merge(added []member, compare func(a, b string) int) {
	added = slices.Clone(added)
	slices.SortStableFunc(added, func(a, b member) int { return compare(a.name, b.name) })
	var merged []member
	for _, m := range o.members {
		for len(added) > 0 && compare(added[0].name, m.name) < 0 {
			merged, added = append(merged, added[0]), added[1:]
		}
		merged = append(merged, m)
	}
	o.members = append(merged, added...)
}

// compact is the object as JSON.
func (o *object) compact() ([]byte, error) {
	var out bytes.Buffer
	out.WriteByte('{')
	for i, m := range o.members {
		if i > 0 {
			out.WriteByte(',')
		}
		name, err := quoted(m.name)
		if err != nil {
			return nil, err
		}
		out.WriteString(name + ":")
		out.Write(m.value)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

// write is the object as a file that is indented as another one.
func (o *object) write(like []byte) ([]byte, error) {
	text, err := o.compact()
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", indentOf(like))
	out.WriteByte('\n')
	return out.Bytes(), err
}
