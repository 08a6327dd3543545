// Package app is what the executor does: it takes an operation, has its command
// run where its project is, passes on what that prints, and tells how it ended.
//
// The rule to know: nothing that it holds in memory matters. An executor may die
// at any line; the next one goes on from the log, the output and the spool.
package app

import (
	"context"
	"io"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// Operations is the log of operations, and the log is the truth.
type Operations interface {
	// Load reads the operation as it is now, or contract.ErrNotFound.
	Load(ctx context.Context, id string) (contract.Operation, error)
	// Update loads the operation, appends the event that decide makes of it and
	// returns the operation after it; a nil change leaves it as it is. Where
	// another writer was first it loads and asks again, so decide must have no
	// effects of its own.
	Update(ctx context.Context, id string, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error)
	// Amend is Update for who knows the operation as it was a moment ago.
	Amend(ctx context.Context, known contract.Operation, decide func(contract.Operation) (contract.Change, error)) (contract.Operation, error)
}

// Projects tells where commands may run.
type Projects interface {
	// Project reads a project as it is now, or contract.ErrNotFound.
	Project(ctx context.Context, slug string) (contract.Project, error)
}

// Workers tells where work may run.
type Workers interface {
	// Worker reads a worker as it is now, or contract.ErrNotFound.
	Worker(ctx context.Context, id string) (contract.Worker, error)
}

// Signals are hints to look at an operation: speed, while the
// heartbeat is the guarantee.
type Signals interface {
	// OnSignal calls hear for every signal until ctx is done.
	OnSignal(ctx context.Context, id string, hear func()) error
}

// Output keeps what a run prints. Chunks of one operation are written in order
// by one writer at a time; a writer that was replaced gets contract.ErrFenced.
type Output interface {
	// OpenOutput finds where the output of an operation stands.
	OpenOutput(ctx context.Context, op contract.Operation) (OutputWriter, error)
}

// OutputWriter appends chunks to the output of one operation.
type OutputWriter interface {
	// Cursor is where another executor went no further: what the last chunk that
	// is stored says, 0 where there is none.
	Cursor() int64
	// Write stores a chunk. It returns when the chunk is stored.
	Write(ctx context.Context, chunk contract.Chunk) error
}

// Vault holds the secrets that commands name.
type Vault interface {
	// Open tells the values that the command of an operation names, by name. Its
	// error is a *contract.Error where the vault answered: with CONFLICT where the
	// operation is not running under that attempt.
	Open(ctx context.Context, op contract.Operation) (map[string]string, error)
}

// Runtime runs programs in projects' workspaces under rdev-runner, which keeps
// their output and exit status whatever becomes of the executor.
type Runtime interface {
	// Start starts a run. A run with the same ID and token that is there already
	// is left as it is, so a repeated Start is harmless. A run that holds the
	// workspace with an older token is killed first, whichever operation it
	// belongs to; where a newer token holds it, the error is domain.ErrStaleToken.
	Start(ctx context.Context, run domain.RunSpec) error
	// Adopt gives a run that an earlier attempt started a newer token, so that
	// the earlier attempt can do nothing to it any more. domain.ErrNoRun where it
	// certainly never started and, with the newer token known, never will.
	Adopt(ctx context.Context, ref domain.RunRef) error
	// Attach follows the spool from a position on until the run has ended and
	// all of it was read, or emit or ctx ends it. It returns how the run ended.
	// A connection that is cut is made again inside.
	Attach(ctx context.Context, ref domain.RunRef, from int64, emit func(domain.Frame) error) (domain.Exit, error)
	// Input writes to the standard input of a run, and closes it.
	Input(ctx context.Context, ref domain.RunRef, data []byte, closeAfter bool) error
	// Cancel ends the run by the ladder: TERM to the group, after grace KILL,
	// then whatever was left behind. It returns when nothing of it lives, and is
	// harmless where the run has ended.
	Cancel(ctx context.Context, ref domain.RunRef, grace time.Duration) error
	// List tells the runs of a project that still have something on disk.
	List(ctx context.Context, project contract.Project) ([]domain.RunRef, error)
	// Clean removes what is kept of an ended run, and what was prepared for one that never
	// started.
	Clean(ctx context.Context, ref domain.RunRef) error

	RunFiles
}

// RunFiles is how files come into the place of a fresh run before it starts, and out of
// it when it has ended. An older token gets domain.ErrStaleToken, and a connection that
// is cut is made again inside: whatever was to be read or taken is from its start.
type RunFiles interface {
	// Prepare has the place to itself and empties it, as Start does, which then leaves
	// what was placed. A second one of the same token changes nothing.
	Prepare(ctx context.Context, ref domain.RunRef) error
	// Place puts the files that open opens below the home of a run that was prepared and
	// has not started: all of them or, with a *domain.FilesError, none. What open and its
	// stream return as an error is returned.
	Place(ctx context.Context, ref domain.RunRef, at domain.Placing, open func(context.Context) (io.ReadCloser, error)) error
	// Artifacts has take read the files of the workspace that patterns match, in the order
	// of their paths. They are whole, and all, only where Artifacts returns no error: a
	// *domain.FilesError where they cannot be kept, as where a pattern matches nothing.
	Artifacts(ctx context.Context, ref domain.RunRef, patterns []string, take func(domain.Kept, io.Reader) error) error
	// Cache has take read what there is of some paths of the home, in the form
	// domain.FormTarZstd. It is whole only where take read its end.
	Cache(ctx context.Context, ref domain.RunRef, paths []string, take func(io.Reader) error) error
}

// Files is the store of files.
type Files interface {
	// Put stores all of a stream under a key, in place of what is there.
	Put(ctx context.Context, key string, r io.Reader) (size int64, digest string, err error)
	// PutByDigest stores all of a stream under prefix/ and the hexadecimal digits of its
	// digest.
	PutByDigest(ctx context.Context, prefix string, r io.Reader) (size int64, digest string, err error)
	// Get opens what is stored under a key, or returns contract.ErrNotFound.
	Get(ctx context.Context, key string) (body io.ReadCloser, size int64, err error)
}
