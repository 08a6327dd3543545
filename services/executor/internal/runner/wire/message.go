package wire

import (
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// Spec is a program to run, as start reads it from its standard input.
type Spec struct {
	Argv      []string `json:"argv"`
	Workspace string   `json:"workspace"`     // absolute
	Dir       string   `json:"dir,omitempty"` // relative to the workspace
	Env       []string `json:"env,omitempty"` // all of it: nothing is inherited
	// Make are directories that are made where they are missing, mode 0700.
	Make []string `json:"make,omitempty"`
	// Empty are directories that hold nothing when the program starts, but for what was
	// placed there. Where there are any, other runs of the workspace are forgotten, too.
	Empty     []string `json:"empty,omitempty"`
	Stdin     []byte   `json:"stdin,omitempty"`
	KeepStdin bool     `json:"keep_stdin,omitempty"`
	// SpoolLimit is the size of the spool in bytes above which output is read
	// and dropped, DefaultSpoolLimit where 0. Status.Dropped tells.
	SpoolLimit int64        `json:"spool_limit,omitempty"`
	Confine    *Confinement `json:"confine,omitempty"`
}

// DefaultSpoolLimit is the size of a spool in bytes where a Spec names none.
const DefaultSpoolLimit = 1 << 30

// Confinement is what a program is kept from.
type Confinement struct {
	// Namespaces gives it a user and a PID namespace of its own.
	Namespaces bool `json:"namespaces,omitempty"`
	// Files confines it to the directories Read and Write by Landlock.
	Files bool     `json:"files,omitempty"`
	Read  []string `json:"read,omitempty"`
	Write []string `json:"write,omitempty"`
}

// Status is how a run ended, as its supervisor or a later caller recorded it.
type Status struct {
	Known      bool      `json:"known"`
	Code       int       `json:"code"`
	Signal     string    `json:"signal,omitempty"`
	Cancelled  bool      `json:"cancelled,omitempty"`
	Leftovers  int       `json:"leftovers,omitempty"`
	StartError string    `json:"start_error,omitempty"`
	Error      string    `json:"error,omitempty"`
	Dropped    int64     `json:"dropped,omitempty"`
	StartedAt  time.Time `json:"started_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
}

// Exit is the status in the executor's terms.
func (s Status) Exit() domain.Exit {
	return domain.Exit{
		Known: s.Known, Code: s.Code, Signal: s.Signal, Cancelled: s.Cancelled, Leftovers: s.Leftovers,
		StartError: s.StartError, Error: s.Error, Dropped: s.Dropped, StartedAt: s.StartedAt, EndedAt: s.EndedAt,
	}
}

// Fault is why the runner refused, in words that programs compare.
type Fault string

// The faults of a runner.
const (
	FaultStaleToken  Fault = "stale_token"
	FaultNoRun       Fault = "no_run"
	FaultRunning     Fault = "running"      // clean of a run that lives
	FaultInputClosed Fault = "input_closed" // input to a run that reads none
	FaultNotPrepared Fault = "not_prepared" // place for a run that has started, or was not prepared
	FaultFiles       Fault = "files"        // files that cannot be placed or collected as they are
	FaultInvalid     Fault = "invalid"      // arguments that can never work
	FaultInternal    Fault = "internal"
)

// ExitCode is what a runner that replies with the fault exits with.
func (f Fault) ExitCode() int {
	switch f {
	case "":
		return 0
	case FaultInvalid:
		return 2
	case FaultStaleToken:
		return 3
	case FaultNoRun:
		return 4
	case FaultRunning:
		return 5
	case FaultInputClosed:
		return 6
	case FaultNotPrepared:
		return 7
	case FaultFiles:
		return 8
	default:
		return 1
	}
}

// Reply is the one line that a subcommand prints, and the end of what attach sends.
type Reply struct {
	Fault    Fault   `json:"fault,omitempty"`
	Message  string  `json:"message,omitempty"`
	Existing bool    `json:"existing,omitempty"` // start: it was there already
	Status   *Status `json:"status,omitempty"`   // attach: how the run ended
	Runs     []Run   `json:"runs,omitempty"`     // list
	Probe    *Probe  `json:"probe,omitempty"`    // probe
}

// Selection is what to collect, as collect reads it from its standard input.
type Selection struct {
	Dir   string   `json:"dir"`   // absolute: the workspace, or for a cache the home
	Paths []string `json:"paths"` // relative to it: the patterns of artifacts, or the paths of a cache
	Cache bool     `json:"cache,omitempty"`
	Most  int      `json:"most,omitempty"` // artifacts
	Limit int64    `json:"limit"`          // bytes
}

// Run is a run as list tells it.
type Run struct {
	ID    string `json:"id"`
	Token uint64 `json:"token"`
	Ended bool   `json:"ended"`
}

// Probe is what the kernel offers to confine a program with.
type Probe struct {
	LandlockABI int    `json:"landlock_abi"` // 0 where there is none
	Namespaces  bool   `json:"namespaces"`   // user and PID namespaces can be made
	Why         string `json:"why,omitempty"`
	Root        bool   `json:"root"` // rdev runs as root
}
