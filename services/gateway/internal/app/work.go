package app

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// WorkItem is a piece of work that is asked for.
type WorkItem struct {
	Project string
	Kind    string // work.build, …
	Command contract.Command
	Work    contract.Work
}

// RunWork accepts a piece of work: whichever worker is free carries it out, when it is
// its turn.
func (a *App) RunWork(ctx context.Context, asker Asker, item WorkItem) (Accepted, error) {
	if item.Work.UniqueKey != "" {
		return a.runUnique(ctx, asker, item)
	}
	return a.acceptWork(ctx, asker, item)
}

func (a *App) acceptWork(ctx context.Context, asker Asker, item WorkItem) (Accepted, error) {
	all, errs := a.acceptAll(ctx, []*wish{a.workWish(ctx, asker, item, &ahead{})})
	return all[0], errs[0]
}

// workWish is a piece of work as it is asked for, after others of the same request.
func (a *App) workWish(ctx context.Context, asker Asker, item WorkItem, before *ahead) *wish {
	lane := contract.WorkLane()
	return &wish{asker, contract.Operation{
		Kind: item.Kind, Project: item.Project, Lane: lane, Command: &item.Command, Work: &item.Work,
	}, func(op *contract.Operation) error {
		if err := a.requireRoom(lane, item.Project, *before); err != nil {
			return err
		}
		if delay := time.Duration(op.Work.Delay); delay > 0 {
			work, at := *op.Work, op.CreatedAt.Add(delay)
			work.RunAt, op.Work = &at, &work
		}
		if before.of[item.Project] == 0 || op.Command.Agent != nil || mayBeOwn(*op) { // else the project was ready just now
			if err := a.requireReadyAs(ctx, op, before.reading(a.Project)); err != nil {
				return err
			}
		}
		before.add(item.Project)
		return nil
	}}
}

// RunAllWork is RunWork for many items, in their order. Each has an outcome of its
// own; a nil item has none. Where the asker has an idempotency key, each item has one
// that is made of it and of its place.
func (a *App) RunAllWork(ctx context.Context, asker Asker, items []*WorkItem) ([]Accepted, []error) {
	all, refused := make([]Accepted, len(items)), make([]error, len(items))
	wishes, before := make([]*wish, len(items)), &ahead{}
	grant := func() {
		granted, errs := a.acceptAll(ctx, wishes)
		for i, wish := range wishes {
			if wish != nil {
				all[i], refused[i] = granted[i], errs[i]
			}
		}
		clear(wishes)
		before = &ahead{}
	}
	for i, item := range items {
		if item == nil {
			continue
		}
		one := asker
		if asker.IdempotencyKey != "" {
			one.IdempotencyKey = asker.IdempotencyKey + "\x00" + strconv.Itoa(i)
		}
		if item.Work.UniqueKey == "" {
			wishes[i] = a.workWish(ctx, one, *item, before)
			continue
		}
		grant() // what comes before it is before it in the log
		all[i], refused[i] = a.runUnique(ctx, one, *item)
	}
	grant()
	return all, refused
}

// NoWork is the error of what is no piece of work.
func NoWork(id string) error {
	return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no work %q", id)}
}

// RetryWork accepts work once more that has ended: with the same inputs, and a
// reference to it. It begins at once, and with as many attempts as the first time.
func (a *App) RetryWork(ctx context.Context, asker Asker, old contract.Operation) (Accepted, error) {
	if old.Work == nil || old.Command == nil {
		return Accepted{}, NoWork(old.ID)
	}
	if !old.State.Ended() {
		return Accepted{}, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("work %s has not ended: it is %s", old.ID, old.State)}
	}
	work := *old.Work
	work.Step = nil // it is no part of that build
	work.RetryOf, work.Tries, work.RunAt, work.Delay, work.Turn, work.Request = old.ID, nil, nil, 0, 0, ""
	return a.RunWork(ctx, asker, WorkItem{Project: old.Project, Kind: old.Kind, Command: *old.Command, Work: work})
}

// ChangeWorker has a worker take work, or no more of it: ready or draining. One that is
// gone stays so.
func (a *App) ChangeWorker(ctx context.Context, id, to string) (contract.Worker, error) {
	none := &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no worker %q", id)}
	if !contract.ValidOperationID(id) {
		return contract.Worker{}, none
	}
	return a.Workers.UpdateWorker(ctx, id, func(now *contract.Worker) (string, contract.Worker, error) {
		switch {
		case now == nil || now.State == contract.WorkerGone:
			return "", contract.Worker{}, none
		case string(now.State) == to:
			return "", *now, nil
		}
		return to, *now, nil
	})
}
