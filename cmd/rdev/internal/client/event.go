package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Event is one event of the log. It writes itself as the JSON that the gateway sent.
type Event struct {
	Seq     uint64
	Entity  string // operation, project, webhook
	Type    string // the word alone: pending, running, …
	ID      string // of the entity
	Time    time.Time
	Actor   string
	Project string

	EventID     string          // of the event itself
	Source      string          // who wrote it, as /rdev/executor/…; "" where that is not known
	Traceparent string          // W3C trace context, "" for none
	Data        json.RawMessage // the entity after the event

	Operation *Operation       // of an operation's event: as it is after the event
	Budget    *contract.Budget // of what has a budget now: a project, a key

	raw json.RawMessage
}

// EventFilter narrows the events to follow; empty fields do not.
type EventFilter struct {
	Type    string
	Project string
	From    uint64 // the first sequence, 0 for what happens from now on
}

// UnmarshalJSON reads what the gateway sends: the entity's snapshot under its
// own name or as data, the type as a word or in the form of CloudEvents.
func (e *Event) UnmarshalJSON(data []byte) error {
	var wire struct {
		Seq         uint64          `json:"seq"`
		ID          string          `json:"id"`
		Entity      string          `json:"entity"`
		Type        string          `json:"type"`
		Key         string          `json:"key"` // id of the entity
		Time        time.Time       `json:"time"`
		Actor       string          `json:"actor"`
		Project     string          `json:"project"`
		Source      string          `json:"source"`
		Traceparent string          `json:"traceparent"`
		Operation   *Operation      `json:"operation"`
		Data        json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return err
	}
	kind := strings.TrimSuffix(strings.TrimPrefix(wire.Type, contract.TypePrefix), contract.TypeSuffix)
	if entity, word, found := strings.Cut(kind, "."); found {
		kind = word
		if wire.Entity == "" {
			wire.Entity = entity
		}
	}
	if wire.Operation == nil && wire.Entity == contract.EntityOperation && len(wire.Data) > 0 {
		wire.Operation = &Operation{}
		if err := json.Unmarshal(wire.Data, wire.Operation); err != nil {
			return fmt.Errorf("snapshot of event %d: %w", wire.Seq, err)
		}
	}
	var holder struct {
		Budget *contract.Budget `json:"budget"`
	}
	if kind == contract.TypeProjectBudgeted && len(wire.Data) > 0 {
		if err := json.Unmarshal(wire.Data, &holder); err != nil {
			return fmt.Errorf("budget of event %d: %w", wire.Seq, err)
		}
	}
	*e = Event{
		Seq: wire.Seq, Entity: wire.Entity, Type: kind, ID: wire.Key, Time: wire.Time,
		Actor: wire.Actor, Project: wire.Project, Operation: wire.Operation, Budget: holder.Budget,
		EventID: wire.ID, Source: wire.Source, Traceparent: wire.Traceparent, Data: wire.Data,
		raw: append(json.RawMessage(nil), data...),
	}
	if op := wire.Operation; op != nil {
		e.ID, e.Project, e.Actor = first(e.ID, op.ID), first(e.Project, op.Project), first(e.Actor, op.Actor)
	}
	return nil
}

// MarshalJSON writes the document as it came.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.raw == nil {
		return []byte("null"), nil
	}
	return e.raw, nil
}

// Events follows the log of everything that the key may see. It has no end of
// its own. Each event comes once, however often the connection is cut.
func (c *Client) Events(ctx context.Context, filter EventFilter) iter.Seq2[Event, error] {
	query := url.Values{}
	set(query, "type", filter.Type)
	set(query, "project", filter.Project)
	if filter.From > 0 {
		query.Set("from_seq", strconv.FormatUint(filter.From, 10))
	}
	never := func(frame) bool { return false }
	return func(yield func(Event, error) bool) {
		for f, err := range c.follow(ctx, "/events", query, never) {
			if err != nil {
				yield(Event{}, fmt.Errorf("follow the events: %w", err))
				return
			}
			event := Event{}
			if err := json.Unmarshal(f.data, &event); err != nil {
				yield(Event{}, fmt.Errorf("follow the events: event %s: %w", f.id, err))
				return
			}
			if seq, err := strconv.ParseUint(f.id, 10, 64); err == nil {
				event.Seq = seq
			}
			if !yield(event, nil) {
				return
			}
		}
	}
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
