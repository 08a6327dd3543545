package app

import (
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

// resources are what the project has by now. What could not be removed is among them.
func (s *saga) resources() []contract.Resource {
	all := slices.Clone(s.goal.have)
	for _, step := range s.now {
		at := slices.IndexFunc(all, func(r contract.Resource) bool { return r.Name == step.Name })
		made := step.State == contract.ProvisionApplied || step.State == contract.ProvisionLeft
		switch {
		case step.Action == contract.ProvisionWrite:
		case step.Action.Ends():
			if at >= 0 && step.State == contract.ProvisionUndone {
				all = slices.Delete(all, at, at+1)
			}
		case made && at >= 0:
			all[at].Needs, all[at].External = step.Needs, step.External
		case made:
			all = append(all, resource(step))
		}
	}
	return all
}

// resource is what a step has made, or taken as it was.
func resource(step contract.ProvisionStep) contract.Resource {
	r := contract.Resource{Name: step.Name, Needs: step.Needs, Action: contract.ProvisionCreate, What: step.What, External: step.External}
	if step.Action == contract.ProvisionAdopt {
		r.Action = contract.ProvisionAdopt
	}
	return r
}

// resourcesOf are those of a project. One that was made before resources were noted has a
// workspace.
func resourcesOf(project contract.Project) []contract.Resource {
	if len(project.Resources) > 0 || project.State == contract.ProjectDeleted {
		return project.Resources
	}
	return []contract.Resource{{Name: WorkspaceStep{}.Name(), Action: contract.ProvisionCreate, What: workspaceOf(project.Slug)}}
}

// specOf is what a project is to have. One that was made before that was noted is to have
// what it has.
func specOf(project contract.Project) contract.ProjectSpec {
	if project.Spec != nil {
		return *project.Spec
	}
	return contract.ProjectSpec{
		Slug: project.Slug, Template: project.Template, Database: project.Resource(contract.ResourceDatabase) != nil,
	}
}

// leftovers are what was made and could not be removed, after what that needs, which may be
// gone: it tells where the rest is.
func (s *saga) leftovers() (all []contract.Resource) {
	left := func(step contract.ProvisionStep) bool { return step.State == contract.ProvisionLeft }
	for _, step := range s.now {
		needed := step.External != nil && slices.ContainsFunc(s.now, func(other contract.ProvisionStep) bool {
			return left(other) && slices.Contains(other.Needs, step.Name)
		})
		if left(step) || needed {
			all = append(all, resource(step))
		}
	}
	return all
}
