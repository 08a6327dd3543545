// Package runner is rdev-runner: it runs programs next to a workspace so that
// their output and exit status outlive every connection and every executor.
// Each subcommand works on the state directory of the workspace, in a process of
// its own or, all that come over one connection, in that of serve; the supervisor
// of a run is the only one that stays.
package runner

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"golang.org/x/sys/unix"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/confine"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/supervise"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Main carries out the subcommand of a command line without the program's name
// and returns the exit code. It prints one line of JSON, a wire.Reply; attach and
// collect send frames instead, the last of which holds the reply, for as long as their
// standard input is open: that is how they learn that their caller has gone. serve
// carries out the others for as long as its own is open. idle prints nothing: it
// is what a container of a project does by itself.
func Main(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	command := ""
	if len(args) > 0 {
		command = args[0]
	}
	switch command {
	case confine.NothingCommand:
		return 0
	case "idle":
		return complain(stderr, idle(ctx))
	case confine.GuardCommand:
		return complain(stderr, confine.RunGuard())
	case superviseCommand:
		c, err := parse(args)
		if err == nil {
			err = supervised(c)
		}
		return complain(stderr, err)
	case "serve":
		return complain(stderr, serve(ctx, stdin, stdout, stderr))
	}
	return carryOut(ctx, args, stdin, stdout, stderr)
}

// serve carries out what comes over its standard streams.
func serve(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) error {
	// What it is told holds secrets, and the programs of the workspace are the same user.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	conn := struct {
		io.Reader
		io.Writer
		io.Closer
	}{stdin, stdout, io.NopCloser(nil)}
	return session.Serve(ctx, conn, func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) {
		carryOut(ctx, args, stdin, stdout, stderr)
	})
}

// carryOut carries out a subcommand that a caller may give, and returns its exit
// code.
func carryOut(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) > 0 && (args[0] == "attach" || args[0] == "collect") {
		c, err := parse(args)
		switch {
		case err != nil:
		case args[0] == "attach":
			err = attach(ctx, c, stdin, stdout)
		default:
			err = collect(ctx, c, stdin, stdout)
		}
		if errors.Is(err, errCallerGone) {
			return 0 // and would take any last word for an answer to something else
		}
		if reply := refusal(err); reply.Fault != "" {
			_ = wire.SendEnd(stdout, reply) // a caller that went just now cannot be told
			return reply.Fault.ExitCode()
		}
		return 0
	}
	reply, err := short(ctx, args, stdin)
	if err != nil {
		reply = refusal(err)
	}
	if err := json.NewEncoder(stdout).Encode(reply); err != nil {
		return complain(stderr, err)
	}
	return reply.Fault.ExitCode()
}

// short carries out the subcommands that answer with one line.
func short(ctx context.Context, args []string, stdin io.Reader) (wire.Reply, error) {
	if len(args) > 0 && args[0] == "probe" {
		probe := confine.Probe()
		return wire.Reply{Probe: &probe}, nil
	}
	c, err := parse(args)
	if err != nil {
		return wire.Reply{}, err
	}
	switch args[0] {
	case "prepare":
		return prepare(ctx, c)
	case "place":
		return wire.Reply{}, place(c, stdin)
	case "start":
		return start(ctx, c, stdin)
	case "adopt":
		return wire.Reply{}, adopt(ctx, c)
	case "cancel":
		return wire.Reply{}, cancel(ctx, c)
	case "input":
		return sendInput(c, stdin)
	case "list":
		return list(c)
	case "clean":
		return wire.Reply{}, clean(ctx, c)
	default:
		return wire.Reply{}, fmt.Errorf("%w: unknown subcommand %q", errInvalid, args[0])
	}
}

// call is a parsed command line.
type call struct {
	root  *store.Root
	path  string // of root
	id    string
	token uint64
	from  int64
	grace time.Duration
	end   bool // close the input
	empty []string
	make  []string
	dir   string // the home
	at    domain.Placing
}

var errInvalid = errors.New("invalid arguments")

func parse(args []string) (*call, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("%w: no subcommand", errInvalid)
	}
	c := &call{}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&c.path, "root", "", "state directory of the workspace")
	flags.StringVar(&c.id, "run", "", "ID of the run")
	flags.Uint64Var(&c.token, "token", 0, "fencing token of the caller")
	flags.Int64Var(&c.from, "from", 0, "position in the spool to attach from")
	flags.DurationVar(&c.grace, "grace", 0, "time between TERM and KILL")
	flags.BoolVar(&c.end, "close", false, "close the input after this")
	flags.Func("empty", "directory that is emptied, where nothing newer holds the workspace", func(dir string) error {
		c.empty = append(c.empty, dir)
		return nil
	})
	flags.Func("make", "directory that is made where it is missing", func(dir string) error {
		c.make = append(c.make, dir)
		return nil
	})
	flags.StringVar(&c.dir, "dir", "", "directory below which files are placed")
	flags.StringVar(&c.at.At, "at", ".", "where, relative to it")
	flags.StringVar((*string)(&c.at.Form), "form", "", "what comes: file, tar or tar.zst")
	flags.BoolVar(&c.at.Exec, "exec", false, "the file may be carried out")
	flags.Func("only", "path that is taken of a tar file", func(path string) error {
		c.at.Only = append(c.at.Only, path)
		return nil
	})
	flags.Int64Var(&c.at.Limit, "limit", 0, "bytes of all files")
	if err := flags.Parse(args[1:]); err != nil {
		return nil, fmt.Errorf("%w: %w", errInvalid, err)
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("%w: %q", errInvalid, flags.Args())
	}
	root, err := store.Open(c.path)
	if err != nil {
		return nil, err
	}
	c.root = root
	return c, nil
}

// refusal is what a caller is told of an error.
func refusal(err error) wire.Reply {
	if err == nil {
		return wire.Reply{}
	}
	reply := wire.Reply{Fault: wire.FaultInternal, Message: err.Error()}
	if broken, ok := errors.AsType[*domain.FilesError](err); ok {
		return wire.Reply{Fault: wire.FaultFiles, Message: broken.Reason}
	}
	switch {
	case errors.Is(err, errStale):
		reply.Fault = wire.FaultStaleToken
	case errors.Is(err, store.ErrNoRun):
		reply.Fault = wire.FaultNoRun
	case errors.Is(err, errRunning):
		reply.Fault = wire.FaultRunning
	case errors.Is(err, errNotPrepared):
		reply.Fault = wire.FaultNotPrepared
	case errors.Is(err, errInputClosed):
		reply.Fault = wire.FaultInputClosed
	case errors.Is(err, errInvalid), errors.Is(err, store.ErrInvalidID), errors.Is(err, store.ErrRelative), errors.Is(err, errNoFrame):
		reply.Fault = wire.FaultInvalid
	}
	return reply
}

func supervised(c *call) error {
	run, err := c.root.Run(c.id)
	if err != nil {
		return err
	}
	return supervise.Run(run)
}

func complain(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	// There is nobody else to tell.
	_, _ = io.WriteString(stderr, "rdev-runner: "+err.Error()+"\n")
	return wire.FaultInternal.ExitCode()
}
