package app

import (
	"context"
	"crypto/rand"

	"github.com/orchard9/rdev/libs/contract"
)

// DatabaseURL is the credential of a project with which its database is reached.
const DatabaseURL = "DATABASE_URL"

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
	// Drop ends all sessions of the role and removes it and the database. Nothing to
	// remove is fine.
	Drop(ctx context.Context, slug string) error
}

// Database is a project's database, and how its role reaches it.
type Database struct {
	Name string
	Role string
	Host string // host:port, or the directory of a socket
	URL  string // has the password
}

// Secrets keeps what a step of a project makes in the vault.
type Secrets interface {
	// Keep sets the value of a credential of the project that an operation makes.
	Keep(ctx context.Context, op contract.Operation, name, value string) error
}

// DatabaseStep makes a database for a project, and the credential DATABASE_URL. What is
// there of it without a project is of an attempt that was given up.
type DatabaseStep struct {
	Databases   Databases // nil where the installation has none
	Secrets     Secrets   // nil where there is no vault
	Credentials ProjectCredentials
}

// Name implements Step.
func (DatabaseStep) Name() string { return contract.ResourceDatabase }

// Needs implements Step.
func (DatabaseStep) Needs() []string { return nil }

// Asked implements Optional.
func (DatabaseStep) Asked(spec contract.ProjectSpec) bool { return spec.Database }

// Plan implements Step.
func (s DatabaseStep) Plan(ctx context.Context, op contract.Operation) (contract.ProvisionAction, string, error) {
	if err := s.available(); err != nil {
		return "", "", err
	}
	if s.Secrets == nil {
		return "", "", unavailable("there is no vault for " + DatabaseURL + ": set PROVISIONER_MASTER_KEY_FILE")
	}
	name, err := s.Databases.Plan(ctx, op.Project)
	return contract.ProvisionCreate, "database " + name, err
}

// Apply implements Step. Each time there is another password, for the one before may be
// nowhere: the role has it before the vault.
func (s DatabaseStep) Apply(ctx context.Context, op contract.Operation) (map[string]string, error) {
	if err := s.available(); err != nil {
		return nil, err
	}
	if s.Secrets == nil {
		return nil, unavailable("there is no vault any more")
	}
	database, err := s.Databases.Create(ctx, op.Project, rand.Text())
	if err != nil {
		return nil, err
	}
	if err := s.Secrets.Keep(ctx, op, DatabaseURL, database.URL); err != nil {
		return nil, err
	}
	return map[string]string{
		contract.ExternalDatabase: database.Name, contract.ExternalRole: database.Role, contract.ExternalHost: database.Host,
	}, nil
}

// Undo implements Step. A project that is not made has no other credential, and one that
// is deleted needs none.
func (s DatabaseStep) Undo(ctx context.Context, op contract.Operation) error {
	if err := s.available(); err != nil {
		return err
	}
	if err := s.Databases.Drop(ctx, op.Project); err != nil {
		return err
	}
	return s.Credentials.Forget(ctx, op.Project)
}

func (s DatabaseStep) available() error {
	if s.Databases == nil {
		return unavailable("set PROVISIONER_PROJECTS_DATABASE_URL")
	}
	return nil
}

// unavailable is that there are no databases, and what to do.
func unavailable(remedy string) error {
	return &StepError{Failure: contract.NewFailure(contract.ClassUser, "databases are not available on this installation: %s", remedy)}
}
