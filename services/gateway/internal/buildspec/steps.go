package buildspec

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// namePattern keeps the names of steps and services apart from those of a matrix, which
// have an @.
var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)

// steps are the steps of the build, those of a matrix one after the other.
func (p *parser) steps() []contract.BuildStep {
	written := p.spec.Steps
	switch {
	case len(written) == 0:
		p.wrongAt("steps", "is required: what the build does, step by step")
	case len(written) > contract.MaxBuildSteps:
		p.wrongAt("steps", "has more than %d steps", contract.MaxBuildSteps)
		written = written[:contract.MaxBuildSteps]
	}
	p.names(written)
	p.needs(written)
	var all []contract.BuildStep
	size := 0
	for i, s := range written {
		path := fmt.Sprintf("steps[%d]", i)
		if p.seen[path] { // it is no step at all
			continue
		}
		p.one(path, s)
		p.condition(path, s)
		for _, values := range p.combinations(path, s.Matrix) {
			if len(all) == contract.MaxBuildSteps {
				p.wrongAt("steps", "come to more than %d, with each of a matrix", contract.MaxBuildSteps)
				return all
			}
			step := p.step(path, s, values)
			encoded, err := json.Marshal(step)
			if size += len(encoded); err != nil || size > maxBuild {
				p.wrongAt("steps", "come to more than %d bytes, with all that they inherit and each of a matrix", maxBuild)
				return all
			}
			all = append(all, step)
		}
	}
	return all
}

func (p *parser) names(steps []step) {
	first := map[string]int{}
	for i, s := range steps {
		path := fmt.Sprintf("steps[%d].name", i)
		before, twice := first[s.Name]
		switch {
		case p.seen[fmt.Sprintf("steps[%d]", i)]:
		case s.Name == "":
			p.wrongAt(path, "is required")
		case !namePattern.MatchString(s.Name):
			p.wrongAt(path, "is %q, and must be 1 to 40 of a-z, 0-9 and hyphen, and begin with a letter or digit", s.Name)
		case twice:
			p.wrongAt(path, "is %q, which is the name of steps[%d], too", s.Name, before)
		default:
			first[s.Name] = i
		}
	}
}

// needs notes what is wrong with what the steps need.
func (p *parser) needs(steps []step) {
	var names []string
	for _, s := range steps {
		names = append(names, s.Name)
	}
	for i, s := range steps {
		list := fmt.Sprintf("steps[%d].needs", i)
		if len(s.Needs) > contract.MaxBuildSteps {
			p.wrongAt(list, "has more than %d names", contract.MaxBuildSteps)
			steps[i].Needs = nil
			continue
		}
		for n, name := range s.Needs {
			path := fmt.Sprintf("%s[%d]", list, n)
			switch {
			case name == s.Name:
				p.wrongAt(path, "is the step itself")
			case !slices.Contains(names, name):
				p.wrongAt(path, "names %q, which is no step%s", name, p.didYouMean(name, names))
			case slices.Index(s.Needs, name) < n:
				p.wrongAt(path, "names %q, which is there twice", name)
			}
		}
	}
	p.cycles(steps, names)
}

// cycles notes steps that wait for each other.
func (p *parser) cycles(steps []step, names []string) {
	done := make([]bool, len(steps))
	var way []int
	var visit func(i int)
	visit = func(i int) {
		if begin := slices.Index(way, i); begin >= 0 {
			if len(way) == begin+1 {
				return // it needs itself, which is said already
			}
			var circle []string
			for _, at := range append(way[begin:len(way):len(way)], i) {
				circle = append(circle, names[at])
			}
			p.wrongAt(fmt.Sprintf("steps[%d].needs", i), "leads round in a circle: %s", strings.Join(circle, " needs "))
			return
		}
		if done[i] {
			return
		}
		way = append(way, i)
		for _, name := range steps[i].Needs {
			if next := slices.Index(names, name); next >= 0 {
				visit(next)
			}
		}
		way = way[:len(way)-1]
		done[i] = true
	}
	for i := range steps {
		visit(i)
	}
}

// one notes where a step does not do exactly one thing.
func (p *parser) one(path string, s step) {
	things := []string{"run", "agent", "git", "image", "deploy"}
	var has []string
	for _, name := range things {
		if p.written(path + "." + name) {
			has = append(has, name)
		}
	}
	switch {
	case len(has) > 1:
		p.wrongAt(path, "must have one of %s, and has %s", strings.Join(things, ", "), strings.Join(has, " and "))
	case len(has) == 0 && !p.unknown[path]: // one that is misspelt is known to be
		p.wrongAt(path, "must have one of %s", strings.Join(things, ", "))
	case len(has) == 1 && has[0] == "run" && s.Run.Script == "" && len(s.Run.Argv) == 0:
		p.wrongAt(path+".run", "must not be empty")
	}
}
