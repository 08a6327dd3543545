package httpapi

import "github.com/orchard9/rdev/libs/contract"

// projectView is a project as the API shows it.
type projectView struct {
	contract.Project
	Repository *repositoryOf        `json:"repository"`
	CI         *ciOf                `json:"ci"`
	Components []contract.Component `json:"components"`
	Domains    []domainOf           `json:"domains"`
	Database   *databaseOf          `json:"database"`
	Cache      *cacheOf             `json:"cache"`
	Runtime    runtimeOf            `json:"runtime"`
	Workspace  *string              `json:"workspace,omitempty"` // shown under runtime
	Spec       *struct{}            `json:"spec,omitempty"`      // shown by what the project has
	Resources  *struct{}            `json:"resources,omitempty"` // each is shown by itself
}

// repositoryOf is the repository of a project. Its credentials REPOSITORY_URL, REPOSITORY_USER and
// REPOSITORY_TOKEN open it.
type repositoryOf struct {
	Name     string `json:"name"` // in full, as rdev/shop
	CloneURL string `json:"clone_url"`
	URL      string `json:"url,omitempty"` // of its page
	Branch   string `json:"branch"`
	Adopted  bool   `json:"adopted"` // it was there before the project, and stays when that goes
}

// ciOf is what runs the pipelines of a project.
type ciOf struct {
	URL string `json:"url"` // of its page
}

// domainOf is a host under which a project is reached.
type domainOf struct {
	Host    string `json:"host"`
	URL     string `json:"url"`
	AliasOf string `json:"alias_of,omitempty"`
	// DNS is true where rdev keeps the record of the host.
	DNS bool `json:"dns"`
}

// databaseOf is where the database of a project is. Its credential DATABASE_URL opens it.
type databaseOf struct {
	Name string `json:"name"`
	Host string `json:"host"` // host:port, or the directory of a socket
}

// cacheOf is where the cache of a project is. Its credential REDIS_URL opens it.
type cacheOf struct {
	User   string `json:"user"`
	Prefix string `json:"prefix"` // of all its keys
	Host   string `json:"host"`   // host:port
}

type runtimeOf struct {
	Kind      string `json:"kind"` // local, kube
	Workspace string `json:"workspace"`
}

func viewProject(p contract.Project) projectView {
	view := projectView{
		Project: p, Components: []contract.Component{}, Domains: viewDomains(p),
		Runtime: runtimeOf{Kind: p.Runtime, Workspace: p.Workspace},
	}
	if p.Spec != nil {
		view.Components = append(view.Components, p.Spec.Components...)
	}
	if r := p.Resource(contract.ResourceRepository); r != nil {
		view.Repository = &repositoryOf{
			Name: r.External[contract.ExternalName], CloneURL: r.External[contract.ExternalCloneURL], URL: r.External[contract.ExternalURL],
			Branch: r.External[contract.ExternalBranch], Adopted: r.Action == contract.ProvisionAdopt,
		}
	}
	if r := p.Resource(contract.ResourceCI); r != nil {
		view.CI = &ciOf{URL: r.External[contract.ExternalURL]}
	}
	if r := p.Resource(contract.ResourceDatabase); r != nil {
		view.Database = &databaseOf{Name: r.External[contract.ExternalDatabase], Host: r.External[contract.ExternalHost]}
	}
	if r := p.Resource(contract.ResourceCache); r != nil {
		view.Cache = &cacheOf{
			User: r.External[contract.ExternalUser], Prefix: r.External[contract.ExternalPrefix], Host: r.External[contract.ExternalHost],
		}
	}
	return view
}

// viewDomains are the domains of a project, in the order in which they came.
func viewDomains(p contract.Project) []domainOf {
	all := []domainOf{}
	if p.Spec == nil {
		return all
	}
	for _, domain := range p.Spec.Domains {
		view := domainOf{Host: domain.Host, AliasOf: domain.AliasOf, DNS: p.Resource(contract.ResourceDNS+"/"+domain.Host) != nil}
		if route := p.Resource(contract.ResourceRoute + "/" + domain.Host); route != nil {
			view.URL = route.External[contract.ExternalURL]
		}
		all = append(all, view)
	}
	return all
}
