package app

import (
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// App answers requests about endpoints and sends events to them.
type App struct {
	Endpoints  Endpoints
	Deliveries Deliveries
	Queue      Queue
	Sender     Sender
	Targets    domain.Targets
	Backoff    domain.Backoff
	// NewID makes the id of an endpoint, later ones greater than earlier ones.
	NewID func() string
}

// explain makes of an error of a port one that a caller understands.
func explain(id string, err error) error {
	if errors.Is(err, contract.ErrNotFound) {
		return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no webhook %q", id)}
	}
	return fmt.Errorf("webhook %s: %w", id, err)
}

// pageSize is the size of a page for the limit of a request.
func pageSize(limit int) int {
	if limit <= 0 {
		return contract.DefaultPage
	}
	return min(limit, contract.MaxPage)
}
