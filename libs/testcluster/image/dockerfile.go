package image

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"os"
	"strings"
)

// readProcess reads from a Dockerfile how containers of its last stage are
// started, with args in place of the defaults of its ARGs: the images of the
// tests are started as those that Docker builds. It knows USER, WORKDIR, ENV,
// LABEL, and ENTRYPOINT and CMD in their JSON form; the other instructions say
// what is in the image, and are not looked at.
func readProcess(path string, args map[string]string) (process, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return process{}, fmt.Errorf("read the Dockerfile: %w", err)
	}
	var p process
	known := map[string]string{}
	for line := range strings.SplitSeq(strings.ReplaceAll(string(text), "\\\n", " "), "\n") {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = strings.TrimSpace(rest)
		switch instruction {
		case "FROM":
			p = process{}
		case "ARG":
			name, value, _ := strings.Cut(rest, "=")
			if given, ok := args[name]; ok {
				value = given
			}
			if _, declared := known[name]; !declared || value != "" {
				known[name] = value
			}
		default:
			if err := p.apply(instruction, os.Expand(rest, func(name string) string { return known[name] })); err != nil {
				return process{}, fmt.Errorf("%s: %s: %w", path, instruction, err)
			}
		}
	}
	return p, nil
}

// apply carries out an instruction.
func (p *process) apply(instruction, rest string) error {
	switch instruction {
	case "USER":
		p.User = rest
	case "WORKDIR":
		p.WorkingDir = rest
	case "ENTRYPOINT":
		return json.Unmarshal([]byte(rest), &p.Entrypoint)
	case "CMD":
		return json.Unmarshal([]byte(rest), &p.Cmd)
	case "ENV":
		for name, value := range pairs(rest) {
			p.Env = append(p.Env, name+"="+value)
		}
	case "LABEL":
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
		maps.Insert(p.Labels, pairs(rest))
	}
	return nil
}

// pairs gives the NAME=VALUE of a line, whose values may stand in double quotes.
func pairs(line string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
			name, rest, _ := strings.Cut(line, "=")
			end := strings.IndexAny(rest, " \t")
			if strings.HasPrefix(rest, `"`) {
				rest = rest[1:]
				end = strings.Index(rest, `"`)
			}
			if end < 0 {
				end = len(rest)
			}
			if !yield(name, rest[:end]) {
				return
			}
			line = strings.TrimPrefix(rest[end:], `"`)
		}
	}
}
