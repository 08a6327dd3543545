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
	domains := spec.Domains
	spec.Domains = nil
	return spec, a.addDomains(&spec, domains)
}

// addDomains adds hosts to what a project is to have.
func (a *App) addDomains(spec *contract.ProjectSpec, domains []contract.Domain) error {
	spec.Domains = slices.Clone(spec.Domains)
	for _, domain := range domains {
		own := domain.Host == ""
		var err error
		domain.Host, err = a.host(spec.Slug, domain.Host)
		switch {
		case own && err != nil:
			continue // it would have one, if there were a domain, or if its slug were not reserved
		case err != nil:
			return err
		}
		if spec.Domain(domain.Host) != nil {
			return refusal("project %s has the domain %s already", spec.Slug, domain.Host)
		}
		if domain.AliasOf != "" {
			if domain.AliasOf, err = a.host(spec.Slug, domain.AliasOf); err != nil {
				return err
			}
			of := spec.Domain(domain.AliasOf)
			if of == nil || of.AliasOf != "" {
				return refusal("%s cannot be an alias of %s, which is none of the project's own domains", domain.Host, domain.AliasOf)
			}
		}
		spec.Domains = append(spec.Domains, domain)
	}
	return nil
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
	if err := a.removeDomains(&spec, change.RemoveDomains); err != nil {
		return spec, err
	}
	if err := a.addDomains(&spec, change.AddDomains); err != nil {
		return spec, err
	}
	spec.Components = slices.Clone(spec.Components)
	for _, component := range change.AddComponents {
		switch {
		case spec.Repository == nil:
			return spec, refusal("project %s has no repository to which a component could be added", spec.Slug)
		case slices.ContainsFunc(spec.Components, func(c contract.Component) bool { return c.Name == component.Name }):
			return spec, refusal("project %s has a component %s already", spec.Slug, component.Name)
		}
		spec.Components = append(spec.Components, component)
	}
	for _, part := range []struct {
		name string
		has  *bool
		wish *bool
	}{{contract.ResourceDatabase, &spec.Database, change.Database}, {contract.ResourceCache, &spec.Cache, change.Cache}} {
		switch {
		case part.wish == nil:
		case *part.wish && *part.has:
			return spec, refusal("project %s has a %s already", spec.Slug, part.name)
		case !*part.wish && !*part.has:
			return spec, refusal("project %s has no %s", spec.Slug, part.name)
		default:
			*part.has = *part.wish
		}
	}
	for _, name := range change.Rotate {
		if project.Resource(name) == nil {
			return spec, refusal("project %s has no %s", spec.Slug, name)
		}
	}
	return spec, nil
}

// removeDomains takes hosts from what a project is to have.
func (a *App) removeDomains(spec *contract.ProjectSpec, hosts []string) error {
	spec.Domains = slices.Clone(spec.Domains)
	for _, name := range hosts {
		host, err := a.host(spec.Slug, name)
		if err != nil {
			return err
		}
		if spec.Domain(host) == nil {
			return refusal("project %s has no domain %s", spec.Slug, host)
		}
		for _, domain := range spec.Domains {
			if domain.AliasOf == host && !slices.Contains(hosts, domain.Host) {
				return refusal("the domain %s has an alias: remove %s first", host, domain.Host)
			}
		}
		spec.Domains = slices.DeleteFunc(spec.Domains, func(d contract.Domain) bool { return d.Host == host })
	}
	return nil
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
