package app

import (
	"context"
	"errors"

	"github.com/orchard9/rdev/libs/contract"
)

// Secrets keeps what the steps of a project make as credentials of the project.
type Secrets interface {
	// Available says why a credential cannot be kept.
	Available(name string) error
	// Keep sets the value of a credential of the project that an operation makes.
	Keep(ctx context.Context, op contract.Operation, name, value string) error
	// Values are those of a project's credentials.
	Values(ctx context.Context, slug string, names ...string) (map[string]string, error)
	// Has tells whether a project has a credential of its own.
	Has(ctx context.Context, slug, name string) (bool, error)
	// Drop removes credentials of a project. Where there are none that is fine.
	Drop(ctx context.Context, slug string, names ...string) error
}

// VaultSecrets implements Secrets.
type VaultSecrets struct {
	Vault       *Vault // nil where there is none
	Credentials Credentials
}

// Available implements Secrets.
func (s VaultSecrets) Available(name string) error {
	if s.Vault == nil {
		return refusal("there is no vault for %s: set PROVISIONER_MASTER_KEY_FILE", name)
	}
	return nil
}

// Keep implements Secrets.
func (s VaultSecrets) Keep(ctx context.Context, op contract.Operation, name, value string) error {
	if err := s.Available(name); err != nil {
		return err
	}
	return s.Vault.Keep(ctx, op, name, value)
}

// Values implements Secrets.
func (s VaultSecrets) Values(ctx context.Context, slug string, names ...string) (map[string]string, error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := s.Available(names[0]); err != nil {
		return nil, err
	}
	return s.Vault.values(ctx, slug, names)
}

// Has implements Secrets.
func (s VaultSecrets) Has(ctx context.Context, slug, name string) (bool, error) {
	found, err := s.Credentials.Named(ctx, slug, []string{name})
	if err != nil {
		return false, err
	}
	chosen := choose(found, slug, name)
	return chosen != nil && chosen.Project == slug, nil
}

// Drop implements Secrets. It needs no vault.
func (s VaultSecrets) Drop(ctx context.Context, slug string, names ...string) error {
	for _, name := range names {
		if err := s.Credentials.Delete(ctx, slug, name); err != nil && !errors.Is(err, contract.ErrNotFound) {
			return err
		}
	}
	return nil
}

// missing adds the credentials that a project has not to the differences.
func missing(ctx context.Context, s Secrets, differences []string, slug string, names ...string) ([]string, error) {
	for _, name := range names {
		has, err := s.Has(ctx, slug, name)
		if err != nil {
			return differences, err
		}
		if !has {
			differences = append(differences, "the credential "+name+" is missing")
		}
	}
	return differences, nil
}
