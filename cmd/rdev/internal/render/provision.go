package render

import (
	"cmp"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// Provisioned is where the steps of making a project stand: "workspace applied, database
// planned", the latest first.
func Provisioned(steps []contract.ProvisionStep) string {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b contract.ProvisionStep) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	var all []string
	for _, step := range steps {
		all = append(all, Line(step.Name)+" "+Line(string(step.State)))
	}
	return strings.Join(all, ", ")
}
