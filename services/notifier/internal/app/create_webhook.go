package app

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// Limits of what an endpoint may ask for.
const (
	maxFilters     = 50
	maxProjects    = 200
	maxDescription = 500
	secretBytes    = 32
)

// CreateWebhook registers an endpoint and answers its secret, this once.
func (a *App) CreateWebhook(ctx context.Context, request contract.CreateWebhook) (contract.Webhook, error) {
	if err := a.check(request); err != nil {
		return contract.Webhook{}, err
	}
	seq, err := a.Queue.LastEvent(ctx)
	if err != nil {
		return contract.Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	key := make([]byte, secretBytes)
	_, _ = rand.Read(key) // never fails
	endpoint := Endpoint{
		Webhook: contract.Webhook{
			ID: a.NewID(), URL: request.URL, Events: distinct(request.Events), Projects: distinct(request.Projects),
			Description: request.Description, CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
		},
		Secret:   "whsec_" + base64.StdEncoding.EncodeToString(key),
		AfterSeq: seq,
	}
	if err := a.Endpoints.Add(ctx, endpoint); err != nil {
		return contract.Webhook{}, fmt.Errorf("create webhook: %w", err)
	}
	answer := endpoint.Webhook
	answer.Secret = endpoint.Secret
	return answer, nil
}

// check returns all that is wrong with a request.
func (a *App) check(request contract.CreateWebhook) error {
	var fields []contract.FieldError
	wrong := func(field, format string, args ...any) {
		fields = append(fields, contract.FieldError{Field: field, Message: fmt.Sprintf(format, args...)})
	}
	forbidden := a.Targets.CheckURL(request.URL)
	if forbidden != nil && !errors.Is(forbidden, domain.ErrTargetNotAllowed) {
		wrong("url", "%v", forbidden)
		forbidden = nil
	}
	if n := len(request.Events); n == 0 || n > maxFilters {
		wrong("events", "must have 1 to %d entries", maxFilters)
	}
	for i, filter := range request.Events {
		if !domain.ValidFilter(filter) {
			wrong(fmt.Sprintf("events[%d]", i), "%s", domain.FilterRule)
		}
	}
	if len(request.Projects) > maxProjects {
		wrong("projects", "must have at most %d entries", maxProjects)
	}
	for i, slug := range request.Projects {
		if !domain.ValidSlug(slug) {
			wrong(fmt.Sprintf("projects[%d]", i), "must be the slug of a project")
		}
	}
	if len(request.Description) > maxDescription {
		wrong("description", "must have at most %d bytes", maxDescription)
	}
	switch {
	case len(fields) > 0:
		return &contract.Error{Code: contract.CodeInvalidRequest, Detail: fields[0].Field + " " + fields[0].Message, Fields: fields}
	case forbidden != nil:
		return &contract.Error{
			Code: contract.CodeTargetNotAllowed, Detail: "url: " + forbidden.Error(),
			Fields: []contract.FieldError{{Field: "url", Message: forbidden.Error()}},
		}
	}
	return nil
}

// distinct sorts words and leaves out those that come twice; never nil.
func distinct(words []string) []string {
	sorted := append([]string{}, words...)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}
