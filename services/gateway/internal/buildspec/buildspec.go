// Package buildspec reads the specification of a build, a text in YAML or JSON:
//
//	text → form (form.go, as it is written) → contract.Build (what is to be done)
//
// What is wrong is told all at once, each with its path and its line. What a step may ask
// for as any piece of work does is not checked here, but by the Check that Parse is given.
package buildspec

import (
	_ "embed" // for the schema
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Bounds of a specification.
const (
	maxText      = 64 << 10  // bytes
	maxValues    = 50_000    // that are read, those of an alias as often as it is used
	maxKey       = 200       // bytes of a name
	maxBuild     = 256 << 10 // bytes of the steps as JSON: half of what an event may have
	maxName      = 200       // characters of the build's name
	maxTimeout   = 24 * time.Hour
	maxAxes      = 5 // of a matrix: with all their values the name of a step is that of a directory
	maxCaches    = 10
	maxArtifacts = 50 // paths and patterns
	maxServices  = 10
	maxList      = 50      // of whatever else is a list or a mapping
	maxWord      = 500     // bytes of a path, a key, or a name
	maxArgument  = 4 << 10 // bytes of a build argument
)

//go:embed build.schema.json
var schema []byte

// Schema is the JSON Schema of specifications, draft 2020-12. It has their structure, and
// takes everything that Parse does.
func Schema() []byte { return schema }

// Step is what a step asks for as any piece of work does: with what it inherits, and with
// the values of its matrix. One of Argv, Script, Agent and Git is set, or none of them
// where the step makes an image or a deployment.
type Step struct {
	Kind       string // build, test, deploy, custom
	Repository *Repository

	Argv   []string
	Script string
	Agent  *Agent
	Git    *Git

	Workdir     string
	Env         map[string]string
	Credentials []string
	Timeout     string // durations are as they are written, "" where they are not

	Approval        string
	ApprovalTimeout string
	ApprovalDefault string

	Priority    string
	MaxAttempts *int
	Backoff     string
	Labels      map[string]string
}

// Check is the rules of work: what a step comes to as a piece of work, or what is wrong
// with it. The fields of that are called as in a request for work; those of a git command
// begin with "git.".
type Check func(step Step) (contract.Command, contract.Work, []contract.FieldError)

// parser makes a build of what is written.
type parser struct {
	reader
	spec   spec
	params map[string]string // with the defaults of those that are not given
	check  Check
}

// Parse is the build that a text specifies, with values for its parameters. Its error is a
// *contract.Error, INVALID_REQUEST, which has a field for each thing that is wrong: its
// path as it is written ("steps[2].matrix.GOOS"), and its line.
func Parse(text []byte, params map[string]string, check Check) (contract.Build, error) {
	p := parser{
		reader: reader{findings: findings{seen: map[string]bool{}, lines: map[string]int{}}, left: maxValues, unknown: map[string]bool{}},
		check:  check,
	}
	var build contract.Build
	if root := p.document(text); root != nil && p.value(root, "", reflect.ValueOf(&p.spec).Elem(), "") && p.left >= 0 {
		build = p.build(params)
	}
	if err := p.err(); err != nil {
		return contract.Build{}, err
	}
	return build, nil
}

func (p *parser) build(params map[string]string) contract.Build {
	build := contract.Build{
		Name: p.spec.Name, Priority: contract.Priority(p.spec.Priority), Timeout: contract.Duration(contract.DefaultBuildLimit),
		FailFast: p.spec.FailFast, Labels: p.spec.Labels,
	}
	if len([]rune(build.Name)) > maxName {
		p.wrongAt("name", "must have at most %d characters", maxName)
	}
	if build.Priority == "" {
		build.Priority = contract.PriorityNormal
	}
	if p.spec.Timeout != "" {
		build.Timeout = p.duration("timeout", p.spec.Timeout, time.Second, maxTimeout)
	}
	if r := p.spec.Repository; r != nil {
		build.Repository = &contract.Repository{URL: r.URL, Ref: r.Ref}
	}
	p.params = p.parameters(params)
	if len(p.params) > 0 {
		build.Params = p.params
	}
	p.unique("secrets", p.spec.Secrets, maxList)
	p.inherited()
	build.Steps = p.steps()
	return build
}

// inherited notes what is wrong with what all steps inherit, whether one does or not.
func (p *parser) inherited() {
	_, _, wrong := p.check(Step{
		Kind: "build", Repository: p.spec.Repository, Env: p.spec.Env, Credentials: p.spec.Secrets, Priority: p.spec.Priority, Labels: p.spec.Labels,
	})
	for _, field := range wrong {
		path := field.Field
		if rest, ok := strings.CutPrefix(path, "credentials"); ok {
			path = "secrets" + rest
		}
		p.wrongAt(path, "%s", field.Message)
	}
}

// parameters are the values of the parameters, those that are given and the defaults of
// the others.
func (p *parser) parameters(given map[string]string) map[string]string {
	if len(p.spec.Params) > maxList {
		p.wrongAt("params", "has more than %d parameters", maxList)
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(p.spec.Params)) {
		declared, path := p.spec.Params[name], "params."+name
		p.variable(path, name)
		if _, both := p.spec.Env[name]; both {
			p.wrongAt("env."+name, "is a parameter, too")
		}
		p.unique(path+".values", declared.Values, maxList)
		allowed := func(value string) bool { return len(declared.Values) == 0 || slices.Contains(declared.Values, value) }
		value, ok := given[name]
		switch {
		case ok && !allowed(value):
			p.wrongAt(path, "is %q, and must be one of %s", value, listed(declared.Values))
		case ok:
			values[name] = value
		case declared.Default != nil:
			values[name] = *declared.Default
		case !p.written(path + ".default"):
			p.wrongAt(path, "has no default, and no value was given")
		}
		if declared.Default != nil && !allowed(*declared.Default) {
			p.wrongAt(path+".default", "is %q, and must be one of %s", *declared.Default, listed(declared.Values))
		}
		if _, ok := values[name]; !ok {
			values[name] = "x" // nothing else is to be wrong because of it
		}
		p.text(path, values[name], maxText)
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, ok := p.spec.Params[name]; !ok {
			p.wrongAt("params."+name, "was given, and the build has no such parameter%s", p.didYouMean(name, slices.Sorted(maps.Keys(p.spec.Params))))
		}
	}
	return values
}
