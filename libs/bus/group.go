package bus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	// minGroup is from how many events on it pays to store them at once: a group costs the
	// server as much as a dozen events of their own, for it is kept in a store of
	// its own first, which is made for it.
	minGroup = 16
	// maxGroup is how many are stored at once; the server takes 1,000.
	maxGroup = 500
)

// CreateAll appends the first events of new operations, in their order. Each has an
// outcome of its own: the operation after it, or ErrConflict where there is one of that
// id.
func (c *Conn) CreateAll(ctx context.Context, operations []contract.Operation) ([]contract.Operation, []error) {
	all, errs := make([]contract.Operation, len(operations)), make([]error, len(operations))
	events := make([]appending, len(operations))
	for i, op := range operations {
		change := contract.OperationPending{Operation: op}
		if all[i], events[i].err = contract.Next(nil, change); events[i].err == nil {
			events[i].draft = draftOf(change, all[i], 0)
			events[i].m, events[i].err = c.message(ctx, events[i].draft)
		}
	}
	for group := range slices.Chunk(events, maxGroup) {
		c.appendGroup(ctx, group)
	}
	for i, event := range events {
		all[i].Seq, errs[i] = event.seq, event.err
	}
	return all, errs
}

// appending is an event on its way into the log.
type appending struct {
	draft
	m   *nats.Msg
	seq uint64
	err error
}

// appendGroup is append for several events, in their order, but for those that have an
// error. Many are stored at once, all or none; where that fails, as because of one guard,
// they are appended one after another.
func (c *Conn) appendGroup(ctx context.Context, group []appending) {
	var messages []*nats.Msg
	for _, event := range group {
		if event.err == nil {
			messages = append(messages, event.m)
		}
	}
	var last uint64
	together := len(messages) >= minGroup
	if together {
		var err error
		last, err = c.commit(ctx, messages)
		together = err == nil
	}
	seq := last - uint64(len(messages))
	for i := range group {
		event := &group[i]
		switch {
		case event.err != nil:
		case together:
			seq++
			event.seq = seq
		default:
			event.seq, event.err = c.store(ctx, event.draft, event.m)
		}
	}
}

// commit stores messages at once, in their order and next to each other, and returns the
// sequence of the last. Where it fails it is open whether all of them are stored, or none.
func (c *Conn) commit(ctx context.Context, messages []*nats.Msg) (last uint64, err error) {
	c.commits.Lock() // the server takes 50 of a stream at a time, of all processes
	defer c.commits.Unlock()
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	id := uuid.NewString()
	var reply *nats.Msg
	for i, m := range messages {
		m = &nats.Msg{Subject: m.Subject, Data: m.Data, Header: maps.Clone(m.Header)}
		m.Header["Nats-Batch-Id"] = []string{id}
		m.Header["Nats-Batch-Sequence"] = []string{strconv.Itoa(i + 1)}
		if i < len(messages)-1 {
			err = c.nc.PublishMsg(m)
		} else {
			m.Header["Nats-Batch-Commit"] = []string{"1"}
			reply, err = c.nc.RequestMsgWithContext(ctx, m)
		}
		if err != nil {
			return 0, fmt.Errorf("commit: %w", err)
		}
	}
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Count int                 `json:"count"`
	}
	switch err := json.Unmarshal(reply.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("commit: %w", err)
	case ack.Error != nil:
		return 0, fmt.Errorf("commit: %w", ack.Error)
	case ack.Count != len(messages):
		return 0, errors.New("commit: the answer is of another group")
	}
	return ack.Seq, nil
}
