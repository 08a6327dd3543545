package contract_test

import (
	"errors"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

func TestAProjectGoesRoundInItsCircleOnly(t *testing.T) {
	legal := map[contract.ProjectState]map[string]contract.ProjectState{
		"":                       {"created": contract.ProjectReady, "abandoned": contract.ProjectDeleting},
		contract.ProjectReady:    {"deleting": contract.ProjectDeleting, "changed": contract.ProjectReady, "pipeline": contract.ProjectReady, "budgeted": contract.ProjectReady, "renewed": contract.ProjectReady},
		contract.ProjectDeleting: {"deleting": contract.ProjectDeleting, "deleted": contract.ProjectDeleted, "renewed": contract.ProjectDeleting},
		contract.ProjectDeleted:  {"created": contract.ProjectReady, "abandoned": contract.ProjectDeleting},
	}
	for from, follow := range legal {
		for _, eventType := range []string{"created", "changed", "pipeline", "abandoned", "budgeted", "renewed", "deleting", "deleted", "", "other"} {
			var prev *contract.Project
			rev := 1
			if from != "" {
				prev, rev = &contract.Project{Slug: "shop", State: from, Rev: 4, Seq: 40}, 5
			}
			next, err := contract.NextProject(prev, eventType, contract.Project{Slug: "shop", Rev: 99, Seq: 99, State: "other"})
			if want, ok := follow[eventType]; !ok {
				if !errors.Is(err, contract.ErrIllegal) {
					t.Errorf("%q after %q: %v, want ErrIllegal", eventType, from, err)
				}
			} else if err != nil || next.State != want || next.Rev != rev || next.Seq != 0 {
				t.Errorf("%q after %q: %+v, %v; want %s at revision %d", eventType, from, next, err, want, rev)
			}
		}
	}
}

func TestAProjectThatTheLogForgotIsRenewedAsItWas(t *testing.T) {
	for state, legal := range map[contract.ProjectState]bool{
		contract.ProjectReady: true, contract.ProjectDeleting: true, contract.ProjectDeleted: false, "": false,
	} {
		next, err := contract.NextProject(nil, contract.TypeProjectRenewed, contract.Project{Slug: "shop", State: state, Rev: 4})
		if legal != (err == nil) || legal && (next.State != state || next.Rev != 5) {
			t.Errorf("%q: %+v, %v", state, next, err)
		}
	}
}
