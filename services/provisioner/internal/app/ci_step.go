package app

import (
	"context"
	"maps"
	"slices"

	"github.com/orchard9/rdev/libs/contract"
)

// CIStep has pipelines run for the repository of a project, with the addresses of its
// database and its cache as secrets.
type CIStep struct {
	CI           CI // nil where the installation has none
	Repositories Repositories
	Secrets      Secrets
}

// Name implements Step.
func (CIStep) Name() string { return contract.ResourceCI }

// Needs implements Step.
func (CIStep) Needs() []string {
	return []string{contract.ResourceRepository, contract.ResourceDatabase, contract.ResourceCache}
}

// Asked implements Optional.
func (s CIStep) Asked(_, target contract.ProjectSpec) bool {
	return s.CI != nil && target.Repository != nil && !target.Repository.NoCI
}

// Plan implements Step. Of a repository that was there before the CI may know already, by the
// name that the forge has for it.
func (s CIStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	const what = "pipelines of the repository"
	if err := s.CI.Plan(ctx); err != nil {
		return "", what, err
	}
	if adopted(t) == "" {
		return contract.ProvisionCreate, what, nil
	}
	name, err := s.Repositories.Plan(ctx, t.Slug, adopted(t))
	if err != nil {
		return "", what, err
	}
	known, err := s.CI.Known(ctx, name)
	if known || err != nil {
		return contract.ProvisionAdopt, what, err
	}
	return contract.ProvisionCreate, what, nil
}

// Apply implements Step.
func (s CIStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	values, err := s.Secrets.Values(ctx, t.Slug, ciSecrets(t)...)
	if err != nil {
		return nil, err
	}
	r, err := s.CI.Activate(ctx, repositoryOf(t), values)
	if err != nil {
		return nil, err
	}
	return map[string]string{contract.ExternalID: r.ID, contract.ExternalURL: r.URL}, nil
}

// Undo implements Step.
func (s CIStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	r := repositoryOf(t)
	if r.Name == "" {
		return nil // the repository is not there, and the CI comes after it
	}
	return s.CI.Remove(ctx, r)
}

// Release implements Releaser.
func (s CIStep) Release(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	r := repositoryOf(t)
	if r.Name == "" {
		return nil
	}
	return s.CI.Release(ctx, r)
}

// Verify implements Step.
func (s CIStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	return s.CI.Verify(ctx, repositoryOf(t), ciSecrets(t))
}

func (s CIStep) available() error {
	if s.CI == nil {
		return unavailable("pipelines", "set PROVISIONER_WOODPECKER_URL")
	}
	return nil
}

// ciSecrets are the names of what the pipelines of a project get.
func ciSecrets(t Task) []string {
	all := map[string]bool{contract.DatabaseURL: t.Spec.Database, contract.CacheURL: t.Spec.Cache}
	maps.DeleteFunc(all, func(_ string, has bool) bool { return !has })
	return slices.Sorted(maps.Keys(all))
}
