package contract

// ServiceProvisioner is the name under which the provisioner answers requests.
const ServiceProvisioner = "provisioner"

// VerbListProjects is a verb that the provisioner answers: ListProjects → ProjectList.
const VerbListProjects = "list"

// VerbSetBudget is a verb that the provisioner answers: SetBudget → Project, or
// NOT_FOUND, or CONFLICT where the project is not ready.
const VerbSetBudget = "set_budget"

// SetBudget gives a project that is ready another budget.
type SetBudget struct {
	Project string `json:"project"`
	Budget  Budget `json:"budget"`
}

// Runtimes of a project.
const (
	RuntimeLocal = "local" // its workspace is a directory of the executor's machine
	RuntimeKube  = "kube"  // its workspace is a volume of a pod
)

// ListProjects asks for the projects that are not deleted, sorted by slug.
type ListProjects struct {
	Limit  int    `json:"limit,omitempty"`  // DefaultPage where 0, MaxPage where more
	Cursor string `json:"cursor,omitempty"` // NextCursor of the page before
	// MinSeq waits until the list holds this event of RDEV_EVENTS, for two seconds.
	MinSeq uint64 `json:"min_seq,omitempty"`
	// Within are slugs, or patterns as "ci-*": nothing of other projects is listed,
	// unless there are none.
	Within []string `json:"within,omitempty"`
}

// ProjectList is a page of projects, each with Seq set.
type ProjectList struct {
	Projects   []Project `json:"projects"`
	NextCursor *string   `json:"next_cursor"` // null on the last page
	Stale      bool      `json:"stale"`       // MinSeq was not reached in time
}
