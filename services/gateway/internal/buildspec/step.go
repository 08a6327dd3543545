package buildspec

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// step is a step of the build, with the values of its matrix.
func (p *parser) step(path string, s step, values map[string]string) contract.BuildStep {
	from := p.sources(path, s, values)
	asked := Step{
		Kind: s.Kind, Repository: p.spec.Repository, Argv: s.Run.Argv, Script: s.Run.Script, Agent: s.Agent, Git: s.Git,
		Workdir: s.Workdir, Env: from.env, Credentials: from.secrets, Timeout: s.Timeout,
		Approval: s.Approval, ApprovalTimeout: s.ApprovalTimeout, ApprovalDefault: s.ApprovalDefault,
		Priority: p.spec.Priority, MaxAttempts: s.Attempts, Backoff: s.Backoff, Labels: p.spec.Labels,
	}
	if asked.Kind == "" {
		asked.Kind = "build"
		if s.Deploy != nil {
			asked.Kind = "deploy"
		}
	}
	if s.Run.Script != "" || len(s.Run.Argv) > 0 { // that there are both is said already
		asked.Agent = nil
	}
	if p.written(path + ".repository") {
		asked.Repository = s.Repository.Repository
	}
	command, work, wrong := p.check(asked)
	for _, field := range wrong {
		p.wrongAt(from.path(field.Field), "%s", field.Message)
	}
	command.Image, command.Deploy = p.image(path, s, from), p.deploy(path, s, from)
	step := contract.BuildStep{
		Name: instanceName(s, values), Of: s.Name, Needs: s.Needs, If: strings.TrimSpace(s.If), AllowFailure: s.AllowFailure, Kind: contract.WorkPrefix + asked.Kind,
		Command: command, Repository: work.Repository, Services: p.services(path, s), MaxAttempts: work.MaxAttempts, Backoff: work.Backoff,
		Files: contract.Files{Caches: p.caches(path, s, from), Artifacts: p.artifacts(path, s)},
		State: contract.StepPending,
	}
	if len(values) > 0 {
		step.Matrix = values
	}
	return step
}

// sources are where what a step asks for was written.
type sources struct {
	step       string // path
	env        map[string]string
	envPaths   map[string]string // by name
	secrets    []string
	secretPath []string // of each
	repository string
}

// sources puts together what a step has itself, and what it inherits.
func (p *parser) sources(path string, s step, values map[string]string) sources {
	from := sources{step: path, env: map[string]string{}, envPaths: map[string]string{}, repository: "repository"}
	if p.written(path + ".repository") {
		from.repository = path + ".repository"
	}
	add := func(at string, env map[string]string) {
		for _, name := range slices.Sorted(maps.Keys(env)) {
			from.env[name], from.envPaths[name] = env[name], at+"."+name
		}
	}
	add("env", p.spec.Env)
	add(path+".env", s.Env)
	add(path+".matrix", values)
	add("params", p.params)
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		if _, both := p.spec.Params[name]; both {
			p.wrongAt(path+".env."+name, "is a parameter, too")
		}
	}
	for _, axis := range s.Matrix {
		if _, both := s.Env[axis.Name]; both {
			p.wrongAt(path+".matrix."+axis.Name, "is in env, too")
		}
		if _, both := p.spec.Params[axis.Name]; both {
			p.wrongAt(path+".matrix."+axis.Name, "is a parameter, too")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(from.env)) {
		if name == "RDEV_BUILD" || name == "RDEV_STEP" || name == "RDEV_INPUTS" {
			p.wrongAt(from.envPaths[name], "is set by rdev")
		}
	}
	p.unique(path+".secrets", s.Secrets, maxList)
	for i, name := range p.spec.Secrets {
		from.secrets, from.secretPath = append(from.secrets, name), append(from.secretPath, fmt.Sprintf("secrets[%d]", i))
	}
	for i, name := range s.Secrets {
		if !slices.Contains(p.spec.Secrets, name) {
			from.secrets, from.secretPath = append(from.secrets, name), append(from.secretPath, fmt.Sprintf("%s.secrets[%d]", path, i))
		}
	}
	return from
}

// path is where a field is written that a request for work calls as given.
func (f sources) path(field string) string {
	if name, ok := strings.CutPrefix(field, "env."); ok {
		return f.envPaths[name]
	}
	var i int
	if _, err := fmt.Sscanf(field, "credentials[%d]", &i); err == nil && i < len(f.secretPath) {
		return f.secretPath[i]
	}
	word, rest := field, ""
	if end := strings.IndexAny(field, ".["); end >= 0 {
		word, rest = field[:end], field[end:]
	}
	switch word {
	case "repository":
		return f.repository + rest
	case "priority", "labels":
		return field
	case "argv", "script":
		word = "run"
	case "max_attempts":
		word = "attempts"
	}
	return f.step + "." + word + rest
}
