package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

// glance is last for a third of the cost: whichever replica of the stream answers, from
// its store and as it is. It may be behind, so what it says counts only where a guard
// proves it, or where it does not matter that it is a moment old.
func (c *Conn) glance(ctx context.Context, stream, filter string) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	reply, err := c.nc.RequestWithContext(ctx, "$JS.API.DIRECT.GET."+stream, []byte(`{"last_by_subj":`+strconv.Quote(filter)+`}`))
	if err != nil {
		return entry{}, fmt.Errorf("glance at %s: %w", stream, err)
	}
	if status := reply.Header.Get("Status"); status != "" {
		return entry{}, fmt.Errorf("glance at %s: status %q: %w", stream, status, contract.ErrNotFound)
	}
	e := entry{Subject: reply.Header.Get(jetstream.SubjectHeader), Header: reply.Header, Data: reply.Data}
	var timeErr, seqErr error
	e.Seq, seqErr = strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	e.Time, timeErr = time.Parse(time.RFC3339Nano, reply.Header.Get(jetstream.TimeStampHeaer))
	return e, errors.Join(seqErr, timeErr)
}

// glanceAt is an operation as a glance at the log shows it, or false where only Load
// can tell.
func (c *Conn) glanceAt(ctx context.Context, id string) (contract.Operation, bool) {
	e, err := c.glance(ctx, contract.StreamEvents, contract.EventFilter(contract.EntityOperation, id))
	if err != nil || !guarded(e, id) {
		return contract.Operation{}, false
	}
	event, err := eventOf(e.Subject, e.Seq, e.Time, e.Header, e.Data)
	if err != nil {
		return contract.Operation{}, false
	}
	op, err := event.Operation()
	return op, err == nil
}

// ProjectWasReady tells by a glance whether a project was ready a moment ago. Where it
// was not, or nobody knows, only Project can tell.
func (c *Conn) ProjectWasReady(ctx context.Context, slug string) bool {
	e, err := c.glance(ctx, contract.StreamEvents, contract.EventFilter(contract.EntityProject, slug))
	var project contract.Project
	return err == nil && json.Unmarshal(e.Data, &project) == nil && project.State == contract.ProjectReady
}
