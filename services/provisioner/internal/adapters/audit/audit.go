// Package audit asks the audit service.
package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
)

// patience bounds one question.
const patience = 10 * time.Second

// Operations implements app.OpenOperations.
type Operations struct{ Bus *bus.Conn }

// Open implements app.OpenOperations. A list that has not caught up is an error.
func (o Operations) Open(ctx context.Context, project string, minSeq uint64) ([]contract.Operation, error) {
	ask := contract.ListOperations{
		State:   string(contract.Pending) + "," + string(contract.Running),
		Project: project, Limit: contract.MaxPage, MinSeq: minSeq,
	}
	var open []contract.Operation
	for {
		page, err := o.page(ctx, ask)
		if err != nil {
			return nil, fmt.Errorf("open operations of %s: %w", project, err)
		}
		if page.Stale {
			return nil, fmt.Errorf("open operations of %s: the list stands at %d and has not reached %d", project, page.ProjectedSeq, minSeq)
		}
		open = append(open, page.Operations...)
		if page.NextCursor == nil {
			return open, nil
		}
		ask.Cursor = *page.NextCursor
	}
}

func (o Operations) page(ctx context.Context, ask contract.ListOperations) (contract.OperationList, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return bus.Call[contract.ListOperations, contract.OperationList](ctx, o.Bus, contract.ServiceAudit, contract.VerbListOperations, ask)
}
