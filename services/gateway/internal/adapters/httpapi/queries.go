package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// Queries are answered by the services that keep the tables. What a service
// refuses is a *contract.Error.
type Queries interface {
	Operations(ctx context.Context, list contract.ListOperations) (contract.OperationList, error)
	Operation(ctx context.Context, id string) (contract.Operation, error)
	OperationHistory(ctx context.Context, query contract.GetOperationHistory) (contract.OperationHistory, error)
	Projects(ctx context.Context, list contract.ListProjects) (contract.ProjectList, error)
	SetBudget(ctx context.Context, set contract.SetBudget) (contract.Project, error)
	PlanProject(ctx context.Context, request contract.PlanProject) (contract.ProjectPlan, error)
	DriftProject(ctx context.Context, request contract.ProjectDrift) (contract.ProjectDifferences, error)
	Agents(ctx context.Context) (contract.AgentList, error)
	Webhooks
	Credentials
	Pipelines
}

func (h *handlers) listOperations(w http.ResponseWriter, r *http.Request) error {
	query, err := listOperationsQuery(r)
	if err != nil {
		return err
	}
	page, err := h.operations(r, query)
	if err != nil {
		return err
	}
	writeSeen(w, page.ProjectedSeq, page.Stale)
	api.Write(w, http.StatusOK, map[string]any{"operations": viewAll(page.Operations), "next_cursor": page.NextCursor})
	return nil
}

// operations are those of a query that the key may see.
func (h *handlers) operations(r *http.Request, query contract.ListOperations) (contract.OperationList, error) {
	if query.Project != "" {
		if err := requireProject(passOf(r), query.Project); err != nil {
			return contract.OperationList{}, err
		}
	}
	query.Within = passOf(r).Projects()
	return h.Queries.Operations(r.Context(), query)
}

func listOperationsQuery(r *http.Request) (contract.ListOperations, error) {
	q := r.URL.Query()
	query := contract.ListOperations{
		State: q.Get("state"), Project: q.Get("project"), Kind: q.Get("kind"), Cursor: q.Get("cursor"),
	}
	v := validate.New()
	for state := range strings.SplitSeq(query.State, ",") {
		v.Check("state", query.State == "" || contract.State(state).Valid(), "must be pending, running, completed, failed or cancelled, or several with commas")
	}
	if since := q.Get("since"); since != "" {
		var err error
		query.Since, err = sinceOf(since)
		v.Check("since", err == nil, `must be a time (RFC 3339) or a duration as "24h"`)
	}
	if err := v.Err(); err != nil {
		return query, err
	}
	var err error
	if query.Limit, err = queryLimit(r); err != nil {
		return query, err
	}
	query.MinSeq, err = queryUint(r, "min_seq")
	return query, err
}

// sinceOf takes a time, or how long ago it was.
func sinceOf(value string) (time.Time, error) {
	if ago, err := time.ParseDuration(value); err == nil {
		return time.Now().Add(-ago).UTC(), nil
	}
	return time.Parse(time.RFC3339, value)
}

func queryLimit(r *http.Request) (int, error) {
	value := r.URL.Query().Get("limit")
	if value == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > contract.MaxPage {
		return 0, invalidQuery("limit", "must be from 1 to "+strconv.Itoa(contract.MaxPage))
	}
	return n, nil
}

// writeSeen tells how far into the log a list has come.
func writeSeen(w http.ResponseWriter, seq uint64, stale bool) {
	if seq > 0 {
		w.Header().Set("Rdev-Seq", strconv.FormatUint(seq, 10))
	}
	if stale {
		w.Header().Set("Rdev-Stale", "true")
	}
}

func (h *handlers) listAgents(w http.ResponseWriter, r *http.Request) error {
	list, err := h.Queries.Agents(r.Context())
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, list)
	return nil
}
