package contract

import "slices"

// ProjectSpec is what a project is to have.
type ProjectSpec struct {
	Slug     string `json:"slug"`
	Template string `json:"template"`
	// Values are those of the template's parameters that are not to be the defaults.
	Values     map[string]string `json:"values,omitempty"`
	Components []Component       `json:"components,omitempty"` // of a monorepo
	Repository *RepositorySpec   `json:"repository,omitempty"` // nil where it has none
	Domains    []Domain          `json:"domains,omitempty"`
	Database   bool              `json:"database,omitempty"` // a database of its own
	Cache      bool              `json:"cache,omitempty"`    // a cache of its own
}

// RepositorySpec is the repository of a project.
type RepositorySpec struct {
	// Adopt is the full name of a repository that is there and stays as it is; "" for one
	// that is made, and filled with the template.
	Adopt string `json:"adopt,omitempty"`
	// NoCI keeps the installation's CI from running its pipelines.
	NoCI bool `json:"no_ci,omitempty"`
}

// Component is a part of a monorepo.
type Component struct {
	Kind string `json:"kind"` // service, worker, app-astro, app-react, cli
	Name string `json:"name"`
}

// Domain is a host under which a project is reached.
type Domain struct {
	// Host is a name with dots, or a label, which is one below the installation's domain;
	// "" is the project's slug as a label, where the installation has a domain.
	Host string `json:"host"`
	// AliasOf is the host of the project that this one is another name of, "" where it is
	// none.
	AliasOf string `json:"alias_of,omitempty"`
}

// Domain is the domain of a host, nil where the project is to have none.
func (s ProjectSpec) Domain(host string) *Domain {
	i := slices.IndexFunc(s.Domains, func(d Domain) bool { return d.Host == host })
	if i < 0 {
		return nil
	}
	return &s.Domains[i]
}

// Names of resources. Those of a host are <name>/<host>.
const (
	ResourceWorkspace  = "workspace"
	ResourceRepository = "repository"
	ResourceAccess     = "access" // to the repository
	ResourceCI         = "ci"
	ResourceTemplate   = "template"   // its files in the repository
	ResourceComponents = "components" // files of those that were added later
	ResourceDatabase   = "database"
	ResourceCache      = "cache"
	ResourceHost       = "host" // that the name is this project's
	ResourceDNS        = "dns"
	ResourceRoute      = "route"
)

// What External has of a resource.
const (
	ExternalID       = "id"
	ExternalName     = "name"
	ExternalCloneURL = "clone_url"
	ExternalURL      = "url" // of its page, or where it answers
	ExternalBranch   = "branch"
	ExternalCommit   = "commit"
	ExternalDatabase = "database" // name of the database
	ExternalRole     = "role"     // who owns what is in it
	ExternalUser     = "user"
	ExternalPrefix   = "prefix" // of the keys in a cache
	ExternalHost     = "host"   // where its server is, host:port or a directory with a socket
)

// Verbs that the provisioner answers; the comments name request and reply.
const (
	VerbPlanProject  = "plan_project"  // PlanProject → ProjectPlan
	VerbDriftProject = "drift_project" // ProjectDrift → ProjectDifferences
)

// PlanProject asks what an operation on a project would do.
type PlanProject struct {
	Kind    string         `json:"kind"` // project.create, project.change, project.repair, project.delete
	Project string         `json:"project"`
	Spec    *ProjectSpec   `json:"spec,omitempty"`
	Change  *ProjectChange `json:"change,omitempty"`
}

// ProjectPlan is what an operation on a project would do. Steps that cannot be done have a
// Failure.
type ProjectPlan struct {
	Project string          `json:"project"`
	Kind    string          `json:"kind"`
	OK      bool            `json:"ok"` // no step has a failure
	Steps   []ProvisionStep `json:"steps"`
}

// ProjectDrift asks how a project differs from what it is to be.
type ProjectDrift struct {
	Project string `json:"project"`
}

// ProjectDifferences is how a project differs from what it is to be.
type ProjectDifferences struct {
	Project string `json:"project"`
	// Drift is true where anything is not as it is to be.
	Drift     bool                 `json:"drift"`
	Resources []ResourceDifference `json:"resources"`
}

// ResourceDifference is how a part of a project differs.
type ResourceDifference struct {
	Name        string          `json:"name"`
	What        string          `json:"what"`
	State       DifferenceState `json:"state"`
	Differences []string        `json:"differences,omitempty"` // in words
}

// DifferenceState is what is the matter with a part of a project.
type DifferenceState string

// The states of a difference.
const (
	DifferenceNone     DifferenceState = "ok"
	DifferenceDiffers  DifferenceState = "differs"
	DifferenceMissing  DifferenceState = "missing"  // the project is to have it, and it was never made
	DifferenceLeftover DifferenceState = "leftover" // the project is not to have it any more
	DifferenceUnknown  DifferenceState = "unknown"  // nobody can tell at the moment
)
