package app

import (
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// The credentials of a project with which its repository is reached: over HTTP by the user
// and the token, over SSH by the key.
const (
	RepositoryUser  = "REPOSITORY_USER"
	RepositoryToken = "REPOSITORY_TOKEN" //nolint:gosec // a name
	RepositoryKey   = "REPOSITORY_KEY"
)

// AccessStep gives the commands of a project a way into its repository, as credentials.
type AccessStep struct {
	Repositories Repositories // nil where the installation has none
	Secrets      Secrets
}

// Name implements Step.
func (AccessStep) Name() string { return contract.ResourceAccess }

// Needs implements Step.
func (AccessStep) Needs() []string { return []string{contract.ResourceRepository} }

// Asked implements Optional.
func (AccessStep) Asked(_, target contract.ProjectSpec) bool { return target.Repository != nil }

// Plan implements Step.
func (s AccessStep) Plan(context.Context, Task) (contract.ProvisionAction, string, error) {
	return contract.ProvisionCreate, "access to the repository", s.Secrets.Available(RepositoryToken)
}

// Apply implements Step. What was given before is worth nothing then.
func (s AccessStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := (RepositoryStep{s.Repositories}).available(); err != nil {
		return nil, err
	}
	access, err := s.Repositories.Grant(ctx, t.Slug, repositoryOf(t))
	if err != nil {
		return nil, err
	}
	external := map[string]string{contract.ExternalUser: access.User}
	values := map[string]string{RepositoryUser: access.User, RepositoryToken: access.Token}
	if access.Key != "" {
		external = map[string]string{contract.ExternalCloneURL: access.SSHURL}
		values = map[string]string{RepositoryKey: access.Key}
	}
	for name, value := range values {
		if err := s.Secrets.Keep(ctx, t.Op, name, value); err != nil {
			return nil, err
		}
	}
	return external, nil
}

// Undo implements Step. What was given goes with the repository, or with its mark.
func (s AccessStep) Undo(ctx context.Context, t Task) error {
	return s.Secrets.Drop(ctx, t.Slug, RepositoryUser, RepositoryToken, RepositoryKey)
}

// Verify implements Step. Whether what was given is still taken is the repository's to say.
func (s AccessStep) Verify(ctx context.Context, t Task) ([]string, error) {
	name := RepositoryToken
	if t.Of(s.Name())[contract.ExternalUser] == "" {
		name = RepositoryKey
	}
	return missing(ctx, s.Secrets, nil, t.Slug, name)
}
