package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/runner/store"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

const (
	// pollEvery is how often attach looks where the file system tells it nothing.
	pollEvery = 100 * time.Millisecond
	// beatEvery is how often a silent connection carries something.
	beatEvery = 10 * time.Second
)

var (
	errNoFrame    = errors.New("no frame of the spool")
	errCallerGone = errors.New("the caller has gone")
)

// follower sends a spool as it grows.
type follower struct {
	run    *store.Run
	alive  *store.Alive
	spool  *os.File
	out    io.Writer
	at     int64
	lost   bool // at is beyond the end
	buffer [8 * (wire.HeaderSize + wire.MaxPayload)]byte
}

// attach sends a run's output from a position on and, when it has ended and all
// was sent, how it ended.
func attach(ctx context.Context, c *call, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		_, _ = io.Copy(io.Discard, in) // its end is all that is wanted
		cancel(errCallerGone)
	}()
	run, err := c.root.Run(c.id)
	if err != nil {
		return err
	}
	defer run.Close()
	if err := checkToken(c, run); err != nil {
		return err
	}
	f := &follower{run: run, out: out, at: c.from}
	if f.alive, err = run.Alive(); err != nil {
		return gone(err)
	}
	defer f.alive.Close()
	if f.spool, err = run.ReadSpool(); err != nil {
		return gone(err)
	}
	defer f.spool.Close()
	size, err := f.spool.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("attach to run %s: %w", run.ID, err)
	}
	f.lost = c.from > size
	if err := f.beat(); err != nil { // so that the caller knows that it is connected
		return err
	}
	status, err := f.follow(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	if err != nil {
		return gone(err)
	}
	return wire.SendEnd(out, wire.Reply{Status: &status})
}

// follow sends until the run has ended.
func (f *follower) follow(ctx context.Context) (wire.Status, error) {
	changes, stop := watch(f.run)
	defer stop()
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	for look := true; ; {
		if look {
			if status, err := f.ended(ctx); err != nil {
				return wire.Status{}, err
			} else if status != nil {
				return *status, f.sendRest(*status)
			}
		}
		look = false
		if err := f.send(); errors.Is(err, errNoFrame) {
			status, endErr := f.ended(ctx)
			if status == nil {
				return wire.Status{}, errors.Join(err, endErr)
			}
			return *status, f.sendRest(*status)
		} else if err != nil {
			return wire.Status{}, err
		}
		select {
		case <-ctx.Done():
			return wire.Status{}, context.Cause(ctx)
		case change := <-changes:
			look = change == changeOther
		case <-poll.C:
			look = true
		case <-beat.C:
			if err := f.beat(); err != nil {
				return wire.Status{}, err
			}
		}
	}
}

// sendRest sends what there is of a run that has ended. Where the machine went
// down the end of the spool may be missing, or was never written.
func (f *follower) sendRest(status wire.Status) error {
	err := f.send()
	if !status.Known && errors.Is(err, errNoFrame) {
		return nil
	}
	return err
}

// ended is how the run ended, or nil while it did not.
func (f *follower) ended(ctx context.Context) (*wire.Status, error) {
	lives, err := f.alive.Held()
	if err != nil {
		return nil, err
	}
	status, err := f.run.Status()
	if err != nil || status != nil || lives {
		return status, err
	}
	if err := settle(ctx, f.run); err != nil {
		return nil, err
	}
	return f.run.Status()
}

// send sends the whole frames that the spool has from where it is.
func (f *follower) send() error {
	if f.at < 0 || f.lost {
		return fmt.Errorf("%w: position %d of run %s", errNoFrame, f.at, f.run.ID)
	}
	for {
		n, err := f.spool.ReadAt(f.buffer[:], f.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read spool of run %s: %w", f.run.ID, err)
		}
		whole := 0
		for n-whole >= wire.HeaderSize {
			header, err := wire.ParseHeader(f.buffer[whole:])
			if err != nil {
				return f.noFrame(f.buffer[:whole])
			}
			if next := whole + wire.HeaderSize + header.Length; next <= n {
				whole = next
			} else {
				break
			}
		}
		if whole == 0 {
			return nil
		}
		if err := f.pass(f.buffer[:whole]); err != nil {
			return err
		}
	}
}

func (f *follower) pass(frames []byte) error {
	if _, err := f.out.Write(frames); err != nil {
		return fmt.Errorf("send output of run %s: %w", f.run.ID, err)
	}
	f.at += int64(len(frames))
	return nil
}

// noFrame sends the frames before the place where there is none.
func (f *follower) noFrame(before []byte) error {
	if err := f.pass(before); err != nil {
		return err
	}
	return fmt.Errorf("%w: position %d of run %s", errNoFrame, f.at, f.run.ID)
}

func (f *follower) beat() error {
	var frame [wire.HeaderSize]byte
	wire.Header{Stream: wire.StreamBeat, Time: time.Now()}.Put(frame[:])
	_, err := f.out.Write(frame[:])
	return err
}

// gone turns the error of a run whose directory was removed meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", store.ErrNoRun, err)
	}
	return err
}
