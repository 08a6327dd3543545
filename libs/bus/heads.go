package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/natsext"
)

// heads are the last messages that some subjects have in a part of a stream.
type heads struct {
	upTo uint64  // where the part ends
	last []entry // in order, none of a subject without one
}

// headsRead are the heads that were read last: what was stored between two sequences
// stays as it is, so where a thousand follow a build one reads what all of them need.
type headsRead struct {
	slots [256]atomic.Pointer[headsAfter] // by sequence
}

type headsAfter struct {
	heads

	key   string
	after uint64
	at    time.Time
}

const (
	// maxRemembered is the size from which heads are not remembered: 16 MiB in all.
	maxRemembered = 64 << 10
	// remembered is for how long they are: what somebody deletes is not to be told.
	remembered = 5 * time.Second
)

func (r *headsRead) slot(after uint64) *atomic.Pointer[headsAfter] {
	return &r.slots[after%uint64(len(r.slots))]
}

// of is the heads of what is followed under a key, after a sequence, if they are known.
func (r *headsRead) of(key string, after uint64) (heads, bool) {
	if known := r.slot(after).Load(); known != nil && known.after == after && known.key == key && time.Since(known.at) < remembered {
		return known.heads, true
	}
	return heads{}, false
}

func (r *headsRead) keep(key string, after uint64, found heads) {
	size := 0
	for _, e := range found.last {
		size += len(e.Data)
	}
	if size <= maxRemembered {
		r.slot(after).Store(&headsAfter{found, key, after, time.Now()})
	}
}

// errBehind is returned where the server that answered does not have what is known to be
// stored: it is a replica that is behind, or it is gone.
var errBehind = errors.New("the answer lacks what is known to be stored")

// readHeads finds the last messages of subjects after a sequence, and up to a message
// that is known to be stored. It is of any subject, and proves that whoever answers has
// all before it, too.
func (c *Conn) readHeads(ctx context.Context, stream string, subjects []string, after uint64, upTo place) (heads, error) {
	asked := subjects
	if !slices.Contains(asked, upTo.subject) {
		asked = append(slices.Clip(asked), upTo.subject)
	}
	request, err := json.Marshal(map[string]any{"multi_last": asked, "seq": after + 1, "up_to_seq": upTo.seq})
	if err != nil {
		return heads{}, fmt.Errorf("read %s: %w", stream, err)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	status := ""
	messages, err := natsext.RequestMany(ctx, c.nc, "$JS.API.DIRECT.GET."+stream, request, natsext.RequestManySentinel(func(m *nats.Msg) bool {
		status = m.Header.Get("Status")
		return status != ""
	}))
	if err != nil {
		return heads{}, fmt.Errorf("read %s: %w", stream, err)
	}
	found, before := heads{upTo: upTo.seq}, uint64(0)
	for m, err := range messages {
		if err != nil {
			return heads{}, fmt.Errorf("read %s: %w", stream, err)
		}
		e := entry{Subject: m.Header.Get(jetstream.SubjectHeader), Header: m.Header, Data: m.Data}
		e.Seq, _ = strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64)
		if !follows(m.Header, before) {
			return heads{}, fmt.Errorf("read %s: an answer was lost before %d: %w", stream, e.Seq, errBehind)
		}
		before = e.Seq
		if slices.Contains(subjects, e.Subject) {
			found.last = append(found.last, e)
		}
	}
	if before != upTo.seq {
		return heads{}, fmt.Errorf("read %s up to %d: status %q after %d: %w", stream, upTo.seq, status, before, errBehind)
	}
	return found, nil
}
