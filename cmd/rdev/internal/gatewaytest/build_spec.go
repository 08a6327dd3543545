package gatewaytest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/orchard9/rdev/libs/contract"
)

// buildSpec is what a specification may say to this gateway.
type buildSpec struct {
	Name       string
	Repository *contract.Repository
	Params     map[string]string
	Labels     map[string]string
	Steps      []struct {
		Name, Run, Kind, If, Approval string
		Needs                         []atLine
		Matrix                        map[string][]string
		AllowFailure                  bool `yaml:"allow_failure"`
		Artifacts                     []string
		Agent                         *contract.Agent
		Image                         *contract.Image
		Deploy                        *contract.Deploy
	}
}

// atLine is text that knows where it stands.
type atLine struct {
	text string
	line int
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (a *atLine) UnmarshalYAML(node *yaml.Node) error {
	a.line = node.Line
	return node.Decode(&a.text)
}

// readSpec makes a build of a text, or tells what is wrong with it.
func readSpec(text []byte, params map[string]string) (build *contract.Build, wrong []contract.FieldError) {
	var spec buildSpec
	if err := yaml.Unmarshal(text, &spec); err != nil {
		line := 0
		if at := regexp.MustCompile(`line ([0-9]+)`).FindStringSubmatch(err.Error()); at != nil {
			line, _ = strconv.Atoi(at[1])
		}
		return nil, []contract.FieldError{{Message: "the text is not YAML: " + strings.TrimPrefix(err.Error(), "yaml: "), Line: line}}
	}
	if len(spec.Steps) == 0 {
		wrong = append(wrong, contract.FieldError{Field: "steps", Message: "is required", Line: 1})
	}
	for name, value := range params {
		if _, known := spec.Params[name]; !known {
			wrong = append(wrong, contract.FieldError{Field: "params." + name, Message: "is no parameter of the build"})
			continue
		}
		spec.Params[name] = value
	}
	build = &contract.Build{
		Name: spec.Name, Repository: spec.Repository, Priority: contract.PriorityNormal, Timeout: contract.Duration(contract.DefaultBuildLimit),
		Params: spec.Params, Labels: spec.Labels,
	}
	var names []string
	for _, s := range spec.Steps {
		names = append(names, s.Name)
	}
	for i, s := range spec.Steps {
		step := contract.BuildStep{
			Name: s.Name, Of: s.Name, If: s.If, AllowFailure: s.AllowFailure, Kind: contract.WorkPrefix + "custom", Repository: spec.Repository,
			Command: contract.Command{Env: spec.Params, Approval: s.Approval, Agent: s.Agent, Image: s.Image, Deploy: s.Deploy},
			Files:   contract.Files{Artifacts: s.Artifacts}, MaxAttempts: 1, Backoff: contract.Duration(contract.DefaultBackoff), State: contract.StepPending,
		}
		if s.Run != "" {
			step.Command.Shell = &contract.Shell{Script: s.Run}
		}
		if s.Kind != "" {
			step.Kind = contract.WorkPrefix + s.Kind
		}
		for n, need := range s.Needs {
			if !slices.Contains(names, need.text) {
				message := "names no step"
				if near := slices.IndexFunc(names, func(name string) bool { return len(need.text) > 1 && strings.HasPrefix(name, need.text[:2]) }); near >= 0 {
					message += fmt.Sprintf("; did you mean %q?", names[near])
				}
				wrong = append(wrong, contract.FieldError{Field: fmt.Sprintf("steps[%d].needs[%d]", i, n), Message: message, Line: need.line})
			}
			step.Needs = append(step.Needs, need.text)
		}
		build.Steps = append(build.Steps, each(step, s.Matrix)...)
	}
	return build, wrong
}

// each are the steps of a matrix of one dimension, or the step itself.
func each(step contract.BuildStep, matrix map[string][]string) []contract.BuildStep {
	all := []contract.BuildStep{}
	for name, values := range matrix {
		for _, value := range values {
			one := step
			one.Name, one.Matrix = step.Of+"@"+value, map[string]string{name: value}
			all = append(all, one)
		}
	}
	if len(all) == 0 {
		return []contract.BuildStep{step}
	}
	return all
}
