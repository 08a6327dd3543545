package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"

	"github.com/orchard9/rdev/libs/contract"
)

// OpenApproval is an approval that waits for a decision, and of what. It writes
// itself as the JSON that the gateway sent.
type OpenApproval struct {
	Operation string            `json:"operation"` // id
	Project   string            `json:"project"`
	Kind      string            `json:"kind"`
	Actor     string            `json:"actor"` // who asked for the operation
	Approval  contract.Approval `json:"approval"`

	raw json.RawMessage
}

// UnmarshalJSON keeps the document beside what is read from it.
func (a *OpenApproval) UnmarshalJSON(data []byte) error {
	type plain OpenApproval
	return readDocument(data, (*plain)(a), &a.raw)
}

// MarshalJSON writes the document as it came.
func (a OpenApproval) MarshalJSON() ([]byte, error) {
	type plain OpenApproval
	return writeDocument(a.raw, plain(a))
}

// ApprovalFilter narrows a list of open approvals; empty fields do not.
type ApprovalFilter struct {
	Project string
	Limit   int // of one page, 0 for the gateway's default
	Cursor  string
}

// ApprovalPage is one page of a list; what expires first comes first.
type ApprovalPage struct {
	Approvals  []OpenApproval `json:"approvals"`
	NextCursor string         `json:"next_cursor"` // "" on the last page
}

// Approvals is one page of the open approvals that the key may see.
func (c *Client) Approvals(ctx context.Context, filter ApprovalFilter) (ApprovalPage, error) {
	query := url.Values{}
	set(query, "project", filter.Project)
	set(query, "cursor", filter.Cursor)
	if filter.Limit > 0 {
		query.Set("limit", strconv.Itoa(filter.Limit))
	}
	var page ApprovalPage
	_, err := c.do(ctx, call{method: http.MethodGet, path: "/approvals", query: query}, &page)
	return page, err
}

// Decision is what somebody says of an approval.
type Decision struct {
	Decision string `json:"decision"` // approve, deny
	Comment  string `json:"comment,omitempty"`
}

// What a decision can be.
const (
	Approve = "approve"
	Deny    = "deny"
)

// Decide decides an open approval of an operation, for good, and answers the
// operation after that. One that is decided already is a CONFLICT.
func (c *Client) Decide(ctx context.Context, operation, approval string, decision Decision) (Operation, error) {
	var decided Operation
	path := operationPath(operation) + "/approvals/" + url.PathEscape(approval)
	_, err := c.do(ctx, call{method: http.MethodPost, path: path, body: decision}, &decided)
	return decided, err
}
