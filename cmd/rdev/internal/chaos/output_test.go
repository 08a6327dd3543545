package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// output is all that is stored of an operation's output.
type output struct {
	text     map[string][]byte // by stream
	attempts map[int]int       // chunks by attempt
	last     contract.Chunk
}

// Chunk implements bus.OutputSink: chunks follow each other without a gap.
func (o *output) Chunk(c contract.Chunk) error {
	if have := int64(len(o.text[c.Stream])); c.Offset != have {
		return fmt.Errorf("chunk %d begins at %d of %s, want %d", c.Seq, c.Offset, c.Stream, have)
	}
	if c.Attempt < o.last.Attempt || c.Cursor <= o.last.Cursor || c.Prev != o.last.Seq {
		return fmt.Errorf("chunk %d follows %d but is after %d: attempt %d after %d, cursor %d after %d",
			c.Seq, o.last.Seq, c.Prev, c.Attempt, o.last.Attempt, c.Cursor, o.last.Cursor)
	}
	o.text[c.Stream] = append(o.text[c.Stream], c.Data...)
	o.attempts[c.Attempt]++
	o.last = c
	return nil
}

// State implements bus.OutputSink.
func (o *output) State(*contract.Operation) error { return nil }

// Gap implements bus.OutputSink.
func (o *output) Gap(_ string, after, before uint64) error {
	return fmt.Errorf("a gap from %d to %d", after, before)
}

// Idle implements bus.OutputSink.
func (o *output) Idle() error { return errors.New("nothing came for long") }

// End implements bus.OutputSink.
func (o *output) End(*contract.Operation) error { return nil }

// output reads the output of an operation that has ended.
func (w *world) output(ctx context.Context, id string) (*output, error) {
	o := &output{text: map[string][]byte{}, attempts: map[int]int{}}
	f, err := w.conn.FollowOutput(ctx, id, bus.Follow{Idle: 20 * time.Second})
	if err != nil {
		return nil, fmt.Errorf("output of %s: %w", id, err)
	}
	defer f.Close()
	if err := f.Feed(ctx, o); err != nil {
		return nil, fmt.Errorf("output of %s: %w", id, err)
	}
	return o, nil
}

// stored is how far the output of an operation has come: bytes of the spool.
func (w *world) stored(ctx context.Context, op contract.Operation) (int64, error) {
	writer, err := w.conn.OpenOutput(ctx, op)
	if err != nil {
		return 0, err
	}
	return writer.Cursor(), nil
}
