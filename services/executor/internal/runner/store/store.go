// Package store is the state directory of a workspace's runs. It lives on the
// same volume as the workspace, so it outlives every process that uses it.
//
//	ROOT/lock              held while tokens are checked and written
//	ROOT/token             the newest token that held the workspace
//	ROOT/prepared          Prepared: the run whose files may be put in place
//	ROOT/incoming-*        files on their way there
//	ROOT/runs/ID/run       Record: token and mark
//	ROOT/runs/ID/alive     locked by the supervisor for as long as it lives
//	ROOT/runs/ID/process   Process: what the supervisor started
//	ROOT/runs/ID/spool     the output, see package wire
//	ROOT/runs/ID/status    how it ended; where it is missing nobody knows
//	ROOT/runs/ID/reserve   room for the status on a full disk
//	ROOT/runs/ID/control   the supervisor's socket
package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Errors of the store.
var (
	// ErrNoRun is returned for a run that has no directory.
	ErrNoRun = errors.New("no such run")
	// ErrRelative is returned for a state directory whose path is not absolute.
	ErrRelative = errors.New("path of state directory is not absolute")
	// ErrInvalidID is returned for an ID that cannot be the name of a directory.
	ErrInvalidID = errors.New("invalid run id")
)

// validID tells whether an ID can be the name of a directory.
func validID(id string) bool {
	const first, rest = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "._-"
	return id != "" && len(id) <= 128 && strings.ContainsRune(first, rune(id[0])) && strings.Trim(id, first+rest) == ""
}

// Root is the state directory of one workspace.
type Root struct{ dir string }

// Open opens a state directory, which is made where it does not exist.
func Open(dir string) (*Root, error) {
	if !filepath.IsAbs(dir) {
		return nil, fmt.Errorf("%w: %q", ErrRelative, dir)
	}
	if err := os.MkdirAll(filepath.Join(dir, "runs"), 0o700); err != nil {
		return nil, fmt.Errorf("open state directory: %w", err)
	}
	return &Root{dir: dir}, nil
}

// Lock waits until no other process holds the workspace's lock and holds it
// until release is called or this process ends.
func (r *Root) Lock() (release func(), err error) {
	file, err := os.OpenFile(filepath.Join(r.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock workspace: %w", err)
	}
	if err := flock(file, unix.LOCK_EX); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock workspace: %w", err)
	}
	return func() { _ = file.Close() }, nil
}

// Token is the newest token that held the workspace, 0 where none did.
func (r *Root) Token() (uint64, error) {
	text, err := os.ReadFile(filepath.Join(r.dir, "token"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read token: %w", err)
	}
	token, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read token: %w", err)
	}
	return token, nil
}

// SetToken records a token. It is on the disk when SetToken returns.
func (r *Root) SetToken(token uint64) error {
	dir, err := os.OpenRoot(r.dir)
	if err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	defer dir.Close()
	if err := replace(dir, "token", fmt.Appendf(nil, "%d\n", token)); err != nil {
		return fmt.Errorf("write token: %w", err)
	}
	return nil
}

// Run opens a run. The caller closes it.
func (r *Root) Run(id string) (*Run, error) {
	if !validID(id) {
		return nil, fmt.Errorf("%w: %q", ErrInvalidID, id)
	}
	return openRun(filepath.Join(r.dir, "runs", id), id)
}

// Runs opens every run that has a record. The caller closes them.
func (r *Root) Runs() ([]*Run, error) {
	entries, err := os.ReadDir(filepath.Join(r.dir, "runs"))
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	var runs []*Run
	for _, entry := range entries {
		run, err := r.Run(entry.Name())
		if errors.Is(err, ErrNoRun) || errors.Is(err, ErrInvalidID) {
			continue
		}
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

// Create makes the directory of a run in place of what is there of that ID, and
// returns the file alive, locked: the run lives for as long as it is open
// anywhere.
func (r *Root) Create(id string, token uint64) (*Run, *os.File, error) {
	if !validID(id) {
		return nil, nil, fmt.Errorf("%w: %q", ErrInvalidID, id)
	}
	path := filepath.Join(r.dir, "runs", id)
	if err := r.Remove(id); err != nil {
		return nil, nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, nil, fmt.Errorf("create run %s: %w", id, err)
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, nil, fmt.Errorf("create run %s: %w", id, err)
	}
	run := &Run{ID: id, dir: dir, Record: Record{
		Token: token, Mark: id + "." + strconv.FormatUint(token, 10) + "." + rand.Text(), Key: rand.Text(),
		CreatedAt: time.Now().UTC(),
	}}
	alive, err := run.prepare()
	if err != nil {
		_ = run.Close()
		return nil, nil, fmt.Errorf("create run %s: %w", id, err)
	}
	return run, alive, nil
}

// Remove removes all that is kept of a run. It is not there any more, or still
// whole, should the machine go down in between.
func (r *Root) Remove(id string) error {
	path, gone := filepath.Join(r.dir, "runs", id), filepath.Join(r.dir, "gone-"+rand.Text())
	if err := os.Rename(path, gone); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove run %s: %w", id, err)
	}
	return nil
}
