package app

import (
	"errors"
	"fmt"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// ErrTaken is returned where another endpoint has the id or the name.
var ErrTaken = errors.New("taken by another endpoint")

// App answers requests about endpoints.
type App struct {
	Endpoints  Endpoints
	Deliveries Deliveries
	Log        Log
	Sender     Sender
	Targets    domain.Targets
	// MaxEndpoints is how many there may be, 0 for no limit.
	MaxEndpoints int
	// NewID makes the id of an endpoint, later ones greater than earlier ones.
	NewID func() string
}

// explain makes of an error of a port one that a caller understands.
func explain(id string, err error) error {
	switch {
	case errors.Is(err, contract.ErrNotFound):
		return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("there is no webhook %q", id)}
	case errors.Is(err, ErrTaken):
		const message = "is the name of another webhook"
		return &contract.Error{Code: contract.CodeConflict, Detail: "name " + message, Fields: []contract.FieldError{{Field: "name", Message: message}}}
	}
	if known, ok := errors.AsType[*contract.Error](err); ok {
		return known
	}
	return fmt.Errorf("webhook %s: %w", id, err)
}

// show is an endpoint as it is told: without its secrets, and the values of its headers.
func show(e Endpoint) contract.Webhook {
	w := e.Webhook
	if len(w.Headers) > 0 {
		hidden := make(map[string]string, len(w.Headers))
		for name := range w.Headers {
			hidden[name] = contract.HiddenHeader
		}
		w.Headers = hidden
	}
	return w
}

// pageSize is the size of a page for the limit of a request.
func pageSize(limit int) int {
	if limit <= 0 {
		return contract.DefaultPage
	}
	return min(limit, contract.MaxPage)
}
