package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/orchard9/rdev/libs/contract"
)

func (g *Gateway) budgetRoutes(mux *http.ServeMux) {
	ofProject := func(r *http.Request) string { return "/projects/" + r.PathValue("project") }
	mux.HandleFunc("GET /projects/{project}/budget", g.inProject(func(w http.ResponseWriter, r *http.Request) { g.getBudget(w, ofProject(r)) }))
	mux.HandleFunc("PUT /projects/{project}/budget", g.inProject(func(w http.ResponseWriter, r *http.Request) { g.putBudget(w, r, ofProject(r)) }))
	mux.HandleFunc("GET /keys/{key}/budget", g.key(func(w http.ResponseWriter, _ *http.Request, key *apiKey) { g.getBudget(w, budgetOf(key)) }))
	mux.HandleFunc("PUT /keys/{key}/budget", g.key(func(w http.ResponseWriter, r *http.Request, key *apiKey) { g.putBudget(w, r, budgetOf(key)) }))
}

func budgetOf(key *apiKey) string { return "/keys/" + key.ID }

func (g *Gateway) getBudget(w http.ResponseWriter, of string) {
	used := g.used[of]
	answer(w, http.StatusOK, map[string]any{
		"budget": g.budgets[of],
		"today": map[string]any{
			"tokens": used.Tokens, "cost_usd": used.CostUSD, "resets_at": time.Now().UTC().Add(5*time.Hour + time.Minute),
		},
	})
}

func (g *Gateway) putBudget(w http.ResponseWriter, r *http.Request, of string) {
	var budget contract.Budget
	if err := json.Unmarshal(readBody(r), &budget); err != nil {
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the body is no JSON")
		return
	}
	if field, most := budget.Default.Exceeds(budget.Most); field != "" {
		field = "default." + field
		problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid",
			contract.FieldError{Field: field, Message: fmt.Sprintf("must be at most %s, as most has it", most)})
		return
	}
	g.budgets[of] = budget
	entity, id := "key", r.PathValue("key")
	data := map[string]any{"id": id}
	if slug := r.PathValue("project"); slug != "" {
		entity, id, data = "project", slug, g.describe(slug)
	}
	if budget != (contract.Budget{}) {
		data["budget"] = budget
	}
	seq := uint64(len(g.log) + 1)
	g.log = append(g.log, event{
		Seq: seq, Entity: entity, Type: entity + ".budgeted", ID: fmt.Sprintf("event-%d", seq), Key: id,
		Time: time.Date(2026, 11, 25, 10, 0, len(g.log), 0, time.UTC), Actor: "key:first", Project: r.PathValue("project"), Data: data,
	})
	g.changed.Broadcast()
	g.getBudget(w, of)
}

// affords answers whose budgets hold for a command; where those of an agent leave it
// nothing, the request is answered.
func (g *Gateway) affords(w http.ResponseWriter, r *http.Request, agent *contract.Agent) (spenders []string, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	spenders = []string{"/projects/" + r.PathValue("project"), budgetOf(g.bearer(secretOf(r)))}
	if agent == nil {
		return spenders, true
	}
	for _, of := range spenders {
		budget, used := g.budgets[of], g.used[of]
		if budget.Day.CostUSD > 0 && used.CostUSD >= budget.Day.CostUSD {
			w.Header().Set("Retry-After", "18060")
			problem(w, http.StatusTooManyRequests, "BUDGET_EXCEEDED", fmt.Sprintf("%s has used up its %.2f USD of today", of, budget.Day.CostUSD))
			return nil, false
		}
		if field, most := agent.Limits.Exceeds(budget.Most); field != "" {
			field = "limits." + field
			problem(w, http.StatusBadRequest, "INVALID_REQUEST", "the request is not valid",
				contract.FieldError{Field: field, Message: fmt.Sprintf("must be at most %s, as %s has it", most, of)})
			return nil, false
		}
	}
	return spenders, true
}

// spend counts what an agent used.
func (g *Gateway) spend(of []string, usage *contract.Usage) {
	for _, one := range of {
		used := g.used[one]
		used.Tokens += usage.Tokens()
		used.CostUSD += usage.Cost()
		g.used[one] = used
	}
}
