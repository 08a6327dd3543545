package runner

import (
	"context"
	"encoding/json"
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

// follower sends a spool as it grows.
type follower struct {
	run    *store.Run
	alive  *store.Alive
	spool  *os.File
	out    io.Writer
	at     int64
	buffer [8 * (wire.HeaderSize + wire.MaxPayload)]byte
}

// attach sends a run's output from a position on and, when it has ended and all
// was sent, how it ended.
func attach(ctx context.Context, c *call, out io.Writer) error {
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
	if c.from < 0 || c.from > size {
		return fmt.Errorf("%w: position %d in a spool of %d bytes", errInvalid, c.from, size)
	}
	status, err := f.follow(ctx)
	if err != nil {
		return gone(err)
	}
	return sendEnd(out, wire.Reply{Status: &status})
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
				return *status, f.send()
			}
		}
		if err := f.send(); err != nil {
			return wire.Status{}, err
		}
		look = false
		select {
		case <-ctx.Done():
			return wire.Status{}, ctx.Err()
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
	for {
		n, err := f.spool.ReadAt(f.buffer[:], f.at)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read spool of run %s: %w", f.run.ID, err)
		}
		whole := 0
		for n-whole >= wire.HeaderSize {
			header, err := wire.ParseHeader(f.buffer[whole:])
			if err != nil {
				return fmt.Errorf("read spool of run %s at %d: %w", f.run.ID, f.at+int64(whole), err)
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
		if _, err := f.out.Write(f.buffer[:whole]); err != nil {
			return fmt.Errorf("send output of run %s: %w", f.run.ID, err)
		}
		f.at += int64(whole)
	}
}

func (f *follower) beat() error {
	var frame [wire.HeaderSize]byte
	wire.Header{Stream: wire.StreamBeat, Time: time.Now()}.Put(frame[:])
	_, err := f.out.Write(frame[:])
	return err
}

func sendEnd(out io.Writer, reply wire.Reply) error {
	if len(reply.Message) > wire.MaxPayload/8 {
		reply.Message = reply.Message[:wire.MaxPayload/8]
	}
	text, err := json.Marshal(reply)
	if err != nil {
		return err
	}
	frame := make([]byte, wire.HeaderSize, wire.HeaderSize+len(text))
	wire.Header{Stream: wire.StreamEnd, Length: len(text), Time: time.Now()}.Put(frame)
	_, err = out.Write(append(frame, text...))
	return err
}

// gone turns the error of a run whose directory was removed meanwhile.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", store.ErrNoRun, err)
	}
	return err
}
