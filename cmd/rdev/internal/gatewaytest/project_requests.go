package gatewaytest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/templates"
	"github.com/orchard9/rdev/libs/validate"
)

// newProject is the body of POST /projects.
type newProject struct {
	Slug, Template string
	Values         map[string]string
	Components     []contract.Component
	Repository     *struct {
		Adopt string
		CI    *bool
	}
	Domains         *[]string
	Database, Cache bool
}

// spec checks the body, and is what it asks for.
func (n newProject) spec() (contract.ProjectSpec, error) {
	spec := contract.ProjectSpec{Slug: n.Slug, Template: n.Template, Values: n.Values, Components: n.Components, Database: n.Database, Cache: n.Cache}
	if spec.Template == "" {
		spec.Template = "default"
	}
	v := validate.New()
	v.Required("slug", n.Slug)
	v.Slug("slug", n.Slug)
	_, err := templates.Get(spec.Template)
	v.Check("template", err == nil, "must be one of default, astro-landing, go-api, monorepo")
	adopts := false
	if n.Repository != nil {
		adopts = n.Repository.Adopt != ""
		spec.Repository = &contract.RepositorySpec{Adopt: n.Repository.Adopt, NoCI: n.Repository.CI != nil && !*n.Repository.CI}
	} else if spec.Template != "default" || len(n.Components) > 0 {
		spec.Repository = &contract.RepositorySpec{}
	}
	v.Check("template", !adopts || n.Template == "" && len(n.Components) == 0, "is for a repository that is made: one that is adopted stays as it is")
	switch {
	case n.Domains != nil:
		for i, host := range *n.Domains {
			spec.Domains = append(spec.Domains, contract.Domain{Host: hostOf(v, fmt.Sprintf("domains[%d]", i), host)})
		}
	case spec.Repository != nil && !adopts:
		spec.Domains = []contract.Domain{{Host: n.Slug + "." + zone}}
	}
	if v.Err() != nil || adopts {
		return spec, v.Err()
	}
	project := templates.Project{Name: spec.Slug, Values: spec.Values}
	for _, component := range spec.Components {
		project.Components = append(project.Components, templates.Component(component))
	}
	_, err = templates.Render(spec.Template, project)
	return spec, err
}

// hostOf is a host in full.
func hostOf(v *validate.Validator, field, name string) string {
	if name != "" && !strings.Contains(name, ".") {
		name += "." + zone
	}
	host, wrong := validate.Host(name)
	v.Check(field, wrong == "", wrong)
	return host
}

func domainAdded(r *http.Request) (contract.ProjectChange, error) {
	body, err := decode[struct {
		Host    string
		AliasOf string `json:"alias_of"`
	}](r)
	if err != nil {
		return contract.ProjectChange{}, err
	}
	v := validate.New()
	v.Required("host", body.Host)
	domain := contract.Domain{Host: hostOf(v, "host", body.Host)}
	if body.AliasOf != "" {
		domain.AliasOf = hostOf(v, "alias_of", body.AliasOf)
	}
	return contract.ProjectChange{AddDomains: []contract.Domain{domain}}, v.Err()
}

func domainRemoved(r *http.Request) (contract.ProjectChange, error) {
	v := validate.New()
	host := hostOf(v, "host", r.PathValue("host"))
	if v.Err() != nil {
		return contract.ProjectChange{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no domain of that name"}
	}
	return contract.ProjectChange{RemoveDomains: []string{host}}, nil
}

func componentsAdded(r *http.Request) (contract.ProjectChange, error) {
	body, err := decode[struct{ Components []contract.Component }](r)
	if err != nil {
		return contract.ProjectChange{}, err
	}
	v := validate.New()
	for i, component := range body.Components {
		field := fmt.Sprintf("components[%d]", i)
		v.OneOf(field+".kind", component.Kind, "service", "worker", "app-astro", "app-react", "cli")
		v.Slug(field+".name", component.Name)
	}
	return contract.ProjectChange{AddComponents: body.Components}, v.Err()
}

func deletion(r *http.Request) (contract.ProjectChange, error) {
	value := r.URL.Query().Get("keep")
	if value == "" {
		return contract.ProjectChange{}, nil
	}
	keep := strings.Split(value, ",")
	v := validate.New()
	for _, name := range keep {
		v.Check("keep", slices.Contains([]string{contract.ResourceRepository, contract.ResourceDatabase}, name), "must be repository, database, or both with a comma")
	}
	return contract.ProjectChange{Keep: keep}, v.Err()
}

// refuse answers a request that is wrong.
func refuse(w http.ResponseWriter, err error) {
	if wrong, ok := errors.AsType[*validate.Errors](err); ok {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid", wrong.Fields...)
		return
	}
	if known, ok := errors.AsType[*contract.Error](err); ok {
		status := map[contract.Code]int{contract.CodeNotFound: http.StatusNotFound, contract.CodeConflict: http.StatusConflict}[known.Code]
		if status == 0 {
			status = http.StatusBadRequest
		}
		problem(w, status, string(known.Code), known.Detail)
		return
	}
	problem(w, http.StatusBadRequest, "INVALID_REQUEST", err.Error())
}
