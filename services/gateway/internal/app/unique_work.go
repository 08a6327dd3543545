package app

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orchard9/rdev/libs/contract"
)

// runUnique is RunWork for work with a unique key: where the last of that name has not
// ended, it is that one. Each turn has an id of its own, that is made of key and turn,
// so that of two who ask at the same time one makes it, and the other finds it.
func (a *App) runUnique(ctx context.Context, asker Asker, item WorkItem) (Accepted, error) {
	request := asker.RequestID()
	for turn := max(1, a.Turns.LastTurn(item.Project, item.Work.UniqueKey)); ; {
		id := turnID(item.Project, item.Work.UniqueKey, turn)
		last, err := a.Operations.Load(ctx, id)
		switch {
		case errors.Is(err, contract.ErrNotFound):
			one := asker
			one.ID, one.IdempotencyKey = id, ""
			item.Work.Turn, item.Work.Request = turn, request
			accepted, err := a.acceptWork(ctx, one, item)
			if errors.Is(err, ErrExists) {
				continue // somebody was first
			}
			return accepted, err
		case err != nil:
			return Accepted{}, err
		case !last.State.Ended(), last.Work != nil && last.Work.Request == request: // or the same request has come before
			return Accepted{Operation: last, Replayed: true}, nil
		}
		turn++
	}
}

func turnID(project, key string, turn int) string {
	return uuid.NewSHA1(uuid.MustParse(namespace), []byte("unique\x00"+project+"\x00"+key+"\x00"+strconv.Itoa(turn))).String()
}

// WorkTurns counts the work of each unique key, as a fold of the log.
type WorkTurns struct {
	mu   sync.Mutex
	last map[uniqueKey]int
}

type uniqueKey struct{ project, key string }

// NewWorkTurns has counted nothing.
func NewWorkTurns() *WorkTurns { return &WorkTurns{last: map[uniqueKey]int{}} }

// Apply implements Reader.
func (t *WorkTurns) Apply(_ time.Time, _ *contract.Operation, op contract.Operation) {
	if op.Work == nil || op.Work.UniqueKey == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := uniqueKey{op.Project, op.Work.UniqueKey}
	t.last[of] = max(t.last[of], op.Work.Turn)
}

// Live implements Reader.
func (*WorkTurns) Live() {}

// LastTurn implements Turns.
func (t *WorkTurns) LastTurn(project, key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[uniqueKey{project, key}]
}
