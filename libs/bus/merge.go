package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/orchard9/rdev/libs/contract"
)

// readAhead is about the most that a merge holds of the outputs that it reads at once,
// in bytes.
const readAhead = 4 << 20

// merge reads the output of operations as one: each chunk exactly once, and in the order
// in which they were stored, history and live alike. There is no consumer behind it.
//
// A live chunk only says that it is there: on their way those of two operations may
// overtake each other, or be lost. So nothing is emitted before it is known what the
// stream holds up to there. A chunk says itself which one came before it in its own
// operation, so where there is only one it needs no proof.
type merge struct {
	conn     *Conn
	subjects []string
	key      string            // of what is read for all who follow the same
	cursor   uint64            // what was seen before
	last     uint64            // all up to here was emitted, or seen before
	seen     map[string]uint64 // by subject: the last chunk that was emitted
	hint     place             // the newest chunk of which is known
	emit     func(entry) error
	// gap is told of chunks of a subject that are gone for good.
	gap func(subject string, after, before uint64) error
}

// newMerge reads the output of operations after a cursor.
func newMerge(c *Conn, operations []string, after uint64) merge {
	m := merge{conn: c, cursor: after, last: after, seen: map[string]uint64{}}
	for _, id := range operations {
		m.subjects = append(m.subjects, contract.OutputSubject(id))
	}
	key := sha256.Sum256([]byte(strings.Join(m.subjects, " ")))
	m.key = string(key[:])
	return m
}

func (m *merge) single() bool { return len(m.subjects) == 1 }

// offer takes a live chunk: it is emitted where nothing can be missing before it, and
// else left for settle.
func (m *merge) offer(msg *nats.Msg) error {
	e := liveEntry(msg)
	switch {
	case e.Seq <= m.last:
	case m.single() && expectedLast(e.Header) <= m.last:
		return m.pass(e)
	case e.Seq > m.hint.seq:
		m.hint = place{e.Subject, e.Seq}
	}
	return nil
}

// settle emits all up to the newest chunk of which is known.
func (m *merge) settle(ctx context.Context) error { return m.upTo(ctx, m.hint) }

// catchUp emits all that is stored by now.
func (m *merge) catchUp(ctx context.Context) error {
	known, err := m.newest(ctx)
	if err != nil {
		return err
	}
	return m.upTo(ctx, known)
}

// newest is a message before which are all chunks that are stored by now: the last of
// the subject, or of the stream.
func (m *merge) newest(ctx context.Context) (place, error) {
	if m.single() {
		return m.conn.awaitNewest(ctx, contract.StreamOutput, m.subjects[0])
	}
	// The server finds the last of all at once, but not where that was deleted.
	known, err := m.conn.awaitNewest(ctx, contract.StreamOutput, ">")
	if err == nil && known.seq == 0 {
		known, err = m.conn.awaitNewest(ctx, contract.StreamOutput, contract.SubjectOutput+">")
	}
	return known, err
}

// upTo emits all up to a message that is known to be stored.
func (m *merge) upTo(ctx context.Context, known place) error {
	for m.last < known.seq {
		var found heads
		var err error
		if found, known, err = m.look(ctx, known); err != nil {
			return err
		}
		if err := m.read(ctx, found.last); err != nil {
			return err
		}
		m.last = max(m.last, found.upTo)
	}
	return nil
}

// look finds what there is after the last chunk, up to a message that is known to be
// stored, or less. Where that is gone the newest takes its place.
func (m *merge) look(ctx context.Context, known place) (heads, place, error) {
	if m.single() {
		return heads{upTo: known.seq, last: []entry{{Subject: m.subjects[0], Seq: known.seq}}}, known, nil
	}
	for pause := 10 * time.Millisecond; m.last < known.seq; pause = min(2*pause, time.Second) {
		found, err := m.headsUpTo(ctx, known)
		if err == nil {
			return found, known, nil
		}
		if err := wait(ctx, pause); err != nil {
			return heads{}, known, err
		}
		if known, err = m.newest(ctx); err != nil {
			return heads{}, known, err
		}
	}
	return heads{upTo: m.last}, known, nil
}

// headsUpTo are the heads after the last chunk, up to a message that is known to be
// stored, or up to where another reader has seen them.
func (m *merge) headsUpTo(ctx context.Context, known place) (heads, error) {
	key, last := m.key, m.last
	if found, ok := m.conn.known.of(key, last); ok {
		return found, nil
	}
	return m.conn.heads.do(ctx, key+strconv.FormatUint(last, 10), func(ctx context.Context) (heads, error) {
		found, err := m.conn.readHeads(ctx, contract.StreamOutput, m.subjects, last, known)
		if err == nil {
			m.conn.known.keep(key, last, found)
		}
		return found, err
	})
}

// source is a subject whose chunks are read ahead.
type source struct {
	subject    string
	next       []entry
	last, upTo uint64 // the last that was read, and the last to be read
}

// read emits the chunks of subjects after the last one, each subject up to its own.
func (m *merge) read(ctx context.Context, upTo []entry) error {
	sources := make([]source, 0, len(upTo))
	for _, e := range upTo {
		s := source{subject: e.Subject, last: m.last, upTo: e.Seq}
		if e.Header != nil && expectedLast(e.Header) <= m.last {
			s.next, s.last = []entry{e}, e.Seq
		}
		sources = append(sources, s)
	}
	for {
		var first *source
		for i := range sources {
			s := &sources[i]
			if err := s.fill(ctx, m.conn, readAhead/len(sources)); err != nil {
				return err
			}
			if len(s.next) > 0 && (first == nil || s.next[0].Seq < first.next[0].Seq) {
				first = s
			}
		}
		if first == nil {
			return nil
		}
		e := first.next[0]
		first.next = first.next[1:]
		if err := m.pass(e); err != nil {
			return err
		}
	}
}

// fill reads on where everything that was read is used up.
func (s *source) fill(ctx context.Context, c *Conn, maxBytes int) error {
	if len(s.next) > 0 || s.last >= s.upTo {
		return nil
	}
	entries, err := c.after(ctx, contract.StreamOutput, s.subject, s.last, maxBytes)
	if err != nil {
		return err
	}
	for len(entries) > 0 && entries[len(entries)-1].Seq > s.upTo {
		entries = entries[:len(entries)-1]
	}
	if s.next = entries; len(entries) == 0 {
		s.last = s.upTo // what was there is gone
		return nil
	}
	s.last = entries[len(entries)-1].Seq
	return nil
}

func (m *merge) pass(e entry) error {
	seen := max(m.seen[e.Subject], m.cursor)
	if before := expectedLast(e.Header); before > seen {
		if err := m.gap(e.Subject, seen, before+1); err != nil {
			return err
		}
	}
	m.last, m.seen[e.Subject] = e.Seq, e.Seq
	return m.emit(e)
}

// check refuses a cursor before anything is sent: one after which chunks of an operation
// are gone, or all of them may be, for what is left of the stream begins behind it and
// nothing of the operation is left.
func (m *merge) check(ctx context.Context) error {
	after := m.last
	known, err := m.newest(ctx)
	if err != nil {
		return err
	}
	found, _, err := m.look(ctx, known)
	if err != nil {
		return err
	}
	more := map[string]bool{}
	for _, head := range found.last {
		more[head.Subject] = head.Seq > after
		if head.Seq <= after || head.Header != nil && expectedLast(head.Header) <= after {
			continue
		}
		next, err := m.conn.successor(ctx, contract.StreamOutput, head.Subject, after)
		if err == nil && expectedLast(next.Header) > after { // what cannot be read now is found missing later
			return fmt.Errorf("after %d comes %d: %w", after, next.Seq, ErrCursorExpired)
		}
	}
	return m.checkRest(ctx, func(subject string) bool { return !more[subject] })
}

// checkRest is check of the subjects without a chunk after the cursor.
func (m *merge) checkRest(ctx context.Context, without func(subject string) bool) error {
	first, err := insist(ctx, func() (entry, error) { return m.conn.successor(ctx, contract.StreamOutput, ">", 0) })
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return fmt.Errorf("no output is left: %w", ErrCursorExpired)
	case err != nil:
		return err
	case first.Seq <= m.cursor:
		return nil
	}
	for _, subject := range m.subjects {
		if !without(subject) {
			continue
		}
		_, err := insist(ctx, func() (entry, error) { return m.conn.last(ctx, contract.StreamOutput, subject) })
		if errors.Is(err, contract.ErrNotFound) {
			return fmt.Errorf("the output begins at %d: %w", first.Seq, ErrCursorExpired)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
