package app

import (
	"fmt"
	"slices"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// ownRepository is the repository of a project, as its commands find it.
type ownRepository struct {
	project string
	url     string // to clone from; "" where the project has none
	token   bool   // the vault opens it over HTTP
}

func repositoryOf(project contract.Project) ownRepository {
	own := ownRepository{project: project.Slug}
	if r := project.Resource(contract.ResourceRepository); r != nil {
		own.url = r.External[contract.ExternalCloneURL]
	}
	if r := project.Resource(contract.ResourceAccess); r != nil {
		own.token = r.External[contract.ExternalUser] != ""
	}
	return own
}

// mayBeOwn tells whether an operation is for a repository that may be its project's, so that
// only the project can tell.
func mayBeOwn(op contract.Operation) bool {
	if op.Build != nil && slices.ContainsFunc(op.Build.Steps, func(step contract.BuildStep) bool { return mayOpen(step.Repository, step.Command) }) {
		return true
	}
	var from *contract.Repository
	if op.Work != nil {
		from = op.Work.Repository
	}
	return op.Command != nil && mayOpen(from, *op.Command)
}

// mayOpen is mayBeOwn for a command in a workspace that holds a repository, or none.
func mayOpen(from *contract.Repository, cmd contract.Command) bool {
	complete := len(missingOf(cmd)) == 0
	may := func(url string) bool {
		return url == "" || !complete && (strings.HasPrefix(url, "http://") || strings.HasPrefix(url, "https://"))
	}
	switch git := cmd.Git; {
	case from != nil && may(from.URL):
		return true
	case git == nil:
		return false
	case cloned(*git):
		return may(git.URL)
	default:
		return exchanged(*git) && !complete
	}
}

// cloned tells whether a verb of git is for the repository at its URL.
func cloned(git contract.Git) bool { return git.Verb == "clone" || git.Verb == contract.GitResolve }

// exchanged tells whether a verb of git speaks to a remote of the workspace.
func exchanged(git contract.Git) bool { return git.Verb == "push" || git.Verb == "pull" }

// missingOf are the credentials of a repository that a command does not name. One that sets
// a variable of theirs itself lacks none.
func missingOf(cmd contract.Command) (names []string) {
	for _, name := range contract.RepositoryCredentials() {
		if _, set := cmd.Env[name]; set {
			return nil
		}
		if !slices.Contains(cmd.Credentials, name) {
			names = append(names, name)
		}
	}
	return names
}

// fill makes an operation's repository that is not named its project's own, and gives what is
// for that the credentials which open it. What the operation has may be others', too.
func (own ownRepository) fill(op *contract.Operation) error {
	if op.Build != nil {
		build := *op.Build
		build.Steps = slices.Clone(build.Steps)
		var err error
		if build.Repository, _, err = own.named(build.Repository); err != nil {
			return err
		}
		for i := range build.Steps {
			step := &build.Steps[i]
			if step.Repository, step.Command, err = own.open(step.Repository, step.Command); err != nil {
				return err
			}
		}
		op.Build = &build
	}
	if op.Command == nil {
		return nil
	}
	var work contract.Work
	if op.Work != nil {
		work = *op.Work
	}
	from, cmd, err := own.open(work.Repository, *op.Command)
	if err != nil {
		return err
	}
	op.Command = &cmd
	if op.Work != nil {
		work.Repository = from
		op.Work = &work
	}
	return nil
}

// open is the repository and the command of a workspace once they are filled. A push, or
// a pull, may be of it whatever the remote is called.
func (own ownRepository) open(from *contract.Repository, cmd contract.Command) (*contract.Repository, contract.Command, error) {
	from, inside, err := own.named(from)
	if err != nil {
		return nil, cmd, err
	}
	if cmd.Git != nil {
		git := *cmd.Git
		if cloned(git) {
			of, is, err := own.named(&contract.Repository{URL: git.URL})
			if err != nil {
				return nil, cmd, err
			}
			git.URL, inside = of.URL, inside || is
		}
		cmd.Git, inside = &git, inside || exchanged(git)
	}
	if inside && own.token {
		cmd.Credentials = append(slices.Clip(cmd.Credentials), missingOf(cmd)...)
	}
	return from, cmd, nil
}

// named is a repository by its URL, and whether it is the project's own.
func (own ownRepository) named(r *contract.Repository) (*contract.Repository, bool, error) {
	switch {
	case r == nil:
		return nil, false, nil
	case own.url == "" && r.URL == "":
		return nil, false, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("project %s has no repository: give url", own.project)}
	case own.url != "" && (r.URL == "" || strings.TrimSuffix(r.URL, "/") == own.url):
		return &contract.Repository{URL: own.url, Ref: r.Ref}, true, nil
	}
	return r, false, nil
}
