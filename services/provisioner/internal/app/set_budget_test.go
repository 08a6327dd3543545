package app_test

import (
	"errors"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func TestAProjectThatIsReadyGetsABudget(t *testing.T) {
	budget := contract.Budget{Day: contract.Spend{Tokens: 5}}
	for _, c := range []struct {
		name   string
		before *contract.Project
		want   contract.Code // "" where it is set
		events uint64
	}{
		{"ready", &contract.Project{Slug: "shop", State: contract.ProjectReady, Template: "default"}, "", 1},
		{"has it already", &contract.Project{Slug: "shop", State: contract.ProjectReady, Budget: &budget}, "", 0},
		{"none", nil, contract.CodeNotFound, 0},
		{"deleted", &contract.Project{Slug: "shop", State: contract.ProjectDeleted}, contract.CodeNotFound, 0},
		{"deleting", &contract.Project{Slug: "shop", State: contract.ProjectDeleting}, contract.CodeConflict, 0},
	} {
		l := &log{project: c.before}
		got, err := (&app.App{Projects: l}).SetBudget(t.Context(), contract.SetBudget{Project: "shop", Budget: budget})
		var refused *contract.Error
		if errors.As(err, &refused) != (c.want != "") || refused != nil && refused.Code != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && (got.Budget == nil || *got.Budget != budget || got.Template != c.before.Template) {
			t.Errorf("%s: %+v", c.name, got)
		}
		if l.seq != c.events {
			t.Errorf("%s: %d events, want %d", c.name, l.seq, c.events)
		}
	}
	l := &log{project: &contract.Project{Slug: "shop", State: contract.ProjectReady, Budget: &budget}}
	if got, err := (&app.App{Projects: l}).SetBudget(t.Context(), contract.SetBudget{Project: "shop"}); err != nil || got.Budget != nil {
		t.Errorf("taken away: %+v, %v", got.Budget, err)
	}
}
