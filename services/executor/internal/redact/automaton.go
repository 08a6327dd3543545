package redact

// automaton finds many patterns at once, after Aho and Corasick: its state is the
// longest end of what it has read that a pattern begins with.
type automaton struct {
	nodes []node // the first is the root
	first [256]int32
}

// node is a start of some pattern, 24 bytes of memory. Most have one child, and
// the root alone has many, so children are a list; 0 ends it, as the root is
// nobody's child.
type node struct {
	child, sibling int32
	fail           int32 // longest other end of it that a pattern begins with
	depth          int32 // bytes
	match          int32 // bytes of the longest pattern that it ends with, 0 for none
	secret         int16 // whose pattern that is
	label          byte  // its last byte
}

func newAutomaton() *automaton { return &automaton{nodes: make([]node, 1)} }

// add adds a pattern of a secret. The first secret with a pattern has it.
func (a *automaton) add(pattern string, secret int) {
	at := int32(0)
	for i := range len(pattern) {
		next := a.next(at, pattern[i])
		if next == 0 {
			next = int32(len(a.nodes))
			grown := node{depth: a.nodes[at].depth + 1, label: pattern[i]}
			if at == 0 {
				a.first[pattern[i]] = next
			} else {
				grown.sibling, a.nodes[at].child = a.nodes[at].child, next
			}
			a.nodes = append(a.nodes, grown)
		}
		at = next
	}
	if a.nodes[at].match == 0 {
		a.nodes[at].match, a.nodes[at].secret = a.nodes[at].depth, int16(secret)
	}
}

// next is the child of a node that a byte leads to, 0 where there is none.
func (a *automaton) next(at int32, b byte) int32 {
	if at == 0 {
		return a.first[b]
	}
	for child := a.nodes[at].child; child != 0; child = a.nodes[child].sibling {
		if a.nodes[child].label == b {
			return child
		}
	}
	return 0
}

// finish finds where each node goes on when none of its children fits, after all
// patterns were added: shorter nodes first.
func (a *automaton) finish() {
	queue := make([]int32, 0, len(a.nodes))
	for _, at := range a.first {
		if at != 0 {
			queue = append(queue, at)
		}
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		if fail := a.nodes[a.nodes[at].fail]; a.nodes[at].match == 0 {
			a.nodes[at].match, a.nodes[at].secret = fail.match, fail.secret
		}
		for child := a.nodes[at].child; child != 0; child = a.nodes[child].sibling {
			a.nodes[child].fail = a.step(a.nodes[at].fail, a.nodes[child].label)
			queue = append(queue, child)
		}
	}
}

// step reads a byte.
func (a *automaton) step(state int32, b byte) int32 {
	for state != 0 {
		if next := a.next(state, b); next != 0 {
			return next
		}
		state = a.nodes[state].fail
	}
	return a.first[b]
}

// open is what a state comes down to: no pattern goes on from a node without
// children.
func (a *automaton) open(state int32) int32 {
	for state != 0 && a.nodes[state].child == 0 {
		state = a.nodes[state].fail
	}
	return state
}
