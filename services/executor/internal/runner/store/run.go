package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Record is what is known of a run before it starts.
type Record struct {
	Token     uint64    `json:"token"`
	Mark      string    `json:"mark"` // value of RDEV_RUN in the environment of its processes
	Key       string    `json:"key"`  // who can read it may give the supervisor orders
	CreatedAt time.Time `json:"created_at"`
}

// Process is what a supervisor started.
type Process struct {
	Where     string    `json:"where"` // the boot and PID namespace that the PIDs belong to
	StartedAt time.Time `json:"started_at"`
	// Supervisor and Guard are PIDs; the clock ticks since boot at which they
	// started tell them from others with the same.
	Supervisor      int    `json:"supervisor"`
	SupervisorStart uint64 `json:"supervisor_start"`
	Guard           int    `json:"guard"`
	GuardStart      uint64 `json:"guard_start"`
}

// reserveSize is the room that is kept for a status, in bytes.
const reserveSize = 4 << 10

// Run is the directory of a run. It stays the same directory when another takes
// its place.
type Run struct {
	ID     string
	Record Record
	dir    *os.Root
}

func openRun(path, id string) (*Run, error) {
	dir, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s", ErrNoRun, id)
	}
	if err != nil {
		return nil, fmt.Errorf("open run %s: %w", id, err)
	}
	run := &Run{ID: id, dir: dir}
	found, err := run.read("run", &run.Record)
	if err == nil && !found {
		err = ErrNoRun
	}
	if err != nil {
		_ = dir.Close()
		return nil, fmt.Errorf("open run %s: %w", id, err)
	}
	return run, nil
}

// prepare makes the files that a run begins with; its record is the last.
func (r *Run) prepare() (*os.File, error) {
	if err := r.dir.WriteFile("reserve", make([]byte, reserveSize), 0o600); err != nil {
		return nil, err
	}
	if err := r.dir.WriteFile("spool", nil, 0o600); err != nil {
		return nil, err
	}
	alive, err := r.dir.OpenFile("alive", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(alive, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = alive.Close()
		return nil, err
	}
	if err := r.write("run", r.Record); err != nil {
		_ = alive.Close()
		return nil, err
	}
	return alive, nil
}

// Close releases the directory.
func (r *Run) Close() error { return r.dir.Close() }

// SetToken gives the run a newer token. It is on the disk when SetToken returns.
func (r *Run) SetToken(token uint64) error {
	r.Record.Token = token
	return r.write("run", r.Record)
}

// Process reads what the supervisor started; nil where it did not get there.
func (r *Run) Process() (*Process, error) {
	var process Process
	found, err := r.read("process", &process)
	if err != nil || !found {
		return nil, err
	}
	return &process, nil
}

// SetProcess records what the supervisor started.
func (r *Run) SetProcess(process Process) error { return r.write("process", process) }

// Status reads how the run ended; nil where that is not recorded.
func (r *Run) Status() (*wire.Status, error) {
	var status wire.Status
	found, err := r.read("status", &status)
	if err != nil || !found {
		return nil, err
	}
	return &status, nil
}

// SetStatus records how the run ended, in room that was set aside for it.
func (r *Run) SetStatus(status wire.Status) error {
	text, err := json.Marshal(status)
	if err != nil {
		return fmt.Errorf("write status of run %s: %w", r.ID, err)
	}
	file, err := r.dir.OpenFile("reserve", os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write status of run %s: %w", r.ID, err)
	}
	defer file.Close()
	if _, err := file.Write(text); err != nil {
		return fmt.Errorf("write status of run %s: %w", r.ID, err)
	}
	if err := file.Truncate(int64(len(text))); err != nil {
		return fmt.Errorf("write status of run %s: %w", r.ID, err)
	}
	if err := publish(r.dir, file, "reserve", "status"); err != nil {
		return fmt.Errorf("write status of run %s: %w", r.ID, err)
	}
	return nil
}

// AppendSpool opens the spool to append to it.
func (r *Run) AppendSpool() (*os.File, error) {
	return r.dir.OpenFile("spool", os.O_WRONLY|os.O_APPEND, 0)
}

// ReadSpool opens the spool to read it.
func (r *Run) ReadSpool() (*os.File, error) { return r.dir.Open("spool") }

// Handle opens the directory itself.
func (r *Run) Handle() (*os.File, error) { return r.dir.Open(".") }

// Alive opens the file that the supervisor holds locked.
func (r *Run) Alive() (*Alive, error) {
	file, err := r.dir.OpenFile("alive", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("look after run %s: %w", r.ID, err)
	}
	return &Alive{file: file}, nil
}

// Listen makes the supervisor's socket. The path goes through a descriptor of
// the directory, as that of a socket is limited to 108 bytes.
func (r *Run) Listen() (*net.UnixListener, error) {
	dir, err := r.Handle()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	listener, err := net.ListenUnix("unix", socketAddress(dir))
	if err != nil {
		return nil, err
	}
	// The path means something else when dir is closed.
	listener.SetUnlinkOnClose(false)
	return listener, nil
}

// Dial connects to the supervisor's socket.
func (r *Run) Dial() (*net.UnixConn, error) {
	dir, err := r.Handle()
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return net.DialUnix("unix", nil, socketAddress(dir))
}

func socketAddress(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/control", dir.Fd())}
}

func (r *Run) read(name string, into any) (bool, error) {
	file, err := r.dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read %s of run %s: %w", name, r.ID, err)
	}
	defer file.Close()
	text, err := io.ReadAll(file)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s of run %s: %w", name, r.ID, err)
	}
	return true, nil
}

func (r *Run) write(name string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = replace(r.dir, name, text)
	}
	if err != nil {
		return fmt.Errorf("write %s of run %s: %w", name, r.ID, err)
	}
	return nil
}
