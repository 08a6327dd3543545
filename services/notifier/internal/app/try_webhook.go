package app

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// TypeTest is the type of an event that is sent to see whether an endpoint works. It
// is in no log.
const TypeTest = "webhook.test"

// tryTimeout is below that of an answer: what hangs is told as an attempt that failed.
const tryTimeout = 8 * time.Second

// TestWebhook sends an endpoint an event that is for nothing else, also where it is
// disabled, and answers what came of it.
func (a *App) TestWebhook(ctx context.Context, request contract.GetWebhook) (contract.DeliveryAttempt, error) {
	e, err := a.Endpoints.Get(ctx, request.ID)
	if err != nil {
		return contract.DeliveryAttempt{}, explain(request.ID, err)
	}
	now := time.Now().UTC()
	data, err := json.Marshal(map[string]any{"webhook": e.Webhook.ID, "time": now, "message": "rdev tests this webhook; nothing happened"})
	if err != nil {
		return contract.DeliveryAttempt{}, fmt.Errorf("encode test: %w", err)
	}
	id, header := a.NewID(), http.Header{}
	for name, value := range map[string]string{
		contract.HeaderEventID: id, contract.HeaderType: contract.TypePrefix + TypeTest + contract.TypeSuffix, contract.HeaderSpecVersion: "1.0",
		contract.HeaderSource: "/rdev/" + contract.ServiceNotifier, contract.HeaderSubject: e.Webhook.ID, contract.HeaderTime: now.Format(time.RFC3339Nano),
	} {
		header.Set(name, value)
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	outcome := a.Sender.Send(ctx, Request{
		URL: e.Webhook.URL, Secrets: e.secrets(now), Headers: e.Webhook.Headers,
		Event: &Event{ID: id, Type: TypeTest, Time: now, Data: data, Header: header},
	})
	return attemptOf(outcome, time.Now().UTC()), nil
}
