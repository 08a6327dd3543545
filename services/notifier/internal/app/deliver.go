package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// recordPatience bounds the record of an attempt that was made.
const recordPatience = 10 * time.Second

// Deliver makes one attempt to deliver an event to an endpoint and returns when
// to make the next; the zero time where none is to be made.
//
// A second delivery of what was delivered or given up does nothing. Where this
// process ends between the request and its record, the endpoint gets the event
// again, with the same webhook-id.
func (a *App) Deliver(ctx context.Context, endpoint string, event Event) (time.Time, error) {
	var none time.Time
	planned, err := a.Deliveries.Find(ctx, endpoint, event.ID)
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return none, nil // the endpoint was removed
	case err != nil:
		return none, fmt.Errorf("deliver %s to %s: %w", event.ID, endpoint, err)
	case planned.Status != contract.DeliveryPending:
		return none, nil
	}
	event.Header = maps.Clone(event.Header)
	event.Header[contract.HeaderPrevSeq] = strconv.FormatUint(planned.PrevSeq, 10)
	attempt := a.Sender.Send(ctx, planned.URL, planned.Secret, event)
	if attempt.Error != "" && ctx.Err() != nil {
		return none, fmt.Errorf("deliver %s to %s: %w", event.ID, endpoint, context.Cause(ctx)) // cut off by us
	}
	next, status := none, contract.DeliveryDelivered
	var planFor *time.Time
	if attempt.Error != "" {
		status = contract.DeliveryDead
		if pause, again := a.Backoff.After(planned.Attempts+1, rand.Float64()); again {
			status, next = contract.DeliveryPending, time.Now().UTC().Add(pause)
			planFor = &next
		}
	}
	// What was done is recorded, also where the service stops.
	record, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordPatience)
	defer cancel()
	if err := a.Deliveries.Record(record, endpoint, event.ID, attempt, status, planFor); err != nil {
		return none, fmt.Errorf("record the delivery of %s to %s: %w", event.ID, endpoint, err)
	}
	return next, nil
}
