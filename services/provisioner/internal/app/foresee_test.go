package app_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// silent is a part whose system does not answer.
type silent struct{ wished }

func (s silent) Plan(ctx context.Context, _ app.Task) (contract.ProvisionAction, string, error) {
	<-ctx.Done()
	return "", "", ctx.Err()
}

func (s silent) Verify(ctx context.Context, _ app.Task) ([]string, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestASystemThatDoesNotAnswerHidesNothingOfTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _, w := hosted(contract.KindProjectRepair, contract.ProjectChange{})
		delete(w.there, "ci")
		a.Steps[1] = silent{wished{part{w, "database", nil}, func(s contract.ProjectSpec) bool { return s.Database }}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // as every question has
		defer cancel()
		plan, err := a.PlanProject(ctx, contract.PlanProject{Kind: contract.KindProjectRepair, Project: "shop"})
		if err != nil || plan.OK || len(plan.Steps) != 2 {
			t.Fatalf("it plans %+v, %v", plan, err)
		}
		for _, step := range plan.Steps {
			if silent := step.Failure != nil && step.Failure.Class == contract.ClassInfrastructure; silent != (step.Name == "database") {
				t.Errorf("of %s it says %+v", step.Name, step.Failure)
			}
		}
		found, err := a.Drift(t.Context(), contract.ProjectDrift{Project: "shop"})
		states := map[string]contract.DifferenceState{}
		for _, r := range found.Resources {
			states[r.Name] = r.State
		}
		if err != nil || states["database"] != contract.DifferenceUnknown || states["ci"] != contract.DifferenceDiffers || states["workspace"] != contract.DifferenceNone {
			t.Errorf("it finds %v, %v", states, err)
		}
	})
}
