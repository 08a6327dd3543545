package gateway

import (
	"github.com/orchard9/rdev/libs/contract"
)

// conditions decides whether steps of builds run.
func conditions(_ contract.BuildStep, _ map[string]string, needs map[string]contract.StepState) (bool, error) {
	for _, state := range needs {
		if state != contract.StepCompleted {
			return false, nil
		}
	}
	return true, nil
}
