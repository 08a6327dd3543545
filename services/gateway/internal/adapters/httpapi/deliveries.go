package httpapi

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/validate"
)

// timeoutTestWebhook is the ten seconds that an endpoint may take, and what the
// notifier and the way to it need.
const timeoutTestWebhook = 15 * time.Second

// redeliverRequest is the body of POST /webhooks/{webhook}/redeliver.
type redeliverRequest struct {
	Status  contract.DeliveryStatus `json:"status"`
	FromSeq uint64                  `json:"from_seq"`
	ToSeq   uint64                  `json:"to_seq"`
}

// testWebhook answers with the attempt also where it failed, which is what the
// caller wants to know.
func (h *handlers) testWebhook(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	attempt, err := h.Queries.TestWebhook(r.Context(), webhook.ID)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, attempt)
	return nil
}

func (h *handlers) listDeliveries(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	status := contract.DeliveryStatus(q.Get("status"))
	if status != "" && !isDeliveryStatus(status) {
		return invalidQuery("status", "must be pending, delivered or dead")
	}
	page, err := h.Queries.Deliveries(r.Context(), contract.ListDeliveries{
		ID: webhook.ID, Status: status, Type: q.Get("type"), Limit: limit, Cursor: q.Get("cursor"),
	})
	if err != nil {
		return err
	}
	api.Write(w, http.StatusOK, page)
	return nil
}

func isDeliveryStatus(status contract.DeliveryStatus) bool {
	switch status {
	case contract.DeliveryPending, contract.DeliveryDelivered, contract.DeliveryDead:
		return true
	}
	return false
}

// deliveryPattern is what the id of a delivery can look like.
var deliveryPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func (h *handlers) redeliverOne(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	id := chi.URLParam(r, "delivery")
	if !deliveryPattern.MatchString(id) {
		return &contract.Error{Code: contract.CodeNotFound, Detail: fmt.Sprintf("webhook %s has no delivery %q", webhook.ID, id)}
	}
	return h.redeliver(w, r, contract.Redeliver{ID: webhook.ID, Delivery: id})
}

func (h *handlers) redeliverAll(w http.ResponseWriter, r *http.Request) error {
	webhook, err := h.webhook(r)
	if err != nil {
		return err
	}
	request, err := api.DecodeJSON[redeliverRequest](w, r)
	if err != nil {
		return err
	}
	v := validate.New()
	v.Check("status", request.Status == "" || isDeliveryStatus(request.Status), "must be pending, delivered or dead")
	v.Check("status", request != redeliverRequest{}, "is required, or from_seq, or to_seq: what is to be sent again")
	v.Check("from_seq", request.FromSeq <= math.MaxInt64, "is beyond every log")
	v.Check("to_seq", request.ToSeq <= math.MaxInt64, "is beyond every log")
	v.Check("to_seq", request.ToSeq == 0 || request.ToSeq >= request.FromSeq, "must not be before from_seq")
	if err := v.Err(); err != nil {
		return err
	}
	return h.redeliver(w, r, contract.Redeliver{ID: webhook.ID, Status: request.Status, FromSeq: request.FromSeq, ToSeq: request.ToSeq})
}

func (h *handlers) redeliver(w http.ResponseWriter, r *http.Request, what contract.Redeliver) error {
	redelivering, err := h.Queries.Redeliver(r.Context(), what)
	if err != nil {
		return err
	}
	api.Write(w, http.StatusAccepted, redelivering)
	return nil
}
