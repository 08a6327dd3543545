package app

import "context"

// The ports of this file are the systems that projects have something in. An adapter marks
// what it makes, there, with the installation and the project, and never changes or removes
// what has no such mark; what is in the way without one is a *StepError of class user that
// names it and says what to do. Every call has its own limit of time, may be repeated
// whatever became of the call before, and finds done what that did. Removing what is not
// there is fine. Verify lists what is not as it should be, in words, and changes nothing.

// Repositories keeps the repositories of projects, on a forge.
type Repositories interface {
	// Plan tells the full name that the repository of a project has, or will have, and why
	// there cannot be one. adopt is the full name of a repository that is there and is to be
	// taken as it is, "" for one of its own.
	Plan(ctx context.Context, slug, adopt string) (name string, err error)
	// Create makes the repository, without a commit, or finds it.
	Create(ctx context.Context, slug, adopt string) (Repository, error)
	// Grant gives the commands of the project a way to read and to write the repository, and
	// nothing else; what was given before is worth nothing any more.
	Grant(ctx context.Context, slug string, r Repository) (Access, error)
	// Head is the newest commit of the repository's branch, "" where there is none, and Read
	// a file as it is at a commit; ok is false where there is none of that path.
	Head(ctx context.Context, r Repository) (commit string, err error)
	Read(ctx context.Context, r Repository, commit, path string) (data []byte, ok bool, err error)
	// Committed is the commit of an operation, among the newest of the branch; "" for none.
	Committed(ctx context.Context, r Repository, operation string) (commit string, err error)
	// Commit writes files in one commit onto the branch, and returns it. Where the branch
	// has a commit of that operation already it returns that. It is a *StepError that is
	// retryable where the branch, or a file, is no longer as at c.Parent.
	Commit(ctx context.Context, r Repository, c Commit) (commit string, err error)
	// Remove takes back what Grant gave, and removes the repository where it is the
	// project's own.
	Remove(ctx context.Context, slug, adopt string) error
	// Release takes the mark off the repository, and what Grant gave: it stays, as somebody
	// else's, and can be adopted again.
	Release(ctx context.Context, slug, adopt string) error
	Verify(ctx context.Context, slug, adopt string) (differences []string, err error)
}

// Repository is a project's repository.
type Repository struct {
	ID       string // on the forge
	Name     string // full, as rdev/shop
	CloneURL string // over HTTP, without a user
	WebURL   string // "" where it has no page
	Branch   string // main
}

// Access is a way into a repository: a user with a token, over HTTP, or a key, over SSH.
type Access struct {
	User, Token string
	SSHURL, Key string // the private key, in the format of OpenSSH
}

// Commit is files that go into a repository together.
type Commit struct {
	Operation string // goes into the message, as the trailer Rdev-Operation
	Message   string
	Parent    string // what the files were made for; "" for the first commit
	Files     map[string]CommitFile
}

// CommitFile is a file of a commit, by its path with slashes.
type CommitFile struct {
	Data       []byte
	Executable bool // a forge may have no way to say so
}

// CI runs the pipelines of repositories.
type CI interface {
	// Plan tells why the CI cannot be used, as that its token is no longer taken.
	Plan(ctx context.Context) error
	// Known tells whether the CI has a repository of a name already, and why it cannot be taken
	// as it is.
	Known(ctx context.Context, name string) (bool, error)
	// Activate has pipelines run for it, and gives it secrets.
	Activate(ctx context.Context, r Repository, secrets map[string]string) (CIRepository, error)
	// Remove ends that, also where the repository is gone. Release takes the secrets back alone.
	Remove(ctx context.Context, r Repository) error
	Release(ctx context.Context, r Repository) error
	Verify(ctx context.Context, r Repository, secrets []string) (differences []string, err error)
}

// CIRepository is a repository as the CI knows it.
type CIRepository struct {
	ID  string
	URL string // of its page
}

// DNS keeps the records of hosts.
type DNS interface {
	// Zone tells whether a host is in a zone in which records can be made.
	Zone(host string) bool
	// Plan tells what record a host of a project has, or will have, and why there cannot be
	// one.
	Plan(ctx context.Context, slug, host string) (what string, err error)
	// Create makes the record, or completes what is there of it, so that the host leads to
	// where projects are reached.
	Create(ctx context.Context, slug, host string) (record string, err error)
	Remove(ctx context.Context, slug, host string) error
	Verify(ctx context.Context, slug, host string) (differences []string, err error)
}

// Caches keeps the caches of projects, on a server of the operator's: each is a user who
// sees the keys with one prefix.
type Caches interface {
	Plan(ctx context.Context, slug string) (name string, err error)
	// Create lets the project's user in with the password, and with no other, and tries
	// that. Whoever is connected with another one is put out.
	Create(ctx context.Context, slug, password string) (Cache, error)
	// Known tells whether the server has the user as Create made it with the password.
	Known(ctx context.Context, slug, password string) (bool, error)
	// Drop removes the user, and all keys with the prefix.
	Drop(ctx context.Context, slug string) error
	Verify(ctx context.Context, slug string) (differences []string, err error)
}

// Cache is a project's cache, and how its user reaches it.
type Cache struct {
	User   string
	Prefix string // of its keys and channels, with the delimiter
	Host   string // host:port
	URL    string // has the password
}

// Routes leads what comes in for a host to the project's workspace, where a program of the
// project listens on its port.
type Routes interface {
	// Plan tells what a route of a host will be called, and why there cannot be one.
	Plan(ctx context.Context, slug, host string) (what string, err error)
	// Create makes the route, and tells the URL.
	Create(ctx context.Context, slug, host string) (url string, err error)
	Remove(ctx context.Context, slug, host string) error
	Verify(ctx context.Context, slug, host string) (differences []string, err error)
}
