package templates

import (
	"bytes"
	"slices"
	"strings"
)

// marked is a file with a part that follows from the register, between two lines:
//
//	# <components> written by rdev from rdev.json
//	…
//	# </components>
//
// What is outside of it belongs to whoever works on the project.
type marked struct {
	path        string
	open, close string // what is around the marks in a comment of the file
}

func markedFiles() []marked {
	return []marked{
		{"README.md", "<!-- ", " -->"},
		{"go.work", "// ", ""},
		{".woodpecker.yml", "# ", ""},
		{".rdev/build.yml", "# ", ""},
	}
}

// The marks.
const (
	markBegin = "<components> written by rdev from rdev.json"
	markEnd   = "</components>"
)

// rewrite is the file with the part of another register in place of what is there, which has
// to be that of the old one: anything else was written by hand, and would be lost.
func (m marked) rewrite(text []byte, old, next register) ([]byte, error) {
	before, part, after, err := m.split(text)
	if err != nil {
		return nil, err
	}
	was, err := execute("files/registers/"+m.path+suffix, data{Components: old.rows()})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(part, was) {
		return nil, conflict("%s was changed by hand between its marks %s and %s, and that would be lost; it has to be there\n%s\nand is\n%s",
			m.path, "<components>", markEnd, trimmed(was), trimmed(part))
	}
	is, err := execute("files/registers/"+m.path+suffix, data{Components: next.rows()})
	return slices.Concat(before, is, after), err
}

// split finds the part between the marks.
func (m marked) split(text []byte) (before, part, after []byte, err error) {
	begin, end, at := -1, -1, 0
	for line := range bytes.Lines(text) {
		next := at + len(line)
		switch strings.TrimSpace(string(line)) {
		case m.open + markBegin + m.close:
			if begin >= 0 {
				return nil, nil, nil, conflict("%s has the mark %q twice", m.path, markBegin)
			}
			begin = next
		case m.open + markEnd + m.close:
			if end >= 0 {
				return nil, nil, nil, conflict("%s has the mark %q twice", m.path, markEnd)
			}
			end = at
		}
		at = next
	}
	if begin < 0 || end < begin {
		return nil, nil, nil, conflict("%s has no line %q with a line %q below it: rdev would not know where components go", m.path, m.open+markBegin+m.close, m.open+markEnd+m.close)
	}
	return text[:begin], text[begin:end], text[end:], nil
}
