package httpapi

import (
	"net/http"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// budgetRequest is the body of PUT /projects/{project}/budget and of
// PUT /keys/{key}/budget: all of the budget. What it does not have is without limit.
type budgetRequest struct {
	Day struct {
		Tokens  *int64   `json:"tokens"`
		CostUSD *float64 `json:"cost_usd"`
	} `json:"day"`
	Default limitRequest `json:"default"`
	Most    limitRequest `json:"most"`
}

// decodeBudget is the budget that a request has.
func decodeBudget(w http.ResponseWriter, r *http.Request) (contract.Budget, error) {
	request, err := api.DecodeJSON[budgetRequest](w, r)
	if err != nil {
		return contract.Budget{}, err
	}
	return request.budget()
}

// budget checks the request, and is what it asks for.
func (b budgetRequest) budget() (contract.Budget, error) {
	v := validate.New()
	budget := contract.Budget{Default: b.Default.limits(v, "default"), Most: b.Most.limits(v, "most")}
	if b.Day.Tokens != nil {
		v.Check("day.tokens", *b.Day.Tokens > 0, "must be positive")
		budget.Day.Tokens = *b.Day.Tokens
	}
	if b.Day.CostUSD != nil {
		v.Check("day.cost_usd", *b.Day.CostUSD > 0, "must be positive")
		budget.Day.CostUSD = *b.Day.CostUSD
	}
	if field, most := budget.Default.Exceeds(budget.Most); field != "" {
		v.Checkf("default."+field, false, "must be at most %s, as most has it", most)
	}
	return budget, v.Err()
}

func (h *handlers) putProjectBudget(w http.ResponseWriter, r *http.Request) error {
	budget, err := decodeBudget(w, r)
	if err != nil {
		return err
	}
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	project, err := h.Queries.SetBudget(r.Context(), contract.SetBudget{Project: slug, Budget: budget})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, h.App.Budgets.OfProject(project))
	return nil
}

func (h *handlers) getProjectBudget(w http.ResponseWriter, r *http.Request) error {
	slug, err := slugOf(r)
	if err != nil {
		return err
	}
	project, err := h.App.Project(r.Context(), slug)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, h.App.Budgets.OfProject(project))
	return nil
}

func (h *handlers) putKeyBudget(w http.ResponseWriter, r *http.Request) error {
	budget, err := decodeBudget(w, r)
	if err != nil {
		return err
	}
	id, err := keyID(r)
	if err != nil {
		return err
	}
	key, err := h.Keys.SetBudget(r.Context(), passOf(r).Grant, id, budget)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, h.App.Budgets.OfKey(key))
	return nil
}

func (h *handlers) getKeyBudget(w http.ResponseWriter, r *http.Request) error {
	id, err := keyID(r)
	if err != nil {
		return err
	}
	return h.writeKeyBudget(w, r, id)
}

// getOwnBudget shows the budget of the key of the request.
func (h *handlers) getOwnBudget(w http.ResponseWriter, r *http.Request) error {
	return h.writeKeyBudget(w, r, passOf(r).ID)
}

func (h *handlers) writeKeyBudget(w http.ResponseWriter, r *http.Request, id string) error {
	key, err := h.Keys.Get(id, passOf(r).Grant)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, h.App.Budgets.OfKey(key))
	return nil
}
