package app

import (
	"context"
	"maps"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
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
	return contract.ProvisionCreate, "access to the repository", s.Secrets.Available(contract.RepositoryToken)
}

// Apply implements Step. What was given before is worth nothing then.
func (s AccessStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := (RepositoryStep{s.Repositories}).available(); err != nil {
		return nil, err
	}
	r := repositoryOf(t)
	access, err := s.Repositories.Grant(ctx, t.Slug, r)
	if err != nil {
		return nil, err
	}
	external := map[string]string{contract.ExternalUser: access.User}
	values := map[string]string{contract.RepositoryURL: r.CloneURL, contract.RepositoryUser: access.User, contract.RepositoryToken: access.Token}
	if access.Key != "" {
		external = map[string]string{contract.ExternalCloneURL: access.SSHURL}
		values = map[string]string{contract.RepositoryURL: access.SSHURL, contract.RepositoryKey: access.Key}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if err := s.Secrets.Keep(ctx, t.Op, name, values[name]); err != nil {
			return nil, err
		}
	}
	return external, nil
}

// Undo implements Step. What was given goes with the repository, or with its mark.
func (s AccessStep) Undo(ctx context.Context, t Task) error {
	return s.Secrets.Drop(ctx, t.Slug, append(contract.RepositoryCredentials(), contract.RepositoryKey)...)
}

// Verify implements Step. Whether what was given is still taken is the repository's to say.
func (s AccessStep) Verify(ctx context.Context, t Task) ([]string, error) {
	secret := contract.RepositoryToken
	if t.Of(s.Name())[contract.ExternalUser] == "" {
		secret = contract.RepositoryKey
	}
	return missing(ctx, s.Secrets, nil, t.Slug, contract.RepositoryURL, secret)
}
