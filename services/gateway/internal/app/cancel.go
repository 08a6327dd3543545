package app

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// Cancel asks for the end of an operation. One that waits is cancelled at once;
// one that runs is told to stop, and says itself when it has. Asking again
// changes nothing; one that has ended otherwise is a CONFLICT.
func (a *App) Cancel(ctx context.Context, id string) (Accepted, error) {
	op, err := a.Operations.Update(ctx, id, func(op contract.Operation) (contract.Change, error) {
		switch {
		case op.State == contract.Cancelled, op.CancelRequested && !op.State.Ended():
			return nil, nil
		case op.State.Ended():
			return nil, &contract.Error{Code: contract.CodeConflict, Detail: fmt.Sprintf("operation %s has ended: it is %s", id, op.State)}
		case op.State == contract.Pending:
			return contract.OperationCancelled{At: time.Now().UTC()}, nil
		}
		return contract.OperationCancelRequested{}, nil
	})
	if err != nil || op.State.Ended() {
		return Accepted{Operation: op, Over: true}, err
	}
	return Accepted{Operation: op}, a.Operations.Signal(id)
}
