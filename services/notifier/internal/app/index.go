package app

import (
	"iter"
	"strings"
)

// index finds the lanes that an event may be wanted by. It is never changed.
type index struct {
	all      []*lane
	entities map[string][]*lane // operation
	types    map[string][]*lane // operation.completed
}

func newIndex(lanes map[string]*lane) *index {
	x := &index{entities: map[string][]*lane{}, types: map[string][]*lane{}}
	for _, l := range lanes {
		for _, wanted := range l.endpoint.Webhook.Events {
			entity, rest, _ := strings.Cut(wanted, ".")
			switch {
			case wanted == "*":
				x.all = append(x.all, l)
			case rest == "*":
				x.entities[entity] = append(x.entities[entity], l)
			default:
				x.types[wanted] = append(x.types[wanted], l)
			}
		}
	}
	return x
}

// wanting are lanes that may want an event of a type, some of them more than once.
func (x *index) wanting(eventType string) iter.Seq[*lane] {
	entity, _, _ := strings.Cut(eventType, ".")
	return func(yield func(*lane) bool) {
		for _, lanes := range [][]*lane{x.all, x.entities[entity], x.types[eventType]} {
			for _, l := range lanes {
				if !yield(l) {
					return
				}
			}
		}
	}
}
