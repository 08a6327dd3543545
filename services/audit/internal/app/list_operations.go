package app

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

const (
	// catchUp is how long a list waits for the event that its reader wants in it.
	catchUp = 2 * time.Second
	// catchUpPoll is how often it looks.
	catchUpPoll = 10 * time.Millisecond
)

// ListOperations answers a page of operations, the newest first.
func (a *App) ListOperations(ctx context.Context, request contract.ListOperations) (contract.OperationList, error) {
	filter, err := filterOf(request)
	if err != nil {
		return contract.OperationList{}, err
	}
	// The position is read first: the page holds at least what it says.
	position, err := a.await(ctx, request.MinSeq)
	if err != nil {
		return contract.OperationList{}, fmt.Errorf("list operations: %w", err)
	}
	page, more, err := a.View.Newest(ctx, filter)
	if err != nil {
		return contract.OperationList{}, fmt.Errorf("list operations: %w", err)
	}
	list := contract.OperationList{Operations: page, ProjectedSeq: position, Stale: position < request.MinSeq}
	if more && len(page) > 0 {
		last := page[len(page)-1]
		next := encodeCursor(Key{CreatedAt: last.CreatedAt, ID: last.ID})
		list.NextCursor = &next
	}
	return list, nil
}

// await returns the view's position once it is minSeq, or as it is when that
// takes too long.
func (a *App) await(ctx context.Context, minSeq uint64) (uint64, error) {
	timeout := time.NewTimer(catchUp)
	defer timeout.Stop()
	tick := time.NewTicker(catchUpPoll)
	defer tick.Stop()
	for {
		position, err := a.View.Position(ctx)
		if err != nil || position >= minSeq {
			return position, err
		}
		select {
		case <-ctx.Done():
			return position, context.Cause(ctx)
		case <-timeout.C:
			return position, nil
		case <-tick.C:
		}
	}
}

func filterOf(request contract.ListOperations) (Filter, error) {
	filter := Filter{Within: request.Within, Project: request.Project, Kind: request.Kind, Since: request.Since, Limit: request.Limit}
	var wrong []contract.FieldError
	if request.State != "" {
		for word := range strings.SplitSeq(request.State, ",") {
			state := contract.State(strings.TrimSpace(word))
			if !state.Valid() {
				wrong = append(wrong, contract.FieldError{Field: "state", Message: fmt.Sprintf("%q is not a state", word)})
			}
			filter.States = append(filter.States, state)
		}
	}
	switch {
	case request.Limit < 0:
		wrong = append(wrong, contract.FieldError{Field: "limit", Message: "must not be negative"})
	case request.Limit == 0:
		filter.Limit = contract.DefaultPage
	}
	filter.Limit = min(filter.Limit, contract.MaxPage)
	if request.Cursor != "" {
		after, err := decodeCursor(request.Cursor)
		if err != nil {
			wrong = append(wrong, contract.FieldError{Field: "cursor", Message: err.Error()})
		}
		filter.After = after
	}
	if len(wrong) > 0 {
		return Filter{}, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "the filter of the list is invalid", Fields: wrong}
	}
	return filter, nil
}
