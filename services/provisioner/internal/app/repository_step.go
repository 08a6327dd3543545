package app

import (
	"cmp"
	"context"

	"github.com/orchard9/rdev/libs/contract"
)

// RepositoryStep makes the repository of a project, or takes one over that is there.
type RepositoryStep struct{ Repositories Repositories } // nil where the installation has none

// Name implements Step.
func (RepositoryStep) Name() string { return contract.ResourceRepository }

// Needs implements Step.
func (RepositoryStep) Needs() []string { return nil }

// Asked implements Optional.
func (RepositoryStep) Asked(_, target contract.ProjectSpec) bool { return target.Repository != nil }

// Plan implements Step.
func (s RepositoryStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	if err := s.available(); err != nil {
		return "", "", err
	}
	name, err := s.Repositories.Plan(ctx, t.Slug, adopted(t))
	if adopted(t) != "" {
		return contract.ProvisionAdopt, "repository " + name, err
	}
	return contract.ProvisionCreate, "repository " + name, err
}

// Apply implements Step.
func (s RepositoryStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	r, err := s.Repositories.Create(ctx, t.Slug, adopted(t))
	if err != nil {
		return nil, err
	}
	return map[string]string{
		contract.ExternalID: r.ID, contract.ExternalName: r.Name, contract.ExternalCloneURL: r.CloneURL,
		contract.ExternalURL: r.WebURL, contract.ExternalBranch: r.Branch,
	}, nil
}

// Undo implements Step.
func (s RepositoryStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	return s.Repositories.Remove(ctx, t.Slug, adopted(t))
}

// Release implements Releaser.
func (s RepositoryStep) Release(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	return s.Repositories.Release(ctx, t.Slug, adopted(t))
}

// Verify implements Step.
func (s RepositoryStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	return s.Repositories.Verify(ctx, t.Slug, adopted(t))
}

func (s RepositoryStep) available() error {
	if s.Repositories == nil {
		return unavailable("repositories", "set PROVISIONER_GITEA_URL, or PROVISIONER_REPOSITORIES")
	}
	return nil
}

// adopted is the full name of a repository that was there before, "" for one of its own. It is
// the one by which it was found: what was asked for may be a name that it had once, and that
// another has by now.
func adopted(t Task) string {
	if t.Spec.Repository == nil || t.Spec.Repository.Adopt == "" {
		return ""
	}
	return cmp.Or(t.Of(contract.ResourceRepository)[contract.ExternalName], t.Spec.Repository.Adopt)
}

// repositoryOf is the repository that a step before has made or found.
func repositoryOf(t Task) Repository {
	external := t.Of(contract.ResourceRepository)
	return Repository{
		ID: external[contract.ExternalID], Name: external[contract.ExternalName], CloneURL: external[contract.ExternalCloneURL],
		WebURL: external[contract.ExternalURL], Branch: external[contract.ExternalBranch],
	}
}
