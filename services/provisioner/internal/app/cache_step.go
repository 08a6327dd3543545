package app

import (
	"cmp"
	"context"
	"crypto/rand"

	"github.com/orchard9/rdev/libs/contract"
)

// CacheStep makes a cache for a project, and the credential REDIS_URL. What is there of it
// without a project is of an attempt that was given up.
type CacheStep struct {
	Caches  Caches // nil where the installation has none
	Secrets Secrets
}

// Name implements Step.
func (CacheStep) Name() string { return contract.ResourceCache }

// Needs implements Step.
func (CacheStep) Needs() []string { return nil }

// Asked implements Optional.
func (CacheStep) Asked(_, target contract.ProjectSpec) bool { return target.Cache }

// Plan implements Step.
func (s CacheStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	if err := cmp.Or(s.available(), s.Secrets.Available(contract.CacheURL)); err != nil {
		return "", "", err
	}
	name, err := s.Caches.Plan(ctx, t.Slug)
	return contract.ProvisionCreate, "cache " + name, err
}

// Apply implements Step. Each time there is another password, for the one before may be
// nowhere: the server has it before the vault.
func (s CacheStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	cache, err := s.Caches.Create(ctx, t.Slug, rand.Text())
	if err != nil {
		return nil, err
	}
	if err := s.Secrets.Keep(ctx, t.Op, contract.CacheURL, cache.URL); err != nil {
		return nil, err
	}
	return map[string]string{
		contract.ExternalUser: cache.User, contract.ExternalPrefix: cache.Prefix, contract.ExternalHost: cache.Host,
	}, nil
}

// Undo implements Step. The credential goes first: where there is none KeepCaches gives back
// nothing.
func (s CacheStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	if err := s.Secrets.Drop(ctx, t.Slug, contract.CacheURL); err != nil {
		return err
	}
	return s.Caches.Drop(ctx, t.Slug)
}

// Verify implements Step.
func (s CacheStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	differences, err := s.Caches.Verify(ctx, t.Slug)
	if err != nil {
		return nil, err
	}
	return missing(ctx, s.Secrets, differences, t.Slug, contract.CacheURL)
}

func (s CacheStep) available() error {
	if s.Caches == nil {
		return unavailable("caches", "set PROVISIONER_PROJECTS_REDIS_URL, or install redis-server where `rdev up` runs")
	}
	return nil
}
