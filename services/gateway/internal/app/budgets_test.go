package app

import (
	"context"
	"testing"

	"github.com/orchard9/rdev/libs/contract"
)

// readyProjects are all there, and have a budget.
type readyProjects struct{ budget contract.Budget }

func (readyProjects) ProjectWasReady(context.Context, string) bool { return true }

func (p readyProjects) Project(_ context.Context, slug string) (contract.Project, error) {
	return contract.Project{Slug: slug, State: contract.ProjectReady, Budget: &p.budget}, nil
}

func TestABudgetLimitsWorkAndNotTheStepThatItIsOf(t *testing.T) {
	app := &App{
		Projects: readyProjects{contract.Budget{Most: contract.AgentLimits{Turns: 10}}},
		Budgets:  &Budgets{Key: func(string) *contract.Budget { return nil }},
	}
	step := contract.Command{Agent: &contract.Agent{Provider: "claude-code"}}
	op := contract.Operation{Project: "shop", Command: &step}
	if err := app.requireReady(t.Context(), &op); err != nil {
		t.Fatal(err)
	}
	if op.Command.Agent.Limits.Turns != 10 || step.Agent.Limits != (contract.AgentLimits{}) {
		t.Errorf("the work has the limits %+v, and the step %+v", op.Command.Agent.Limits, step.Agent.Limits)
	}
}
