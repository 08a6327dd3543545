package render_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestTheStepsOfAProjectAreToldTheLatestFirst(t *testing.T) {
	at := time.Now()
	event := render.Event{Type: contract.TypeProvisioned, Operation: &contract.Operation{Kind: contract.KindProjectCreate, Provisioning: []contract.ProvisionStep{
		{Name: "workspace", Action: contract.ProvisionCreate, State: contract.ProvisionApplied, At: at},
		{Name: "database", Action: contract.ProvisionCreate, State: contract.ProvisionLeft, At: at.Add(time.Second)},
	}}}
	if got := render.Details(event); got != "project.create · database left, workspace made" {
		t.Errorf("it is %q", got)
	}
}

func TestAStepIsSaidToBeWhatItsActionHasDone(t *testing.T) {
	for want, step := range map[string]contract.ProvisionStep{
		"planned": {Action: contract.ProvisionCreate, State: contract.ProvisionPlanned},
		"failed":  {Action: contract.ProvisionCreate, State: contract.ProvisionPlanned, Failure: contract.NewFailure(contract.ClassUser, "x")},
		"made":    {Action: contract.ProvisionCreate, State: contract.ProvisionApplied},
		"adopted": {Action: contract.ProvisionAdopt, State: contract.ProvisionApplied},
		"written": {Action: contract.ProvisionWrite, State: contract.ProvisionApplied},
		"updated": {Action: contract.ProvisionUpdate, State: contract.ProvisionApplied},
		"rotated": {Action: contract.ProvisionRotate, State: contract.ProvisionApplied},
		"undone":  {Action: contract.ProvisionCreate, State: contract.ProvisionUndone},
		"removed": {Action: contract.ProvisionRemove, State: contract.ProvisionUndone},
		"kept":    {Action: contract.ProvisionKeep, State: contract.ProvisionUndone},
		"left":    {Action: contract.ProvisionRemove, State: contract.ProvisionLeft, Failure: contract.NewFailure(contract.ClassUser, "x")},
	} {
		if got := render.Stands(step); got != want {
			t.Errorf("%s %s is %q, want %q", step.Action, step.State, got, want)
		}
	}
}

func TestOnlyWhatIsNewOfStepsIsToldAgain(t *testing.T) {
	step := func(name string, action contract.ProvisionAction, state contract.ProvisionState) contract.ProvisionStep {
		return contract.ProvisionStep{Name: name, Action: action, State: state}
	}
	planned := []contract.ProvisionStep{
		step("work\x1b[2Jspace", contract.ProvisionCreate, contract.ProvisionPlanned), step("cache", contract.ProvisionRemove, contract.ProvisionPlanned),
	}
	further := slices.Clone(planned)
	further[0].State = contract.ProvisionApplied
	ended := slices.Clone(further)
	ended[1].State = contract.ProvisionUndone
	for name, c := range map[string]struct {
		before, now []contract.ProvisionStep
		want        []string
	}{
		"nothing yet":   {},
		"the plan":      {nil, planned, []string{"planned: work [2Jspace, cache"}},
		"the same":      {planned, planned, nil},
		"one further":   {planned, further, []string{"work [2Jspace made"}},
		"seen late":     {nil, further, []string{"planned: cache", "work [2Jspace made"}},
		"the last one":  {further, ended, []string{"cache removed"}},
		"all at a time": {planned, ended, []string{"work [2Jspace made", "cache removed"}},
	} {
		if diff := cmp.Diff(c.want, render.ProvisionNews(c.before, c.now)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
	failed := contract.ProvisionStep{Name: "ci", State: contract.ProvisionPlanned, Failure: contract.NewFailure(contract.ClassUser, "x")}
	undone := step("route", contract.ProvisionCreate, contract.ProvisionUndone)
	signs := (render.Style{}).ProvisionSigns(append(further, failed, undone, step("dns", contract.ProvisionCreate, contract.ProvisionLeft)))
	if want := "work [2Jspace ✓, cache …, ci ✗, route –, dns ✗"; signs != want {
		t.Errorf("the signs are %q, want %q", signs, want)
	}
}

func TestAChangeSaysWhatItChanges(t *testing.T) {
	yes, no := true, false
	change := &contract.ProjectChange{
		AddDomains: []contract.Domain{{Host: "x.org"}, {Host: "www.x.org", AliasOf: "x.org"}}, RemoveDomains: []string{"old.org"},
		AddComponents: []contract.Component{{Kind: "service", Name: "api"}}, Database: &yes, Cache: &no, Rotate: []string{"database", "access"},
	}
	for want, event := range map[string]render.Event{
		"project.change · add domain x.org, add domain www.x.org as an alias of x.org, remove domain old.org, add service api, add database, " +
			"remove cache, rotate database, rotate access to the repository · key:ci": {
			Type: contract.TypePending, Actor: "key:ci", Operation: &contract.Operation{Kind: contract.KindProjectChange, Change: change},
		},
		"project.delete · keep repository, keep database · key:ci": {
			Type: contract.TypePending, Actor: "key:ci",
			Operation: &contract.Operation{Kind: contract.KindProjectDelete, Change: &contract.ProjectChange{Keep: []string{"repository", "database"}}},
		},
		"project.repair · key:ci": {
			Type: contract.TypePending, Actor: "key:ci", Operation: &contract.Operation{Kind: contract.KindProjectRepair, State: contract.Pending},
		},
		"project.repair · update cache, remove dns/old.org": {
			Type: contract.TypeCompleted, Operation: &contract.Operation{Kind: contract.KindProjectRepair, State: contract.Completed, Provisioning: []contract.ProvisionStep{
				{Name: "cache", Action: contract.ProvisionUpdate}, {Name: "dns/old.org", Action: contract.ProvisionRemove},
			}},
		},
		"project.repair · nothing to do": {
			Type: contract.TypeCompleted, Operation: &contract.Operation{Kind: contract.KindProjectRepair, State: contract.Completed},
		},
		"project.change · add domain [2J · user: no": {
			Type: contract.TypeFailed, Operation: &contract.Operation{
				Kind: contract.KindProjectChange, State: contract.Failed, Failure: contract.NewFailure(contract.ClassUser, "no"),
				Change: &contract.ProjectChange{AddDomains: []contract.Domain{{Host: "\x1b[2J"}}},
			},
		},
		"command.shell · key:ci": {Type: contract.TypePending, Actor: "key:ci", Operation: &contract.Operation{Kind: contract.KindShell}},
	} {
		if diff := cmp.Diff(want, render.Details(event)); diff != "" {
			t.Error(diff)
		}
	}
}
