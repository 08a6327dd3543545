package gateway

import (
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

// met decides whether a step of a build runs: see app.Condition.
func met(step contract.BuildStep, params map[string]string, needs map[string]contract.StepState) (bool, error) {
	return buildspec.Met(step.If, buildspec.Facts{Params: params, Matrix: step.Matrix, Needs: needs})
}
