package agents_test

import (
	"testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/agents"
)

// What the gateway believes of agents is what their drivers do.
func TestTheContractKnowsTheAgents(t *testing.T) {
	drivers := agents.Providers()
	if len(drivers) != len(contract.Agents()) {
		t.Errorf("%d drivers, %d agents", len(drivers), len(contract.Agents()))
	}
	for _, driver := range drivers {
		info := driver.Info()
		traits, ok := contract.AgentNamed(info.Name)
		if !ok || traits.TellsCost != info.Cost {
			t.Errorf("%s: known: %t, tells its cost: %t, and really: %t", info.Name, ok, traits.TellsCost, info.Cost)
		}
		all := driver.Command(contract.Agent{Prompt: "p"}, agents.Place{Home: "/home", Session: "s"})
		ask := driver.Command(contract.Agent{Prompt: "p", Permissions: contract.PermissionsAsk}, agents.Place{Home: "/home", Session: "s"})
		if differs := len(all.Argv) != len(ask.Argv); differs != traits.Asks {
			t.Errorf("%s is started otherwise where it has to ask: %t, want %t", info.Name, differs, traits.Asks)
		}
	}
}
