package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// Provisioned is where the steps of an operation on a project stand: "workspace made,
// database planned", the latest first.
func Provisioned(steps []contract.ProvisionStep) string {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b contract.ProvisionStep) int { return cmp.Compare(b.At.UnixNano(), a.At.UnixNano()) })
	var all []string
	for _, step := range steps {
		all = append(all, Line(step.Name)+" "+Stands(step))
	}
	return strings.Join(all, ", ")
}

// ProvisionNews is what is new of steps since they were as before, a line each: of those that
// are new that they are planned.
func ProvisionNews(before, now []contract.ProvisionStep) (news []string) {
	var planned []string
	for _, step := range now {
		at := slices.IndexFunc(before, func(b contract.ProvisionStep) bool { return b.Name == step.Name })
		switch stands := Stands(step); {
		case at < 0 && stands == string(contract.ProvisionPlanned):
			planned = append(planned, Line(step.Name))
		case at < 0 || Stands(before[at]) != stands:
			news = append(news, Line(step.Name)+" "+stands)
		}
	}
	if len(planned) > 0 {
		news = slices.Insert(news, 0, "planned: "+strings.Join(planned, ", "))
	}
	return news
}

// ProvisionSigns is Provisioned in signs, in the order of the steps: "workspace ✓, ci …".
func (s Style) ProvisionSigns(steps []contract.ProvisionStep) string {
	var all []string
	for _, step := range steps {
		sign := "✓"
		switch Stands(step) {
		case string(contract.ProvisionPlanned):
			sign = "…"
		case string(contract.ProvisionUndone):
			sign = "–"
		case string(contract.ProvisionLeft), provisionFailed:
			sign = "✗"
		}
		all = append(all, Line(step.Name)+" "+s.provision(step, sign))
	}
	return strings.Join(all, ", ")
}

// Provision is Stands in its color.
func (s Style) Provision(step contract.ProvisionStep) string { return s.provision(step, Stands(step)) }

// provision is text in the color of how a step stands.
func (s Style) provision(step contract.ProvisionStep, text string) string {
	switch Stands(step) {
	case string(contract.ProvisionPlanned), string(contract.ProvisionUndone):
		return s.Dim(text)
	case string(contract.ProvisionLeft), provisionFailed:
		return s.Bad(text)
	}
	return s.Good(text)
}

// provisionFailed is how a step stands that could not be applied.
const provisionFailed = "failed"

// Stands is in a word how a step of an operation on a project stands: planned, made, adopted,
// written, updated, rotated, removed, kept, failed, undone, left.
func Stands(step contract.ProvisionStep) string {
	switch {
	case step.State == contract.ProvisionPlanned && step.Failure != nil:
		return provisionFailed
	case step.State == contract.ProvisionUndone && step.Action == contract.ProvisionRemove:
		return "removed"
	case step.State == contract.ProvisionUndone && step.Action == contract.ProvisionKeep:
		return "kept"
	case step.State != contract.ProvisionApplied:
		return Line(string(step.State))
	}
	switch step.Action {
	case contract.ProvisionAdopt:
		return "adopted"
	case contract.ProvisionWrite:
		return "written"
	case contract.ProvisionUpdate:
		return "updated"
	case contract.ProvisionRotate:
		return "rotated"
	case contract.ProvisionCreate, contract.ProvisionRemove, contract.ProvisionKeep:
	}
	return "made"
}

// About is what a step is about, and why it is to be made again: cache of shop: the user is
// missing.
func About(step contract.ProvisionStep) string {
	text := Line(step.What)
	if len(step.Differences) > 0 {
		text += ": " + Line(strings.Join(step.Differences, "; "))
	}
	return strings.TrimPrefix(text, ": ")
}

// Whole is Failure without a cut, "" for none.
func Whole(failure *contract.Failure) string {
	if failure == nil {
		return ""
	}
	return Line(string(failure.Class)) + ": " + Line(failure.Message)
}

// FailureOf is why an operation failed: that of a project whole, for its end says what to do.
func FailureOf(op *contract.Operation) string {
	if contract.IsProject(op.Kind) {
		return Whole(op.Failure)
	}
	return Failure(op.Failure)
}

// Changes is what an operation changes of a project: "add domain x.org, rotate database"; of
// a repair what it has found, once that is known. It is "" for any other.
func Changes(op *contract.Operation) string {
	var all []string
	say := func(format string, args ...any) { all = append(all, Line(fmt.Sprintf(format, args...))) }
	if op.Kind == contract.KindProjectRepair {
		for _, step := range op.Provisioning {
			say("%s %s", step.Action, step.Name)
		}
		if len(all) == 0 && op.State == contract.Completed {
			return "nothing to do"
		}
		return strings.Join(all, ", ")
	}
	if op.Change == nil {
		return ""
	}
	for _, domain := range op.Change.AddDomains {
		if domain.AliasOf != "" {
			say("add domain %s as an alias of %s", domain.Host, domain.AliasOf)
			continue
		}
		say("add domain %s", domain.Host)
	}
	for _, host := range op.Change.RemoveDomains {
		say("remove domain %s", host)
	}
	for _, component := range op.Change.AddComponents {
		say("add %s %s", component.Kind, component.Name)
	}
	for _, part := range []struct {
		name string
		wish *bool
	}{{contract.ResourceDatabase, op.Change.Database}, {contract.ResourceCache, op.Change.Cache}} {
		switch {
		case part.wish == nil:
		case *part.wish:
			say("add %s", part.name)
		default:
			say("remove %s", part.name)
		}
	}
	for _, name := range op.Change.Rotate {
		if name == contract.ResourceAccess {
			name = "access to the repository"
		}
		say("rotate %s", name)
	}
	for _, name := range op.Change.Keep {
		say("keep %s", name)
	}
	return strings.Join(all, ", ")
}
