package buildspec

import (
	"maps"
	"slices"

	"github.com/expr-lang/expr"

	"github.com/orchard9/rdev/libs/contract"
)

// Facts are what a condition is decided by, when all that its step needs has ended.
type Facts struct {
	Params, Matrix map[string]string
	// Needs is how each step that is needed ended, by its name in the specification; of a
	// matrix the worst. One that is allowed to fail has completed.
	Needs map[string]contract.StepState
}

// Met decides whether a step runs. A condition that calls none of success, failure and
// always is met only where all that the step needs has completed, too, and "" is that
// alone. So a step is skipped where one that it needs failed, was cancelled or was skipped,
// unless its condition says otherwise.
func Met(condition string, facts Facts) (bool, error) {
	success, failure := true, false
	needs := map[string]string{}
	for name, state := range facts.Needs {
		needs[name] = string(state)
		success = success && state == contract.StepCompleted
		failure = failure || state == contract.StepFailed
	}
	if condition == "" {
		return success, nil
	}
	compiled, err := compile(condition, names{
		params: slices.Sorted(maps.Keys(facts.Params)), matrix: slices.Sorted(maps.Keys(facts.Matrix)), needs: slices.Sorted(maps.Keys(needs)),
	})
	if err != nil {
		return false, err
	}
	met, err := expr.Run(compiled.program, map[string]any{
		"params": facts.Params, "matrix": facts.Matrix, "needs": needs,
		"success": func() bool { return success },
		"failure": func() bool { return failure },
		"always":  func() bool { return true },
	})
	return met == true && (compiled.asks || success), err
}

// condition notes what is wrong with the condition of a step.
func (p *parser) condition(path string, s step) {
	if s.If == "" {
		return
	}
	var may names
	may.params = slices.Sorted(maps.Keys(p.spec.Params))
	for _, axis := range s.Matrix {
		may.matrix = append(may.matrix, axis.Name)
	}
	may.needs = s.Needs
	if _, err := compile(s.If, may); err != nil {
		p.wrongAt(path+".if", "%s", err)
	}
}
