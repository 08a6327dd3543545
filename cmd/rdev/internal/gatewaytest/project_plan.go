package gatewaytest

import (
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// foresee is what an operation has to do to a project, what that is to have then, and why that
// makes no sense. spec is what a new project is to have, and else what it has.
func (g *Gateway) foresee(kind string, p *contract.Project, spec contract.ProjectSpec, change contract.ProjectChange) (steps []contract.ProvisionStep, target contract.ProjectSpec, refused *contract.Failure) {
	target = spec
	switch {
	case kind == contract.KindProjectDelete, p.State == contract.ProjectDeleting:
		target = contract.ProjectSpec{}
		for _, name := range change.Keep {
			if p.Resource(name) == nil {
				return nil, target, contract.NewFailure(contract.ClassUser, "there is no %s to be kept", name)
			}
		}
	case kind == contract.KindProjectChange:
		if target, refused = p.Spec.After(change, p.Resources); refused != nil {
			return nil, target, refused
		}
	}
	changing := map[string]bool{}
	add := func(step contract.ProvisionStep) {
		step.State, step.At = contract.ProvisionPlanned, g.clock()
		steps = append(steps, step)
		changing[step.Name] = step.Action != contract.ProvisionUpdate
	}
	before := *p.Spec
	parts := partsOf(before, target, change)
	for _, r := range p.Resources {
		step := contract.ProvisionStep{Name: r.Name, What: r.What, Action: contract.ProvisionRemove, External: r.External}
		left := kind == contract.KindProjectChange && !slices.ContainsFunc(partsOf(before, before, change), named(r.Name))
		if left || slices.ContainsFunc(parts, named(r.Name)) {
			continue
		}
		if slices.Contains(change.Keep, r.Name) || r.Action == contract.ProvisionAdopt {
			step.Action = contract.ProvisionKeep
		}
		add(step)
	}
	for _, step := range parts {
		difference, drifts := g.drifts[p.Slug+" "+step.Name]
		switch {
		case p.Resource(step.Name) == nil:
			if step.Name == contract.ResourceHost+"/taken.org" {
				step.Failure = contract.NewFailure(contract.ClassUser, "taken.org is a domain of another project")
			}
		case slices.Contains(change.Rotate, step.Name):
			step.Action = contract.ProvisionRotate
		case kind == contract.KindProjectRepair && drifts:
			step.Action, step.Differences = contract.ProvisionUpdate, []string{difference}
		case slices.ContainsFunc(step.Needs, func(need string) bool { return changing[need] }):
			step.Action = contract.ProvisionUpdate
		default:
			continue
		}
		add(step)
	}
	return steps, target, nil
}

func named(name string) func(contract.ProvisionStep) bool {
	return func(s contract.ProvisionStep) bool { return s.Name == name }
}

// partsOf are the parts of a project that is to become target, as they would be made.
func partsOf(before, target contract.ProjectSpec, change contract.ProjectChange) (parts []contract.ProvisionStep) {
	if target.Slug == "" {
		return nil
	}
	part := func(name, what string, needs ...string) *contract.ProvisionStep {
		parts = append(parts, contract.ProvisionStep{Name: name, What: what, Needs: needs, Action: contract.ProvisionCreate})
		return &parts[len(parts)-1]
	}
	part(contract.ResourceWorkspace, "workspace of "+target.Slug)
	if target.Database {
		part(contract.ResourceDatabase, "database project_"+target.Slug)
	}
	if target.Cache {
		part(contract.ResourceCache, "cache "+target.Slug+":")
	}
	if r := target.Repository; r != nil {
		repository := part(contract.ResourceRepository, "repository rdev/"+target.Slug)
		if r.Adopt != "" {
			repository.What, repository.Action = "repository "+r.Adopt, contract.ProvisionAdopt
		}
		part(contract.ResourceAccess, "access to the repository", contract.ResourceRepository)
		if !r.NoCI {
			part(contract.ResourceCI, "pipelines of the repository", contract.ResourceRepository, contract.ResourceDatabase, contract.ResourceCache)
		}
		if before.Slug == "" && r.Adopt == "" {
			part(contract.ResourceTemplate, "files of the template "+target.Template, contract.ResourceRepository, contract.ResourceCI).Action = contract.ProvisionWrite
		}
		if len(target.Components) > len(before.Components) && before.Slug != "" {
			var names []string
			for _, component := range change.AddComponents {
				names = append(names, component.Name)
			}
			part(contract.ResourceComponents, "files of "+strings.Join(names, ", ")).Action = contract.ProvisionWrite
		}
	}
	for _, domain := range target.Domains {
		host := contract.ResourceHost + "/" + domain.Host
		part(host, "domain "+domain.Host)
		if strings.HasSuffix(domain.Host, "."+zone) {
			part(contract.ResourceDNS+"/"+domain.Host, "record "+domain.Host, host)
		}
		part(contract.ResourceRoute+"/"+domain.Host, "route of "+domain.Host, host, contract.ResourceWorkspace)
	}
	return parts
}
