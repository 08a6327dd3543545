package app

import (
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/services/provisioner/internal/domain"
)

// goalOf is where an operation takes a project, nil where there is none, or why it cannot.
func (a *App) goalOf(op contract.Operation, project *contract.Project) (goal, *contract.Failure) {
	var g goal
	if project != nil {
		g.before, g.have = specOf(*project), resourcesOf(*project)
	}
	change := contract.ProjectChange{}
	if op.Change != nil {
		change = *op.Change
	}
	var err error
	switch op.Kind {
	case contract.KindProjectCreate:
		g.target, err = a.asked(op)
	case contract.KindProjectChange:
		g.rotate = change.Rotate
		// An operation that has changed the project finds the change done.
		if g.target = g.before; project.Operation != op.ID {
			g.target, err = a.change(*project, change)
		}
	case contract.KindProjectRepair:
		g.target, g.repair = g.before, true
		if project.State == contract.ProjectDeleting {
			g.target = contract.ProjectSpec{}
		}
	case contract.KindProjectDelete:
		g.keep = change.Keep
		err = keepable(g.have, change.Keep)
	}
	if err != nil {
		failure, _ := failureOf(err)
		return g, failure
	}
	return g, nil
}

// asked is what a new project is to have, with all hosts in full.
func (a *App) asked(op contract.Operation) (contract.ProjectSpec, error) {
	spec := contract.ProjectSpec{}
	if op.Spec != nil {
		spec = *op.Spec
	}
	spec.Slug = op.Project
	if spec.Template == "" {
		spec.Template = domain.DefaultTemplate
	}
	if _, err := templates.Get(spec.Template); err != nil {
		return spec, refusal("there is no template %q", spec.Template)
	}
	domains, err := a.hosts(spec.Slug, spec.Domains)
	if err != nil {
		return spec, err
	}
	spec.Domains = nil
	return after(spec, contract.ProjectChange{AddDomains: domains}, nil)
}

// after is what a project is to have after a change, all of whose hosts are in full.
func after(spec contract.ProjectSpec, change contract.ProjectChange, have []contract.Resource) (contract.ProjectSpec, error) {
	next, failure := spec.After(change, have)
	if failure != nil {
		return next, &StepError{Failure: failure}
	}
	return next, nil
}

// hosts are domains with their hosts in full.
func (a *App) hosts(slug string, domains []contract.Domain) (full []contract.Domain, err error) {
	for _, domain := range domains {
		own := domain.Host == ""
		domain.Host, err = a.host(slug, domain.Host)
		switch {
		case own && err != nil:
			continue // it would have one, if there were a domain, or if its slug were not reserved
		case err != nil:
			return nil, err
		}
		if domain.AliasOf != "" {
			if domain.AliasOf, err = a.host(slug, domain.AliasOf); err != nil {
				return nil, err
			}
		}
		full = append(full, domain)
	}
	return full, nil
}

// host is a host in full: a label is below the installation's domain.
func (a *App) host(slug, name string) (string, error) {
	if name == "" {
		name = slug
	}
	if !strings.Contains(name, ".") {
		if a.Domain == "" {
			return "", refusal("%q is not a whole name, and this installation has no domain for it to be below: set PROVISIONER_DOMAIN, or give a name with dots", name)
		}
		name += "." + a.Domain
	}
	if a.CheckHost != nil {
		if wrong := a.CheckHost(name); wrong != "" {
			return "", refusal("the domain %s %s", name, wrong)
		}
	}
	return name, nil
}

// change is what a project is to have after a change.
func (a *App) change(project contract.Project, change contract.ProjectChange) (contract.ProjectSpec, error) {
	spec := specOf(project)
	var err error
	change.RemoveDomains = slices.Clone(change.RemoveDomains)
	for i, name := range change.RemoveDomains {
		if change.RemoveDomains[i], err = a.host(spec.Slug, name); err != nil {
			return spec, err
		}
	}
	if change.AddDomains, err = a.hosts(spec.Slug, change.AddDomains); err != nil {
		return spec, err
	}
	return after(spec, change, project.Resources)
}

// keepable says why parts of a project cannot stay when it is deleted.
func keepable(have []contract.Resource, keep []string) error {
	for _, name := range keep {
		if name != contract.ResourceRepository && name != contract.ResourceDatabase {
			return refusal("%s cannot be kept: it may be %s or %s", name, contract.ResourceRepository, contract.ResourceDatabase)
		}
		if resourceOf(have, name) == nil {
			return refusal("there is no %s to be kept", name)
		}
	}
	return nil
}
