package app

import (
	"context"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
)

// RebuildProjection empties the view; whoever projects fills it again from the
// log. It is refused where that would lose events which only the view still
// holds. Asked twice it begins twice, with the same end.
func (a *App) RebuildProjection(ctx context.Context, _ contract.RebuildProjection) (contract.ProjectionPosition, error) {
	first, _, err := a.Log.Bounds(ctx)
	if err != nil {
		return contract.ProjectionPosition{}, fmt.Errorf("rebuild the projection: %w", err)
	}
	done, err := a.View.Reset(ctx, first)
	if err != nil {
		return contract.ProjectionPosition{}, fmt.Errorf("rebuild the projection: %w", err)
	}
	if !done {
		return contract.ProjectionPosition{}, &contract.Error{
			Code:   contract.CodeConflict,
			Detail: fmt.Sprintf("the log begins at event %d, and the tables hold events before it that would be lost", first),
		}
	}
	return contract.ProjectionPosition{}, nil
}
