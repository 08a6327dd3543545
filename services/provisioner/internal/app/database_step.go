package app

import (
	"cmp"
	"context"
	"crypto/rand"

	"github.com/orchard9/rdev/libs/contract"
)

// Databases keeps the databases of projects, on a server of the operator's. Each has a
// role of its own, and both a mark, by which they are known to be of this installation
// and of that project. What has none is never changed: it is a StepError.
type Databases interface {
	// Plan returns the name that the database of a project has, or will have, and why
	// there cannot be one.
	Plan(ctx context.Context, slug string) (name string, err error)
	// Create makes the database, or completes one that is there, lets its role in with
	// the password, and with no other, and tries that.
	Create(ctx context.Context, slug, password string) (Database, error)
	// Rotate is Create of what is there already, and ends the sessions of the role.
	Rotate(ctx context.Context, slug, password string) (Database, error)
	// Drop ends all sessions of the role and removes it and the database. Nothing to
	// remove is fine.
	Drop(ctx context.Context, slug string) error
	// Release takes the mark off the database and its role: they stay, as somebody else's.
	Release(ctx context.Context, slug string) error
	// Verify lists what is not as Create makes it, in words.
	Verify(ctx context.Context, slug string) (differences []string, err error)
}

// Database is a project's database, and how its role reaches it.
type Database struct {
	Name string
	Role string
	Host string // host:port, or the directory of a socket
	URL  string // has the password
}

// DatabaseStep makes a database for a project, and the credential DATABASE_URL. What is
// there of it without a project is of an attempt that was given up.
type DatabaseStep struct {
	Databases Databases // nil where the installation has none
	Secrets   Secrets
}

// Name implements Step.
func (DatabaseStep) Name() string { return contract.ResourceDatabase }

// Needs implements Step.
func (DatabaseStep) Needs() []string { return nil }

// Asked implements Optional.
func (DatabaseStep) Asked(_, target contract.ProjectSpec) bool { return target.Database }

// Plan implements Step.
func (s DatabaseStep) Plan(ctx context.Context, t Task) (contract.ProvisionAction, string, error) {
	if err := cmp.Or(s.available(), s.Secrets.Available(contract.DatabaseURL)); err != nil {
		return "", "", err
	}
	name, err := s.Databases.Plan(ctx, t.Slug)
	return contract.ProvisionCreate, "database " + name, err
}

// Apply implements Step. Each time there is another password, for the one before may be
// nowhere: the role has it before the vault.
func (s DatabaseStep) Apply(ctx context.Context, t Task) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	create := s.Databases.Create
	if t.Of(s.Name()) != nil {
		create = s.Databases.Rotate
	}
	database, err := create(ctx, t.Slug, rand.Text())
	if err != nil {
		return nil, err
	}
	if err := s.Secrets.Keep(ctx, t.Op, contract.DatabaseURL, database.URL); err != nil {
		return nil, err
	}
	return map[string]string{
		contract.ExternalDatabase: database.Name, contract.ExternalRole: database.Role, contract.ExternalHost: database.Host,
	}, nil
}

// Undo implements Step.
func (s DatabaseStep) Undo(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	if err := s.Databases.Drop(ctx, t.Slug); err != nil {
		return err
	}
	return s.Secrets.Drop(ctx, t.Slug, contract.DatabaseURL)
}

// Release implements Releaser.
func (s DatabaseStep) Release(ctx context.Context, t Task) error {
	if err := s.available(); err != nil {
		return err
	}
	return s.Databases.Release(ctx, t.Slug)
}

// Verify implements Step.
func (s DatabaseStep) Verify(ctx context.Context, t Task) ([]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	differences, err := s.Databases.Verify(ctx, t.Slug)
	if err != nil {
		return nil, err
	}
	return missing(ctx, s.Secrets, differences, t.Slug, contract.DatabaseURL)
}

func (s DatabaseStep) available() error {
	if s.Databases == nil {
		return unavailable("databases", "set PROVISIONER_PROJECTS_DATABASE_URL")
	}
	return nil
}
