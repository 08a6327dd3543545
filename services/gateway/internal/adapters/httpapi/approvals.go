package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

// decideRequest is the body of POST /operations/{id}/approvals/{approval}.
type decideRequest struct {
	Decision string `json:"decision"` // approve, deny
	Comment  string `json:"comment"`
}

// maxComment is the most that a decision's comment has, in bytes.
const maxComment = 2000

func (h *handlers) decideApproval(w http.ResponseWriter, r *http.Request) error {
	id, err := operationID(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), api.TimeoutFastLookup)
	defer cancel()
	if err := h.requireOperation(ctx, r, id); err != nil {
		return err
	}
	request, err := api.DecodeJSON[decideRequest](w, r)
	if err != nil {
		return err
	}
	v := validate.New()
	v.Required("decision", request.Decision)
	v.OneOf("decision", request.Decision, "approve", "deny")
	checkText(v, "comment", request.Comment, maxComment)
	if err := v.Err(); err != nil {
		return err
	}
	return h.accept(w, r, func(ctx context.Context, asker app.Asker) (app.Accepted, error) {
		return h.App.Decide(ctx, asker, id, chi.URLParam(r, "approval"), app.Decision{
			Approved: request.Decision == "approve", Comment: request.Comment,
		})
	})
}

// listApprovals is those that are open, from memory. A cursor is the place of the last
// one in the order, whether that is still open or not.
func (h *handlers) listApprovals(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	if limit == 0 {
		limit = contract.DefaultPage
	}
	pass, project := passOf(r), r.URL.Query().Get("project")
	if project != "" {
		if err := requireProject(pass, project); err != nil {
			return err
		}
	}
	open := h.Approvals.OpenApprovals(func(of string) bool { return pass.Sees(of) && (project == "" || of == project) })
	if cursor := r.URL.Query().Get("cursor"); cursor != "" {
		if !placePattern.MatchString(cursor) {
			return invalidQuery("cursor", "is not one that was answered")
		}
		open = slices.DeleteFunc(open, func(a app.OpenApproval) bool { return placeOf(a) <= cursor })
	}
	page := append([]app.OpenApproval{}, open[:min(limit, len(open))]...)
	var next *string
	if len(open) > limit {
		cursor := placeOf(page[limit-1])
		next = &cursor
	}
	api.Write(w, http.StatusOK, map[string]any{"approvals": page, "next_cursor": next})
	return nil
}

// placeOf sorts as OpenApprovals does.
func placeOf(a app.OpenApproval) string {
	return fmt.Sprintf("%020d/%s/%s", a.Approval.ExpiresAt.UnixNano(), a.Operation, a.Approval.ID)
}

var placePattern = regexp.MustCompile(`^[0-9]{20}/[^/]+/[^/]+$`)
