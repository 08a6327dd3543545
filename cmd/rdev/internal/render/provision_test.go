package render_test

import (
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestTheStepsOfAProjectAreToldTheLatestFirst(t *testing.T) {
	at := time.Now()
	event := render.Event{Type: contract.TypeProvisioned, Operation: &contract.Operation{Kind: contract.KindProjectCreate, Provisioning: []contract.ProvisionStep{
		{Name: "workspace", State: contract.ProvisionApplied, At: at},
		{Name: "database", State: contract.ProvisionLeft, At: at.Add(time.Second)},
	}}}
	if got := render.Details(event); got != "project.create · database left, workspace applied" {
		t.Errorf("it is %q", got)
	}
}
