package buildspec_test

import (
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/buildspec"
)

func TestConditionsAreMet(t *testing.T) {
	const done, failed, skipped, cancelled = contract.StepCompleted, contract.StepFailed, contract.StepSkipped, contract.StepCancelled
	type ends struct{ a, b contract.StepState }
	good, bad, passed, stopped := ends{done, done}, ends{done, failed}, ends{skipped, done}, ends{done, cancelled}
	for _, test := range []struct {
		condition                    string
		good, bad, skipped, canceled bool
	}{
		{"", true, false, false, false},
		{"success()", true, false, false, false},
		{"failure()", false, true, false, false},
		{"always()", true, true, true, true},
		{"not success()", false, true, true, true},
		{"success() or failure()", true, true, false, false},
		// Without one of those what is needed must have completed, too.
		{"true", true, false, false, false},
		{"params.TARGET == 'production'", true, false, false, false},
		{"params.TARGET == 'staging'", false, false, false, false},
		{`needs["b-c"] == "failed"`, false, false, false, false},
		{`needs["b-c"] == "failed" && always()`, false, true, false, false},
		{`failure() and params["TARGET"] != "staging"`, false, true, false, false},
		{`always() && needs.a == "skipped"`, false, false, true, false},
		{`always() && needs["b-c"] in ["cancelled", "failed"]`, false, true, false, true},
		{"matrix.GOOS in ['linux', 'darwin']", true, false, false, false},
		{"matrix.GOOS not in ['linux', 'darwin']", false, false, false, false},
		{"!(matrix.GOOS startsWith 'win') and params.TARGET contains 'duct'", true, false, false, false},
		{"params.TARGET matches '^prod' and params.TARGET endsWith 'n'", true, false, false, false},
		{"params.TARGET == matrix.GOOS || false", false, false, false, false},
		{"\n  success()\n", true, false, false, false},
	} {
		t.Run(test.condition, func(t *testing.T) {
			for ends, want := range map[ends]bool{good: test.good, bad: test.bad, passed: test.skipped, stopped: test.canceled} {
				met, err := buildspec.Met(test.condition, buildspec.Facts{
					Params: map[string]string{"TARGET": "production"}, Matrix: map[string]string{"GOOS": "linux"},
					Needs: map[string]contract.StepState{"a": ends.a, "b-c": ends.b},
				})
				if err != nil || met != want {
					t.Errorf("%v: %v, %v", ends, met, err)
				}
			}
		})
	}
}

func TestWithoutNeedsAllIsWell(t *testing.T) {
	for condition, want := range map[string]bool{"": true, "success()": true, "failure()": false, "always()": true, "true": true} {
		if met, err := buildspec.Met(condition, buildspec.Facts{}); err != nil || met != want {
			t.Errorf("%q: %v, %v", condition, met, err)
		}
	}
}

func TestAConditionThatCannotBeDecidedIsAnError(t *testing.T) {
	for condition, want := range map[string]string{
		"params.X == 'x'":                `is wrong at column 8: the build has no parameter "X"`,
		"always() and (":                 "is wrong at column 14: unexpected token EOF",
		"all(1..1000000, all(1..1000000": "is wrong at column 30: unexpected token EOF",
	} {
		if met, err := buildspec.Met(condition, buildspec.Facts{}); met || err == nil || err.Error() != want {
			t.Errorf("%q: %v, %v", condition, met, err)
		}
	}
}
