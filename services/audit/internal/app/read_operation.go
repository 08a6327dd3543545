package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// GetOperation answers an operation as its last legal event left it.
func (a *App) GetOperation(ctx context.Context, request contract.GetOperation) (contract.Operation, error) {
	if !contract.ValidOperationID(request.ID) {
		return contract.Operation{}, noOperation(request.ID)
	}
	op, found, err := a.View.Operation(ctx, request.ID)
	if err != nil {
		return contract.Operation{}, fmt.Errorf("get operation %s: %w", request.ID, err)
	}
	if !found {
		return contract.Operation{}, noOperation(request.ID)
	}
	return op, nil
}

// GetOperationHistory answers the events of an operation, those without effect
// included.
func (a *App) GetOperationHistory(ctx context.Context, request contract.GetOperationHistory) (contract.OperationHistory, error) {
	if !contract.ValidOperationID(request.ID) {
		return contract.OperationHistory{}, noOperation(request.ID)
	}
	events, more, err := a.View.History(ctx, request.ID, request.AfterSeq)
	if err != nil {
		return contract.OperationHistory{}, fmt.Errorf("history of operation %s: %w", request.ID, err)
	}
	if len(events) == 0 && request.AfterSeq == 0 {
		return contract.OperationHistory{}, noOperation(request.ID)
	}
	return contract.OperationHistory{Events: events, More: more}, nil
}

// GetProjectionPosition answers how far the view has come.
func (a *App) GetProjectionPosition(ctx context.Context, _ contract.GetProjectionPosition) (contract.ProjectionPosition, error) {
	position, err := a.View.Position(ctx)
	if err != nil {
		return contract.ProjectionPosition{}, fmt.Errorf("position of the projection: %w", err)
	}
	return contract.ProjectionPosition{ProjectedSeq: position}, nil
}

func noOperation(id string) error {
	return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no operation %q", id)}
}
