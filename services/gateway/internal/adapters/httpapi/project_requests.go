package httpapi

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

// maxDomains is how many domains a request may have.
const maxDomains = 50

// createProjectRequest is the body of POST /projects.
type createProjectRequest struct {
	Slug       string               `json:"slug"`
	Template   string               `json:"template"` // "default" where empty
	Values     map[string]string    `json:"values"`   // of the template's parameters
	Components []contract.Component `json:"components"`
	// Repository is null for none, unless a template other than "default" needs one.
	Repository *repositoryRequest `json:"repository"`
	// Domains are whole names, or labels below the installation's domain. Where it is null a
	// project with a repository gets its slug as one, if the installation has a domain.
	Domains  *[]string `json:"domains"`
	Database bool      `json:"database"`
	Cache    bool      `json:"cache"`
}

// repositoryRequest is the repository that a project is to have.
type repositoryRequest struct {
	Adopt string `json:"adopt"` // full name of one that is there
	CI    *bool  `json:"ci"`    // whether its pipelines run; null for yes, where there is a CI
}

// spec checks the request, and is what it asks for.
func (c createProjectRequest) spec() (contract.ProjectSpec, error) {
	spec := contract.ProjectSpec{
		Slug: c.Slug, Template: c.Template, Values: c.Values, Components: c.Components, Database: c.Database, Cache: c.Cache,
	}
	if spec.Template == "" {
		spec.Template = "default"
	}
	v := validate.New()
	v.Required("slug", c.Slug)
	v.Slug("slug", c.Slug)
	_, err := templates.Get(spec.Template)
	v.Checkf("template", err == nil, "must be one of %s", strings.Join(templateNames(), ", "))
	if c.Repository != nil || spec.Template != "default" || len(c.Components) > 0 {
		spec.Repository = c.Repository.spec(v)
	}
	adopts := spec.Repository != nil && spec.Repository.Adopt != ""
	v.Check("template", !adopts || c.Template == "" && len(c.Components) == 0, "is for a repository that is made: one that is adopted stays as it is")
	switch {
	case c.Domains != nil:
		v.Checkf("domains", len(*c.Domains) <= maxDomains, "must be at most %d", maxDomains)
		for i, host := range *c.Domains {
			spec.Domains = append(spec.Domains, contract.Domain{Host: hostOf(v, fmt.Sprintf("domains[%d]", i), host)})
		}
	case spec.Repository != nil && !adopts:
		spec.Domains = []contract.Domain{{}} // its slug
	}
	if v.Err() != nil || adopts {
		return spec, v.Err()
	}
	// Whatever is wrong with values and components the template itself finds.
	_, err = templates.Render(spec.Template, templates.Project{Name: spec.Slug, Values: spec.Values, Components: componentsOf(spec.Components)})
	return spec, err
}

func (r *repositoryRequest) spec(v *validate.Validator) *contract.RepositorySpec {
	if r == nil {
		return &contract.RepositorySpec{}
	}
	owner, name, whole := strings.Cut(r.Adopt, "/")
	v.Check("repository.adopt", r.Adopt == "" || validName(owner) && (!whole || validName(name)), "must be the full name of a repository, as acme/shop")
	return &contract.RepositorySpec{Adopt: r.Adopt, NoCI: r.CI != nil && !*r.CI}
}

// validName tells whether an owner, or a repository, may be called so on a forge.
func validName(name string) bool {
	return name != "" && len(name) <= 100 && !strings.HasPrefix(name, ".") && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.", r)
	})
}

func templateNames() (names []string) {
	for _, template := range templates.List() {
		names = append(names, template.Name)
	}
	return names
}

func componentsOf(components []contract.Component) (all []templates.Component) {
	for _, component := range components {
		all = append(all, templates.Component(component))
	}
	return all
}

// addDomainRequest is the body of POST /projects/{project}/domains.
type addDomainRequest struct {
	Host    string `json:"host"`
	AliasOf string `json:"alias_of"`
}

func (a addDomainRequest) change() (contract.ProjectChange, error) {
	v := validate.New()
	v.Required("host", a.Host)
	domain := contract.Domain{Host: hostOf(v, "host", a.Host)}
	if a.AliasOf != "" {
		domain.AliasOf = hostOf(v, "alias_of", a.AliasOf)
	}
	return contract.ProjectChange{AddDomains: []contract.Domain{domain}}, v.Err()
}

// hostOf is a host as the DNS has it: a whole name, or a label below the installation's
// domain.
func hostOf(v *validate.Validator, field, name string) string {
	if name != "" && !strings.Contains(name, ".") {
		label, wrong := validate.Host(name + ".example.com")
		v.Check(field, wrong == "", wrong)
		label, _, _ = strings.Cut(label, ".")
		v.Checkf(field, !validate.ReservedLabel(label), "%q is reserved", label)
		return label
	}
	host, wrong := validate.Host(name)
	v.Check(field, wrong == "", wrong)
	return host
}

// addComponentsRequest is the body of POST /projects/{project}/components.
type addComponentsRequest struct {
	Components []contract.Component `json:"components"`
}

func (a addComponentsRequest) change() (contract.ProjectChange, error) {
	v := validate.New()
	v.Check("components", len(a.Components) > 0, "is required")
	seen := map[string]bool{}
	for i, component := range a.Components {
		field := fmt.Sprintf("components[%d]", i)
		v.OneOf(field+".kind", component.Kind, componentKinds()...)
		v.Slug(field+".name", component.Name)
		v.Check(field+".name", !seen[component.Name], "comes twice")
		seen[component.Name] = true
	}
	return contract.ProjectChange{AddComponents: a.Components}, v.Err()
}

func componentKinds() (kinds []string) {
	for _, template := range templates.List() {
		for _, kind := range template.Components {
			kinds = append(kinds, kind.Name)
		}
	}
	return kinds
}

// keepOf are the resources that DELETE /projects/{project} is to keep.
func keepOf(value string) ([]string, error) {
	if value == "" {
		return nil, nil
	}
	keep := strings.Split(value, ",")
	v := validate.New()
	for _, name := range keep {
		v.Check("keep", slices.Contains([]string{contract.ResourceRepository, contract.ResourceDatabase}, name), "must be repository, database, or both with a comma")
	}
	return keep, v.Err()
}
