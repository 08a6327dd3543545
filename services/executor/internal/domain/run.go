// Package domain holds the executor's own rules: what a run is, and what its
// end means.
package domain

import (
	"errors"
	"path"
	"time"
)

// Errors of a runtime.
var (
	// ErrNoRun is returned for a run that left nothing behind.
	ErrNoRun = errors.New("no such run")
	// ErrStaleToken is returned to the holder of a token that a newer one replaced.
	ErrStaleToken = errors.New("a newer attempt holds the workspace")
	// ErrInputClosed is returned for input to a run that has ended, was started
	// without KeepStdin, or whose input was closed before.
	ErrInputClosed = errors.New("the run takes no input")
)

// RunRef names a run.
type RunRef struct {
	Project   string // slug
	Worker    string // where work runs; commands run where their project is
	Workspace string // where its files are, in the terms of the runtime
	// Fresh is true where the workspace is the run's alone: nothing is in it, or in the
	// other directories that a program may write to, before it starts or once it is
	// cleaned.
	Fresh bool
	ID    string // the operation
	// Token is the sequence of the running event that started or adopted it. The
	// newest token wins; a runtime refuses older ones.
	Token uint64
}

// RunSpec is a program to run. Env and Stdin travel over the runner's standard
// input, never over an argument list.
type RunSpec struct {
	RunRef
	Argv []string
	Dir  string   // relative to the workspace
	Env  []string // KEY=value, added to the runtime's own
	// Stdin is written to the program, which then sees the end of it unless
	// KeepStdin holds it open for Input.
	Stdin     []byte
	KeepStdin bool
}

// Stream is where output came from.
type Stream byte

// The streams of a run.
const (
	Stdout Stream = 1
	Stderr Stream = 2
)

// Frame is a piece of output as the runner read it.
type Frame struct {
	Stream Stream
	Time   time.Time
	Data   []byte
	// Offset is the number of bytes of this stream before Data.
	Offset int64
	// Next is the position in the spool after this frame, to attach from.
	Next int64
}

// Exit is how a run ended.
type Exit struct {
	// Known is false where the runner left no status: it was killed itself, or
	// the machine went down. Code and Signal say nothing then.
	Known  bool
	Code   int    // -1 where a signal ended it
	Signal string // "SIGKILL", "" where it exited
	// Cancelled is true where the cancel ladder was used on it.
	Cancelled bool
	// Leftovers is the number of processes that outlived the program and were killed.
	Leftovers int
	// StartError is set where the program could not be started at all.
	StartError string
	// Error is set where the runner had to end the program: its output could not
	// be stored, as on a full disk.
	Error string
	// Dropped is the number of bytes of output that were beyond the spool's limit.
	Dropped   int64
	StartedAt time.Time
	EndedAt   time.Time
}

// RefusedError is returned by a runtime that will not run a command here at
// all, as where it cannot confine it, or where the place that it ran in is gone.
// Another try would end the same.
type RefusedError struct{ Reason string }

// Error implements error.
func (e *RefusedError) Error() string { return e.Reason }

// HomeOf is the home directory of a project's runs, beside its workspace.
func HomeOf(workspace string) string {
	return path.Join(path.Dir(workspace), ".rdev", path.Base(workspace), "home")
}
