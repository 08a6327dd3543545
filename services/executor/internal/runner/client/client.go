// Package client drives rdev-runner from afar: it is a runtime for whoever can
// carry out the runner's command line next to the workspace.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// Exec carries out rdev-runner with arguments, those streams, and nothing of
// this process's environment. It returns nil when the runner has ended, whatever
// its exit code, and an error where that is not known. Cancelling ctx ends it.
type Exec func(ctx context.Context, args []string, stdin io.Reader, stdout io.Writer) error

// ErrRunner is wrapped by what a runner refuses for reasons of its own.
var ErrRunner = errors.New("runner")

const (
	// replyWithin is how long a short subcommand may take, beyond any grace: a
	// connection that is lost may never tell.
	replyWithin = 20 * time.Second
	// tries is how often a subcommand is carried out that had no reply. All but
	// input may be carried out twice.
	tries = 6
)

// Client drives the runner of one workspace.
type Client struct {
	exec Exec
	root string
}

// New drives the runner whose state directory is root, as the runner sees it.
func New(exec Exec, root string) *Client { return &Client{exec: exec, root: root} }

// Start starts a run. See app.Runtime.
func (c *Client) Start(ctx context.Context, ref domain.RunRef, spec wire.Spec) error {
	text, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("start run %s: %w", ref.ID, err)
	}
	_, err = c.call(ctx, tries, replyWithin, c.args("start", ref), text)
	return err
}

// Adopt gives a run a newer token. See app.Runtime.
func (c *Client) Adopt(ctx context.Context, ref domain.RunRef) error {
	_, err := c.call(ctx, tries, replyWithin, c.args("adopt", ref), nil)
	return err
}

// Input writes to a run's standard input. See app.Runtime.
func (c *Client) Input(ctx context.Context, ref domain.RunRef, data []byte, closeAfter bool) error {
	args := c.args("input", ref)
	if closeAfter {
		args = append(args, "-close")
	}
	_, err := c.call(ctx, 1, replyWithin, args, data)
	return err
}

// Cancel ends a run. See app.Runtime.
func (c *Client) Cancel(ctx context.Context, ref domain.RunRef, grace time.Duration) error {
	_, err := c.call(ctx, tries, replyWithin+grace, append(c.args("cancel", ref), "-grace", grace.String()), nil)
	return err
}

// List tells the runs of the workspace, whose project and path are those of like.
func (c *Client) List(ctx context.Context, like domain.RunRef) ([]domain.RunRef, error) {
	reply, err := c.call(ctx, tries, replyWithin, []string{"list", "-root", c.root}, nil)
	if err != nil {
		return nil, err
	}
	refs := make([]domain.RunRef, 0, len(reply.Runs))
	for _, run := range reply.Runs {
		like.ID, like.Token = run.ID, run.Token
		refs = append(refs, like)
	}
	return refs, nil
}

// Prepare has some directories made and emptied for a run that has files. See app.Runtime.
func (c *Client) Prepare(ctx context.Context, ref domain.RunRef, made, empty []string) error {
	args := c.args("prepare", ref)
	for _, dir := range made {
		args = append(args, "-make", dir)
	}
	for _, dir := range empty {
		args = append(args, "-empty", dir)
	}
	_, err := c.call(ctx, tries, replyWithin, args, nil)
	return err
}

// Clean removes what is kept of an ended run, and what is in some directories. See
// app.Runtime.
func (c *Client) Clean(ctx context.Context, ref domain.RunRef, empty []string) error {
	args := c.args("clean", ref)
	for _, dir := range empty {
		args = append(args, "-empty", dir)
	}
	_, err := c.call(ctx, tries, replyWithin, args, nil)
	return err
}

// Probe asks the runner what its kernel offers.
func (c *Client) Probe(ctx context.Context) (wire.Probe, error) {
	reply, err := c.call(ctx, tries, replyWithin, []string{"probe"}, nil)
	if err == nil && reply.Probe == nil {
		err = fmt.Errorf("%w: probe: no answer", ErrRunner)
	}
	if err != nil {
		return wire.Probe{}, err
	}
	return *reply.Probe, nil
}

func (c *Client) args(command string, ref domain.RunRef) []string {
	return []string{command, "-root", c.root, "-run", ref.ID, "-token", strconv.FormatUint(ref.Token, 10)}
}

// call carries out a short subcommand and reads its reply. Where none comes, it
// is carried out again.
func (c *Client) call(ctx context.Context, tries int, within time.Duration, args []string, stdin []byte) (wire.Reply, error) {
	var reply wire.Reply
	err := again(ctx, tries, args, func() (bool, error) {
		var err error
		if reply, err = c.callOnce(ctx, within, args, stdin); err != nil {
			return false, err
		}
		return true, refused(reply)
	})
	if err != nil {
		return wire.Reply{}, err
	}
	return reply, nil
}

// again carries out a subcommand until once says that what came of it is final, so many
// times at most.
func again(ctx context.Context, tries int, args []string, once func() (final bool, err error)) error {
	what := strings.Join(slices.Concat([]string{"runner"}, args), " ")
	pause := firstPause
	for {
		final, err := once()
		tries--
		switch {
		case err == nil:
			return nil
		case !final && ctx.Err() != nil:
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		case final, tries == 0, hopeless(err):
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(3*pause, longestPause)
		}
	}
}

// hopeless tells whether there will never be a reply.
func hopeless(err error) bool {
	_, refused := errors.AsType[*domain.RefusedError](err)
	return refused || errors.Is(err, session.ErrClosed)
}

func (c *Client) callOnce(ctx context.Context, within time.Duration, args []string, stdin []byte) (wire.Reply, error) {
	ctx, stop := context.WithTimeout(ctx, within)
	defer stop()
	var stdout bytes.Buffer
	if err := c.exec(ctx, args, bytes.NewReader(stdin), &stdout); err != nil {
		return wire.Reply{}, errors.Join(err, ctx.Err())
	}
	var reply wire.Reply
	if err := json.Unmarshal(stdout.Bytes(), &reply); err != nil {
		return wire.Reply{}, fmt.Errorf("no reply: %w", err)
	}
	return reply, nil
}

// refused is a reply's fault as an error of the domain.
func refused(reply wire.Reply) error {
	switch reply.Fault {
	case "":
		return nil
	case wire.FaultStaleToken:
		return fmt.Errorf("%w: %s", domain.ErrStaleToken, reply.Message)
	case wire.FaultNoRun:
		return fmt.Errorf("%w: %s", domain.ErrNoRun, reply.Message)
	case wire.FaultInputClosed:
		return domain.ErrInputClosed
	case wire.FaultFiles:
		return &domain.FilesError{Reason: reply.Message}
	default:
		return fmt.Errorf("%w: %s: %s", ErrRunner, reply.Fault, reply.Message)
	}
}
