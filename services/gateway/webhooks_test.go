package gateway_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/orchard9/rdev/libs/contract"
)

// hooks is a notifier that keeps one endpoint and what it was asked last.
type hooks struct {
	hook contract.Webhook

	updated     contract.UpdateWebhook
	rotated     contract.RotateWebhook
	listed      contract.ListDeliveries
	redelivered contract.Redeliver
}

// wholeHook is an endpoint that has all that one can have.
func wholeHook(id string) contract.Webhook {
	now := time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)
	return contract.Webhook{
		ID: id, Name: "ci", URL: "https://ci.example.com/rdev", Events: []string{"operation.*"}, Projects: []string{"shop"}, Description: "d",
		Headers: map[string]string{"Authorization": contract.HiddenHeader}, Rate: 5, RetryClientErrors: true,
		Enabled: true, DisabledReason: "it failed for 24h", CreatedAt: now, UpdatedAt: now, Rev: 2, OldSecretUntil: &now,
		Health: contract.WebhookHealth{Seq: 7, Failures: 1, FailingSince: &now, NextAttemptAt: &now, LastError: "answered 500"},
	}
}

func withSecret(hook contract.Webhook, secret string) contract.Webhook {
	hook.Secret = secret
	return hook
}

func serveHooks(w *world) *hooks {
	w.t.Helper()
	n := &hooks{hook: wholeHook(unknownID)}
	serve(w, contract.ServiceNotifier, contract.VerbGetWebhook, func(r contract.GetWebhook) (contract.Webhook, error) {
		if r.ID != n.hook.ID {
			return contract.Webhook{}, &contract.Error{Code: contract.CodeNotFound, Detail: "there is no webhook " + r.ID}
		}
		return n.hook, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbUpdateWebhook, func(r contract.UpdateWebhook) (contract.Webhook, error) {
		n.updated = r
		return n.hook, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbRotateWebhook, func(r contract.RotateWebhook) (contract.Webhook, error) {
		n.rotated = r
		return withSecret(n.hook, "whsec_new"), nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbEnableWebhook, func(contract.GetWebhook) (contract.Webhook, error) { return n.hook, nil })
	serve(w, contract.ServiceNotifier, contract.VerbTestWebhook, func(contract.GetWebhook) (contract.DeliveryAttempt, error) {
		return contract.DeliveryAttempt{At: n.hook.CreatedAt, StatusCode: 500, DurationMS: 12, Error: "answered 500", Response: "oh no"}, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbListDeliveries, func(r contract.ListDeliveries) (contract.DeliveryList, error) {
		n.listed = r
		return contract.DeliveryList{Deliveries: []contract.Delivery{{
			ID: "d", EventID: "e", Seq: 9, Type: "operation.completed", Status: contract.DeliveryDead,
			Attempts: []contract.DeliveryAttempt{{At: n.hook.CreatedAt, Error: "refused"}},
		}}}, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbRedeliver, func(r contract.Redeliver) (contract.Redelivering, error) {
		n.redelivered = r
		return contract.Redelivering{Deliveries: 3, FromSeq: r.FromSeq}, nil
	})
	return n
}

// TestAWebhookIsMadeOncePerIdempotencyKey plays a notifier that answers the same id
// with the endpoint that is there.
func TestAWebhookIsMadeOncePerIdempotencyKey(t *testing.T) {
	w := newWorld(t)
	made := map[string]contract.CreateWebhook{}
	serve(w, contract.ServiceNotifier, contract.VerbCreateWebhook, func(r contract.CreateWebhook) (contract.Webhook, error) {
		before, there := made[r.ID]
		if there && before.URL != r.URL {
			return contract.Webhook{}, &contract.Error{Code: contract.CodeIdempotencyMismatch, Detail: "the id is of another webhook"}
		}
		made[r.ID] = r
		hook := contract.Webhook{ID: r.ID, URL: r.URL, Events: r.Events, Projects: r.Projects, Headers: r.Headers}
		if !there {
			hook.Secret = "whsec_x"
		}
		return hook, nil
	})
	other, _ := w.start()
	const body = `{"name":"ci","url":"https://ci.example.com","events":["*"],"projects":["shop"],"description":"d","headers":{"X-Token":"t"},"rate":5,"retry_client_errors":true}`
	key := map[string]string{"Idempotency-Key": "k"}
	var first, again contract.Webhook
	a := w.send(call{path: "/webhooks", body: body, header: key})
	a.decode(t, http.StatusCreated, &first)
	if a.header.Get("Idempotency-Replayed") != "" || first.Secret == "" {
		t.Errorf("the first time: %v %s", a.header, a.body)
	}
	a = w.send(call{url: other, path: "/webhooks", body: body, header: key})
	a.decode(t, http.StatusCreated, &again)
	if again.ID != first.ID || again.Secret != "" || a.header.Get("Idempotency-Replayed") != "true" || a.header.Get("Location") != "/webhooks/"+first.ID {
		t.Errorf("again: %v %s, want %s", a.header, a.body, first.ID)
	}
	want := contract.CreateWebhook{
		ID: first.ID, Name: "ci", URL: "https://ci.example.com", Events: []string{"*"}, Projects: []string{"shop"}, Description: "d",
		Headers: map[string]string{"X-Token": "t"}, Rate: 5, RetryClientErrors: true,
	}
	if diff := cmp.Diff(want, made[first.ID]); diff != "" {
		t.Error(diff)
	}
	w.send(call{path: "/webhooks", body: strings.Replace(body, "ci.", "cd.", 1), header: key}).problem(t, http.StatusConflict, contract.CodeIdempotencyMismatch)
	// Another key of the API has its own, and without one each request does.
	foreign := w.newKey(`{"name":"foreign","scopes":["webhooks:write"]}`).Secret
	for _, c := range []call{{header: key, key: foreign}, {}, {}} {
		c.path, c.body = "/webhooks", body
		w.send(c).decode(t, http.StatusCreated, &again)
	}
	if len(made) != 4 {
		t.Errorf("%d webhooks, want 4", len(made))
	}
	w.send(call{path: "/webhooks", body: body, header: map[string]string{"Idempotency-Key": strings.Repeat("k", 256)}}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest)
	w.send(call{path: "/webhooks", body: `{"id":"` + unknownID + `","url":"https://ci.example.com","events":["*"]}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "id")
}

func TestAWebhookIsChangedFieldByField(t *testing.T) {
	w := newWorld(t)
	n := serveHooks(w)
	s := w.schemas()
	path := "/webhooks/" + unknownID
	patch := func(body string) answer { return w.send(call{method: http.MethodPatch, path: path, body: body}) }
	text, rate, yes, no := "x", 0, true, false
	for body, want := range map[string]contract.UpdateWebhook{
		`{}`: {},
		`{"name":null,"url":null,"events":null,"projects":null,"description":null,"headers":null,"rate":null,"retry_client_errors":null,"enabled":null}`: {},
		`{"name":"x","url":"x","description":"x","rate":0}`: {Name: &text, URL: &text, Description: &text, Rate: &rate},
		`{"retry_client_errors":true,"enabled":false}`:      {RetryClientErrors: &yes, Enabled: &no},
		`{"events":["*"],"projects":[],"headers":{}}`:       {Events: []string{"*"}, Projects: &[]string{}, Headers: &map[string]string{}},
	} {
		s.check("UpdateWebhook", []byte(body))
		n.updated = contract.UpdateWebhook{}
		a := patch(body)
		a.decode(t, http.StatusOK, &contract.Webhook{})
		s.check("Webhook", a.body)
		want.ID = unknownID
		if diff := cmp.Diff(want, n.updated); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	patch(`{"events":[]}`).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "events")
	patch(`{"id":"x"}`).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "id")
	patch(`{"secret":"whsec_x"}`).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "secret")

	// A key of some projects sends no events of others, nor of all.
	own := w.newKey(`{"name":"own","scopes":["webhooks:write"],"projects":["shop","sh-*"]}`).Secret
	for body, want := range map[string]int{
		`{"projects":[]}`: http.StatusForbidden, `{"projects":["shop","blog"]}`: http.StatusForbidden,
		`{"projects":["shop","sh-1"]}`: http.StatusOK, `{"name":"x"}`: http.StatusOK,
	} {
		n.updated = contract.UpdateWebhook{}
		if a := w.send(call{method: http.MethodPatch, path: path, body: body, key: own}); a.status != want || want != http.StatusOK && n.updated.ID != "" {
			t.Errorf("%s: %d %s, want %d", body, a.status, a.body, want)
		}
	}
}

func TestAWebhookIsRotatedEnabledTestedAndRedelivered(t *testing.T) {
	w := newWorld(t)
	n := serveHooks(w)
	s := w.schemas()
	path := "/webhooks/" + unknownID
	for body, want := range map[string]time.Duration{`{}`: 24 * time.Hour, `{"overlap":null}`: 24 * time.Hour, `{"overlap":"0s"}`: 0, `{"overlap":"168h"}`: 168 * time.Hour} {
		s.check("RotateWebhook", []byte(body))
		var hook contract.Webhook
		a := w.send(call{path: path + "/rotate", body: body})
		a.decode(t, http.StatusOK, &hook)
		s.check("Webhook", a.body)
		if n.rotated.ID != unknownID || time.Duration(n.rotated.Overlap) != want || hook.Secret != "whsec_new" {
			t.Errorf("%s: asked %+v, answered %s", body, n.rotated, a.body)
		}
	}
	for _, overlap := range []string{"169h", "-1s", "soon", ""} {
		w.send(call{path: path + "/rotate", body: `{"overlap":"` + overlap + `"}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "overlap")
	}

	a := w.send(call{path: path + "/enable"})
	a.decode(t, http.StatusOK, &contract.Webhook{})
	s.check("Webhook", a.body)

	var attempt contract.DeliveryAttempt
	a = w.send(call{path: path + "/test"})
	a.decode(t, http.StatusOK, &attempt)
	s.check("DeliveryAttempt", a.body)
	if attempt.StatusCode != http.StatusInternalServerError || attempt.Error == "" || attempt.Response != "oh no" {
		t.Errorf("tested %s", a.body)
	}

	a = w.get(path + "/deliveries?status=dead&type=operation.completed&limit=5&cursor=c")
	a.decode(t, http.StatusOK, &contract.DeliveryList{})
	s.check("DeliveryList", a.body)
	if diff := cmp.Diff(contract.ListDeliveries{ID: unknownID, Status: contract.DeliveryDead, Type: "operation.completed", Limit: 5, Cursor: "c"}, n.listed); diff != "" {
		t.Error(diff)
	}
	w.get(path+"/deliveries?status=lost").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "status")

	for body, want := range map[string]contract.Redeliver{
		`{"status":"dead"}`: {Status: contract.DeliveryDead}, `{"from_seq":5}`: {FromSeq: 5}, `{"to_seq":9}`: {ToSeq: 9},
		`{"status":"delivered","from_seq":5,"to_seq":5}`: {Status: contract.DeliveryDelivered, FromSeq: 5, ToSeq: 5},
	} {
		s.check("Redeliver", []byte(body))
		a := w.send(call{path: path + "/redeliver", body: body})
		a.decode(t, http.StatusAccepted, &contract.Redelivering{})
		s.check("Redelivering", a.body)
		want.ID = unknownID
		if diff := cmp.Diff(want, n.redelivered); diff != "" {
			t.Errorf("%s: %s", body, diff)
		}
	}
	for body, field := range map[string]string{
		`{}`: "status", `{"from_seq":0}`: "status", `{"status":"lost"}`: "status", `{"from_seq":5,"to_seq":4}`: "to_seq",
		`{"from_seq":-1}`: "from_seq", `{"from_seq":18446744073709551615}`: "from_seq", `{"status":"dead","to_seq":9223372036854775808}`: "to_seq",
		`{"delivery":"d"}`: "delivery",
	} {
		w.send(call{path: path + "/redeliver", body: body}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, field)
	}
	w.send(call{path: path + "/deliveries/e-1_x/redeliver"}).decode(t, http.StatusAccepted, &contract.Redelivering{})
	if diff := cmp.Diff(contract.Redeliver{ID: unknownID, Delivery: "e-1_x"}, n.redelivered); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"a.b", "%00", "a%20b", strings.Repeat("a", 65)} {
		w.send(call{path: path + "/deliveries/" + id + "/redeliver"}).problem(t, http.StatusNotFound, contract.CodeNotFound)
	}
}

// TestAWebhookOfOthersIsNotThere asks for each call with a key that may not see the
// endpoint, and for one that is not there: nothing reaches it.
func TestAWebhookOfOthersIsNotThere(t *testing.T) {
	w := newWorld(t)
	n := serveHooks(w)
	serve(w, contract.ServiceNotifier, contract.VerbDeleteWebhook, func(contract.DeleteWebhook) (contract.WebhookDeleted, error) {
		t.Error("it was deleted")
		return contract.WebhookDeleted{}, nil
	})
	foreign := w.newKey(`{"name":"foreign","scopes":["admin"],"projects":["blog"]}`).Secret
	for route := range allowed {
		method, path, _ := strings.Cut(route, " ")
		if !strings.HasPrefix(path, "/webhooks/{webhook}") {
			continue
		}
		for id, key := range map[string]string{unknownID: foreign, strings.Replace(unknownID, "0192", "0193", 1): w.key, "x": w.key} {
			for _, body := range []string{`{`, `{"status":"dead"}`} {
				c := call{method: method, path: strings.NewReplacer("{webhook}", id, "{delivery}", "d").Replace(path), key: key, body: body}
				w.send(c).problem(t, http.StatusNotFound, contract.CodeNotFound)
			}
		}
	}
	if diff := cmp.Diff(&hooks{hook: n.hook}, n, cmp.AllowUnexported(hooks{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

// TestEveryFieldOfAWebhookIsInTheContract holds the fields that answers and requests
// can have against the properties of their schemas.
func TestEveryFieldOfAWebhookIsInTheContract(t *testing.T) {
	w := newWorld(t)
	s := w.schemas()
	var spec struct {
		Components struct {
			Schemas map[string]struct{ Properties map[string]any }
		}
	}
	w.get("/openapi.json").decode(t, http.StatusOK, &spec)
	now := time.Now().UTC()
	attempt := contract.DeliveryAttempt{At: now, StatusCode: 500, DurationMS: 1, Error: "e", Response: "r"}
	hook := withSecret(wholeHook(unknownID), "whsec_x")
	for name, value := range map[string]any{
		"Webhook": hook, "WebhookHealth": hook.Health, "DeliveryAttempt": attempt,
		"Delivery": contract.Delivery{Attempts: []contract.DeliveryAttempt{attempt}, Status: contract.DeliveryPending, NextAttemptAt: &now},
		"CreateWebhook": map[string]any{
			"name": "n", "url": "u", "events": []string{"*"}, "projects": []string{"p"}, "description": "d", "headers": map[string]string{"A": "b"}, "rate": 1, "retry_client_errors": true,
		},
		"Redelivering": contract.Redelivering{Deliveries: 1, FromSeq: 2},
	} {
		body, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		s.check(name, body)
		var fields map[string]any
		if err := json.Unmarshal(body, &fields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(slices.Sorted(maps.Keys(fields)), slices.Sorted(maps.Keys(spec.Components.Schemas[name].Properties))); diff != "" {
			t.Errorf("%s (-value +schema): %s", name, diff)
		}
	}
}
