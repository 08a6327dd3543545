package cloudflare

import "strings"

// markPrefix is before the name of a host in that of its mark: beside a CNAME there can be
// no TXT of the same name.
const markPrefix = "_rdev."

// mark says whose a host is.
type mark struct {
	installation, project string
}

// content is the TXT record of a mark.
func (m mark) content() string {
	return `"heritage=rdev,rdev/owner=` + m.installation + `,rdev/project=` + m.project + `"`
}

// comment is that of all records of the project. It is for people.
func (m mark) comment() string { return "rdev project=" + m.project }

// commented tells whether a comment is the project's, whatever follows it.
func (m mark) commented(comment string) bool {
	rest, ok := strings.CutPrefix(strings.ToLower(strings.TrimSpace(comment)), m.comment())
	return ok && (rest == "" || rest[0] == ' ')
}

// readMark reads a TXT record. ok is false where it is no mark; one that says less than it
// should is nobody's, and so somebody else's.
func readMark(content string) (m mark, ok bool) {
	for field := range strings.SplitSeq(strings.ToLower(unquoted(content)), ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		switch key {
		case "heritage":
			ok = value == "rdev"
		case "rdev/owner":
			m.installation = value
		case "rdev/project":
			m.project = value
		}
	}
	return m, ok
}

// unquoted is the text of a TXT record: as it is, or in parts, each in quotes.
func unquoted(content string) string {
	content = strings.TrimSpace(content)
	if !strings.HasPrefix(content, `"`) {
		return content
	}
	var text strings.Builder
	for i, part := range strings.Split(content, `"`) {
		if i%2 == 1 { // what is in quotes
			text.WriteString(part)
		}
	}
	return text.String()
}
