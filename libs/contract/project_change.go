package contract

import "slices"

// ProjectChange is what a project is to have that it has not, or the other way round, and of
// project.delete what stays.
type ProjectChange struct {
	AddDomains    []Domain    `json:"add_domains,omitempty"`
	RemoveDomains []string    `json:"remove_domains,omitempty"` // hosts
	AddComponents []Component `json:"add_components,omitempty"`
	Database      *bool       `json:"database,omitempty"`
	Cache         *bool       `json:"cache,omitempty"`
	// Rotate are the resources whose secret is replaced: database, cache, access.
	Rotate []string `json:"rotate,omitempty"`
	// Keep are the resources that stay when the project is deleted: repository, database.
	Keep []string `json:"keep,omitempty"`
}

// After is what a project is to have after a change of it, or why that makes no sense. All
// hosts are in full, and have is what the project has.
func (s ProjectSpec) After(change ProjectChange, have []Resource) (ProjectSpec, *Failure) {
	s.Domains, s.Components = slices.Clone(s.Domains), slices.Clone(s.Components)
	for _, host := range change.RemoveDomains {
		if failure := s.removeDomain(host, change.RemoveDomains); failure != nil {
			return s, failure
		}
	}
	for _, domain := range change.AddDomains {
		if failure := s.addDomain(domain); failure != nil {
			return s, failure
		}
	}
	for _, component := range change.AddComponents {
		switch {
		case s.Repository == nil:
			return s, NewFailure(ClassUser, "project %s has no repository to which a component could be added", s.Slug)
		case slices.ContainsFunc(s.Components, func(c Component) bool { return c.Name == component.Name }):
			return s, NewFailure(ClassUser, "project %s has a component %s already", s.Slug, component.Name)
		}
		s.Components = append(s.Components, component)
	}
	for _, part := range []struct {
		name      string
		has, wish *bool
	}{{ResourceDatabase, &s.Database, change.Database}, {ResourceCache, &s.Cache, change.Cache}} {
		switch {
		case part.wish == nil:
		case *part.wish && *part.has:
			return s, NewFailure(ClassUser, "project %s has a %s already", s.Slug, part.name)
		case !*part.wish && !*part.has:
			return s, NewFailure(ClassUser, "project %s has no %s", s.Slug, part.name)
		default:
			*part.has = *part.wish
		}
	}
	for _, name := range change.Rotate {
		if !slices.ContainsFunc(have, func(r Resource) bool { return r.Name == name }) {
			return s, NewFailure(ClassUser, "project %s has no %s", s.Slug, name)
		}
	}
	return s, nil
}

func (s *ProjectSpec) addDomain(domain Domain) *Failure {
	if s.Domain(domain.Host) != nil {
		return NewFailure(ClassUser, "project %s has the domain %s already", s.Slug, domain.Host)
	}
	if of := s.Domain(domain.AliasOf); domain.AliasOf != "" && (of == nil || of.AliasOf != "") {
		return NewFailure(ClassUser, "%s cannot be an alias of %s, which is none of the project's own domains", domain.Host, domain.AliasOf)
	}
	s.Domains = append(s.Domains, domain)
	return nil
}

// removeDomain removes a host, which has no alias but those that go with it.
func (s *ProjectSpec) removeDomain(host string, with []string) *Failure {
	if s.Domain(host) == nil {
		return NewFailure(ClassUser, "project %s has no domain %s", s.Slug, host)
	}
	for _, domain := range s.Domains {
		if domain.AliasOf == host && !slices.Contains(with, domain.Host) {
			return NewFailure(ClassUser, "the domain %s has an alias: remove %s first", host, domain.Host)
		}
	}
	s.Domains = slices.DeleteFunc(s.Domains, func(d Domain) bool { return d.Host == host })
	return nil
}
