package app

import (
	"context"
	"fmt"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// maxRedeliveries is how many deliveries may be asked for again at a time; an endpoint
// can go back further by a sequence.
const maxRedeliveries = 10_000

// Redeliver has deliveries made again, or sets an endpoint back.
func (a *App) Redeliver(ctx context.Context, request contract.Redeliver) (contract.Redelivering, error) {
	if err := checkStatus(request.Status); err != nil {
		return contract.Redelivering{}, err
	}
	if request.ToSeq > 0 && request.ToSeq < request.FromSeq {
		return contract.Redelivering{}, invalid("to_seq", "must not be before from_seq")
	}
	goBack := request.Delivery == "" && request.Status == "" && request.ToSeq == 0
	if goBack && request.FromSeq == 0 {
		return contract.Redelivering{}, invalid("from_seq", "is required, or status")
	}
	if goBack {
		return a.goBack(ctx, request.ID, request.FromSeq)
	}
	filter := DeliveryFilter{Endpoint: request.ID, Status: request.Status, FromSeq: request.FromSeq, ToSeq: request.ToSeq, Limit: maxRedeliveries}
	unknown := &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("webhook %s has no delivery %q", request.ID, request.Delivery)}
	if request.Delivery != "" {
		seq, err := strconv.ParseUint(request.Delivery, 10, 64)
		if err != nil || seq == 0 {
			return contract.Redelivering{}, unknown
		}
		filter.FromSeq, filter.ToSeq = seq, seq
	}
	count, err := a.Deliveries.Redeliver(ctx, filter)
	if err == nil && count == 0 && request.Delivery != "" {
		err = unknown
	}
	if err == nil { // which tells the courier
		_, err = a.Endpoints.Update(ctx, request.ID, "", func(*Endpoint) error { return nil })
	}
	if err != nil {
		return contract.Redelivering{}, explain(request.ID, err)
	}
	return contract.Redelivering{Deliveries: count}, nil
}

// goBack sets an endpoint's cursor back: it gets all that the log has from there, in
// order.
func (a *App) goBack(ctx context.Context, id string, from uint64) (contract.Redelivering, error) {
	last, err := a.Log.Last(ctx)
	if err != nil {
		return contract.Redelivering{}, fmt.Errorf("redeliver: %w", err)
	}
	if from > last {
		return contract.Redelivering{}, invalid("from_seq", fmt.Sprintf("is after the end of the log, which is %d", last))
	}
	_, err = a.Endpoints.Update(ctx, id, "", func(e *Endpoint) error {
		e.Epoch++
		e.Webhook.Health = contract.WebhookHealth{Seq: from - 1}
		e.PrevSeq = 0
		return nil
	})
	if err != nil {
		return contract.Redelivering{}, explain(id, err)
	}
	return contract.Redelivering{FromSeq: from}, nil
}
