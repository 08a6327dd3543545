package gateway_test

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

func TestAListIsAskedOfTheServiceThatKeepsIt(t *testing.T) {
	w := newWorld(t)
	w.get("/operations").problem(t, http.StatusServiceUnavailable, contract.CodeUnavailable)

	w.ready("shop")
	op := w.run("shop")
	var asked contract.ListOperations
	next := "c2"
	serve(w, contract.ServiceAudit, contract.VerbListOperations, func(r contract.ListOperations) (contract.OperationList, error) {
		if r.Cursor == "broken" {
			return contract.OperationList{}, &contract.Error{Code: contract.CodeInvalidRequest, Detail: "the cursor is broken", Fields: []contract.FieldError{{Field: "cursor", Message: "is broken"}}}
		}
		asked = r
		op.RequestHash = "secret"
		return contract.OperationList{Operations: []contract.Operation{op.Operation}, NextCursor: &next, ProjectedSeq: 42, Stale: true}, nil
	})
	var list struct {
		Operations []operation
		NextCursor *string `json:"next_cursor"`
	}
	a := w.get("/operations?state=pending,failed&project=shop&kind=command.shell&since=2026-01-02T03:04:05Z&limit=200&cursor=c1&min_seq=7")
	a.decode(t, http.StatusOK, &list)
	want := contract.ListOperations{
		State: "pending,failed", Project: "shop", Kind: "command.shell", Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Limit: 200, Cursor: "c1", MinSeq: 7,
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Error(diff)
	}
	if len(list.Operations) != 1 || list.Operations[0].ID != op.ID || list.Operations[0].Links.Self == "" || *list.NextCursor != "c2" {
		t.Errorf("list %+v", list)
	}
	if a.header.Get("Rdev-Seq") != "42" || a.header.Get("Rdev-Stale") != "true" || strings.Contains(string(a.body), "secret") {
		t.Errorf("headers %v, body %s", a.header, a.body)
	}
	w.get("/operations?since=24h").decode(t, http.StatusOK, &list)
	if ago := time.Since(asked.Since); ago < 24*time.Hour || ago > 25*time.Hour {
		t.Errorf("since %s", asked.Since)
	}
	w.get("/operations?cursor=broken").problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "cursor")
}

func TestProjectsAndAgentsAreListed(t *testing.T) {
	w := newWorld(t)
	serve(w, contract.ServiceProvisioner, contract.VerbListProjects, func(r contract.ListProjects) (contract.ProjectList, error) {
		if r.Limit != 2 || r.Cursor != "c" || r.MinSeq != 3 {
			t.Errorf("asked %+v", r)
		}
		return contract.ProjectList{Projects: []contract.Project{{Slug: "shop", State: contract.ProjectReady}}}, nil
	})
	serve(w, contract.ServiceExecutor, contract.VerbAgents, func(struct{}) (contract.AgentList, error) {
		return contract.AgentList{Agents: []contract.AgentInfo{{Name: "codex"}}}, nil
	})
	var projects struct {
		Projects   []map[string]any
		NextCursor *string `json:"next_cursor"`
	}
	a := w.get("/projects?limit=2&cursor=c&min_seq=3")
	a.decode(t, http.StatusOK, &projects)
	if len(projects.Projects) != 1 || projects.Projects[0]["slug"] != "shop" || projects.NextCursor != nil || !strings.Contains(string(a.body), `"next_cursor":null`) {
		t.Errorf("projects %s", a.body)
	}
	var agents contract.AgentList
	w.get("/agents").decode(t, http.StatusOK, &agents)
	if len(agents.Agents) != 1 || agents.Agents[0].Name != "codex" {
		t.Errorf("agents %+v", agents)
	}
}

func TestWhatTheLogHasForgottenTheAuditRemembers(t *testing.T) {
	w := newWorld(t)
	old := contract.Operation{ID: unknownID, Kind: contract.KindShell, Project: "shop", State: contract.Completed, Rev: 3, Attempt: 1, Seq: 17}
	serve(w, contract.ServiceAudit, contract.VerbGetOperation, func(contract.GetOperation) (contract.Operation, error) { return old, nil })
	var pages atomic.Int32
	serve(w, contract.ServiceAudit, contract.VerbOperationHistory, func(r contract.GetOperationHistory) (contract.OperationHistory, error) {
		pages.Add(1)
		if r.AfterSeq == 0 {
			return contract.OperationHistory{Events: []contract.OperationEvent{{Seq: 15, Type: "pending", Operation: &contract.Operation{ID: old.ID, State: contract.Pending, Rev: 1, Seq: 15}}}, More: true}, nil
		}
		return contract.OperationHistory{Events: []contract.OperationEvent{{Seq: 17, Type: "completed", Operation: &old}}}, nil
	})
	path := "/operations/" + unknownID
	if op := w.get(path).operation(t, http.StatusOK); op.Seq != 17 {
		t.Errorf("read %+v", op)
	}
	if op := w.get(path+"?as_of_seq=16").operation(t, http.StatusOK); op.State != contract.Pending {
		t.Errorf("as of 16 it is %s", op.State)
	}
	var history struct{ Events []struct{ Seq uint64 } }
	w.get(path+"/events").decode(t, http.StatusOK, &history)
	if len(history.Events) != 2 || pages.Load() != 4 {
		t.Errorf("history %+v in %d pages", history, pages.Load())
	}
	if frames := w.open(path+"/output", "").rest(); len(frames) != 1 || frames[0].Event != "end" {
		t.Errorf("output %q", events(frames))
	}
}

func TestAWebhookIsCreatedListedAndDeleted(t *testing.T) {
	w := newWorld(t)
	w.get("/webhooks").problem(t, http.StatusServiceUnavailable, contract.CodeUnavailable)
	hook := contract.Webhook{ID: unknownID, URL: "https://example.com", Events: []string{"*"}, Projects: []string{}, CreatedAt: time.Now().UTC()}
	unknown := &contract.Error{Code: contract.CodeNotFound, Detail: "there is no such webhook"}
	serve(w, contract.ServiceNotifier, contract.VerbCreateWebhook, func(r contract.CreateWebhook) (contract.Webhook, error) {
		if r.URL != hook.URL {
			return contract.Webhook{}, &contract.Error{Code: contract.CodeTargetNotAllowed, Detail: "private", Fields: []contract.FieldError{{Field: "url", Message: "is private"}}}
		}
		created := hook
		created.Secret = "whsec_x"
		return created, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbListWebhooks, func(r contract.ListWebhooks) (contract.WebhookList, error) {
		if r.Limit != 3 || r.Cursor != "c" {
			t.Errorf("asked %+v", r)
		}
		return contract.WebhookList{Webhooks: []contract.Webhook{hook}}, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbGetWebhook, func(r contract.GetWebhook) (contract.Webhook, error) {
		if r.ID != hook.ID {
			return hook, unknown
		}
		return hook, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbDeleteWebhook, func(contract.DeleteWebhook) (contract.WebhookDeleted, error) {
		return contract.WebhookDeleted{}, nil
	})
	serve(w, contract.ServiceNotifier, contract.VerbListDeliveries, func(r contract.ListDeliveries) (contract.DeliveryList, error) {
		if r.ID != hook.ID || r.Limit != 1 {
			t.Errorf("asked %+v", r)
		}
		return contract.DeliveryList{Deliveries: []contract.Delivery{{ID: "d", Seq: 9, Status: contract.DeliveryPending}}}, nil
	})

	var got contract.Webhook
	a := w.send(call{path: "/webhooks", body: `{"url":"https://example.com","events":["*"]}`})
	a.decode(t, http.StatusCreated, &got)
	if got.Secret != "whsec_x" || a.header.Get("Location") != "/webhooks/"+unknownID || a.header.Get("Cache-Control") != "no-store" {
		t.Errorf("created %+v, %v", got, a.header)
	}
	w.send(call{path: "/webhooks", body: `{"url":"http://10.0.0.1","events":["*"]}`}).problem(t, http.StatusBadRequest, contract.CodeTargetNotAllowed, "url")
	w.send(call{path: "/webhooks", body: `{"url":"https://example.com","event":"*"}`}).problem(t, http.StatusBadRequest, contract.CodeInvalidRequest, "event")
	var list contract.WebhookList
	w.get("/webhooks?limit=3&cursor=c").decode(t, http.StatusOK, &list)
	if len(list.Webhooks) != 1 || list.Webhooks[0].Secret != "" {
		t.Errorf("list %+v", list)
	}
	w.get("/webhooks/"+unknownID).decode(t, http.StatusOK, &got)
	w.get("/webhooks/"+strings.Replace(unknownID, "0192", "0193", 1)).problem(t, http.StatusNotFound, contract.CodeNotFound)
	var deliveries contract.DeliveryList
	w.get("/webhooks/"+unknownID+"/deliveries?limit=1").decode(t, http.StatusOK, &deliveries)
	if len(deliveries.Deliveries) != 1 || deliveries.Deliveries[0].Seq != 9 {
		t.Errorf("deliveries %+v", deliveries)
	}
	if a := w.send(call{method: http.MethodDelete, path: "/webhooks/" + unknownID}); a.status != http.StatusNoContent || len(a.body) > 0 {
		t.Errorf("delete answers %d %s", a.status, a.body)
	}
}
