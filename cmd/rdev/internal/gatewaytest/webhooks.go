package gatewaytest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

// webhook is an endpoint. One whose URL has "down" in it answers nothing but 500;
// others take what they are sent.
type webhook struct {
	contract.Webhook

	request string // Idempotency-Key of the one that asked for it
	after   uint64 // it is sent what came later
	again   map[string]bool
}

func (g *Gateway) webhookRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /webhooks", g.createWebhook)
	mux.HandleFunc("GET /webhooks", g.listWebhooks)
	mux.HandleFunc("GET /webhooks/{webhook}", g.webhook(g.getWebhook))
	mux.HandleFunc("PATCH /webhooks/{webhook}", g.webhook(g.updateWebhook))
	mux.HandleFunc("DELETE /webhooks/{webhook}", g.webhook(g.deleteWebhook))
	mux.HandleFunc("POST /webhooks/{webhook}/rotate", g.webhook(g.rotateWebhook))
	mux.HandleFunc("POST /webhooks/{webhook}/enable", g.webhook(g.enableWebhook))
	mux.HandleFunc("POST /webhooks/{webhook}/test", g.webhook(g.testWebhook))
	mux.HandleFunc("GET /webhooks/{webhook}/deliveries", g.webhook(g.listDeliveries))
	mux.HandleFunc("POST /webhooks/{webhook}/redeliver", g.webhook(g.redeliver))
	mux.HandleFunc("POST /webhooks/{webhook}/deliveries/{delivery}/redeliver", g.webhook(g.redeliverOne))
}

// webhook calls do with the endpoint of the path.
func (g *Gateway) webhook(do func(http.ResponseWriter, *http.Request, *webhook)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		id := r.PathValue("webhook")
		for _, hook := range g.webhooks {
			if hook.ID == id {
				do(w, r, hook)
				return
			}
		}
		notFound(w, "webhook", id)
	}
}

// shown is an endpoint without its secret and the values of its headers.
func (hook *webhook) shown() contract.Webhook {
	shown := hook.Webhook
	shown.Headers = maps.Clone(shown.Headers)
	for name := range shown.Headers {
		shown.Headers[name] = contract.HiddenHeader
	}
	shown.Secret = ""
	return shown
}

// renew gives an endpoint another secret, and answers with it.
func (g *Gateway) renew(w http.ResponseWriter, status int, hook *webhook) {
	g.secrets++
	hook.Secret = "whsec_" + base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "secret-%d", g.secrets))
	hook.Rev++
	shown := hook.shown()
	shown.Secret = hook.Secret
	answer(w, status, shown)
}

// wrongWith is the field of an endpoint that is not right, and why; "" for none.
func wrongWith(hook contract.Webhook) (field, why string) {
	if strings.HasPrefix(hook.URL, "http://10.") {
		return "url", "target not allowed: it is not public"
	}
	for i, wanted := range hook.Events {
		if wanted == "nonsense" {
			return fmt.Sprintf("events[%d]", i), "must be an event type as operation.completed"
		}
	}
	return "", ""
}

func (g *Gateway) createWebhook(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	hook := &webhook{request: r.Header.Get("Idempotency-Key"), after: uint64(len(g.log)), again: map[string]bool{}}
	if err := json.Unmarshal(readBody(r), &hook.Webhook); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	if field, why := wrongWith(hook.Webhook); field != "" {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", field+" "+why, contract.FieldError{Field: field, Message: why})
		return
	}
	for _, other := range g.webhooks {
		switch {
		case other.request == hook.request:
			w.Header().Set("Idempotency-Replayed", "true")
			answer(w, http.StatusCreated, other.shown())
			return
		case other.Name != "" && other.Name == hook.Name:
			problem(w, http.StatusConflict, "CONFLICT", fmt.Sprintf("there is a webhook %q already, with the id %s", hook.Name, other.ID))
			return
		}
	}
	g.hooks++
	hook.ID = fmt.Sprintf("0192cccc-0000-7000-8000-%012d", g.hooks)
	hook.Enabled, hook.CreatedAt, hook.UpdatedAt = true, time.Now().UTC(), time.Now().UTC()
	hook.Projects, hook.Health.Seq = append([]string{}, hook.Projects...), hook.after
	g.webhooks = append(g.webhooks, hook)
	g.renew(w, http.StatusCreated, hook)
}

// listWebhooks answers two at a time, so that clients have to turn pages.
func (g *Gateway) listWebhooks(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := contract.WebhookList{Webhooks: []contract.Webhook{}}
	for _, hook := range slices.Backward(g.webhooks) {
		if cursor := r.URL.Query().Get("cursor"); cursor != "" && hook.ID >= cursor {
			continue
		}
		if len(list.Webhooks) == 2 {
			list.NextCursor = &list.Webhooks[1].ID
			break
		}
		list.Webhooks = append(list.Webhooks, hook.shown())
	}
	answer(w, http.StatusOK, list)
}

func (g *Gateway) getWebhook(w http.ResponseWriter, _ *http.Request, hook *webhook) {
	answer(w, http.StatusOK, hook.shown())
}

func (g *Gateway) updateWebhook(w http.ResponseWriter, r *http.Request, hook *webhook) {
	now := hook.Webhook
	now.Headers, now.Events, now.Projects = nil, slices.Clone(now.Events), slices.Clone(now.Projects)
	body := json.NewDecoder(strings.NewReader(string(readBody(r))))
	body.DisallowUnknownFields()
	if err := body.Decode(&now); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", err.Error())
		return
	}
	if field, why := wrongWith(now); field != "" {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", field+" "+why, contract.FieldError{Field: field, Message: why})
		return
	}
	if now.Headers == nil {
		now.Headers = hook.Headers
	}
	for name, value := range now.Headers {
		if value == contract.HiddenHeader {
			now.Headers[name] = hook.Headers[name]
		}
	}
	now.Rev++
	hook.Webhook = now
	answer(w, http.StatusOK, hook.shown())
}

func (g *Gateway) deleteWebhook(w http.ResponseWriter, _ *http.Request, hook *webhook) {
	g.webhooks = slices.DeleteFunc(g.webhooks, func(other *webhook) bool { return other == hook })
	w.WriteHeader(http.StatusNoContent)
}

func (g *Gateway) rotateWebhook(w http.ResponseWriter, r *http.Request, hook *webhook) {
	var body struct{ Overlap contract.Duration }
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	hook.OldSecretUntil = nil
	if until := time.Now().Add(time.Duration(body.Overlap)).UTC(); body.Overlap > 0 {
		hook.OldSecretUntil = &until
	}
	g.renew(w, http.StatusOK, hook)
}

func (g *Gateway) enableWebhook(w http.ResponseWriter, _ *http.Request, hook *webhook) {
	hook.Enabled, hook.DisabledReason = true, ""
	answer(w, http.StatusOK, hook.shown())
}

func (g *Gateway) testWebhook(w http.ResponseWriter, _ *http.Request, hook *webhook) {
	answer(w, http.StatusOK, hook.attempt())
}

// attempt is what comes of a request to an endpoint.
func (hook *webhook) attempt() contract.DeliveryAttempt {
	attempt := contract.DeliveryAttempt{At: time.Now().UTC(), StatusCode: http.StatusOK, DurationMS: 12}
	if strings.Contains(hook.URL, "down") {
		attempt.StatusCode, attempt.Error, attempt.Response = http.StatusInternalServerError, "answered 500", "oh\x1b[2J no"
	}
	return attempt
}

// deliveries are of all events that an endpoint wants, the newest first.
func (g *Gateway) deliveries(hook *webhook) []contract.Delivery {
	var all []contract.Delivery
	for _, e := range slices.Backward(g.log) {
		wanted := slices.ContainsFunc(hook.Events, func(pattern string) bool { return contract.MatchEventType(pattern, e.Type) })
		if e.Seq <= hook.after || !wanted || (len(hook.Projects) > 0 && !slices.Contains(hook.Projects, e.Project)) {
			continue
		}
		attempt, status := hook.attempt(), contract.DeliveryDelivered
		if attempt.Error != "" {
			status = contract.DeliveryDead
		}
		if hook.again[e.ID] {
			status = contract.DeliveryPending
		}
		all = append(all, contract.Delivery{
			ID: strconv.FormatUint(e.Seq, 10), EventID: e.ID, Seq: e.Seq, Type: e.Type, Status: status, Attempts: []contract.DeliveryAttempt{attempt},
		})
	}
	return all
}

func (g *Gateway) listDeliveries(w http.ResponseWriter, r *http.Request, hook *webhook) {
	query, list := r.URL.Query(), contract.DeliveryList{Deliveries: []contract.Delivery{}}
	for _, d := range g.deliveries(hook) {
		before, err := strconv.ParseUint(query.Get("cursor"), 10, 64)
		if cmp.Or(query.Get("status"), string(d.Status)) == string(d.Status) && cmp.Or(query.Get("type"), d.Type) == d.Type && (err != nil || d.Seq < before) {
			list.Deliveries = append(list.Deliveries, d)
		}
	}
	limit := contract.DefaultPage
	if given := query.Get("limit"); given != "" {
		_, _ = fmt.Sscan(given, &limit)
	}
	if len(list.Deliveries) > limit {
		list.Deliveries = list.Deliveries[:limit]
		next := strconv.FormatUint(list.Deliveries[limit-1].Seq, 10)
		list.NextCursor = &next
	}
	answer(w, http.StatusOK, list)
}

func (g *Gateway) redeliver(w http.ResponseWriter, r *http.Request, hook *webhook) {
	var body contract.Redeliver
	if err := json.Unmarshal(readBody(r), &body); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	if body.Status == "" && body.ToSeq == 0 {
		hook.after = body.FromSeq - 1
		answer(w, http.StatusAccepted, contract.Redelivering{FromSeq: body.FromSeq})
		return
	}
	g.deliverAgain(w, hook, func(d contract.Delivery) bool {
		return cmp.Or(body.Status, d.Status) == d.Status && d.Seq >= body.FromSeq && (body.ToSeq == 0 || d.Seq <= body.ToSeq)
	})
}

func (g *Gateway) redeliverOne(w http.ResponseWriter, r *http.Request, hook *webhook) {
	id := r.PathValue("delivery")
	if !slices.ContainsFunc(g.deliveries(hook), func(d contract.Delivery) bool { return d.ID == id }) {
		notFound(w, "delivery", id)
		return
	}
	g.deliverAgain(w, hook, func(d contract.Delivery) bool { return d.ID == id })
}

func (g *Gateway) deliverAgain(w http.ResponseWriter, hook *webhook, wanted func(contract.Delivery) bool) {
	count := 0
	for _, d := range g.deliveries(hook) {
		if wanted(d) {
			hook.again[d.EventID] = true
			count++
		}
	}
	answer(w, http.StatusAccepted, contract.Redelivering{Deliveries: count})
}
