package httpapi

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/gateway/internal/app"
)

const (
	// timeoutAccept bounds the acceptance of an operation: long enough for a
	// stream to change its leader, short enough for a client to try again.
	timeoutAccept = 5 * time.Second
	// maxWait is the longest that Prefer: wait is honored.
	maxWait = 60 * time.Second
)

// accept has the app accept an operation, and answers with it. A client that
// goes away leaves no half of it: the deadline alone ends the attempt.
func (h *handlers) accept(w http.ResponseWriter, r *http.Request, do func(context.Context, app.Asker) (app.Accepted, error)) error {
	asker, err := askerOf(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeoutAccept)
	defer cancel()
	accepted, err := do(ctx, asker)
	if err != nil {
		return err
	}
	return h.writeAccepted(w, r, accepted)
}

// writeAccepted answers 202 with the operation as it is now, or 200 once it has
// ended where the client prefers to wait for that.
func (h *handlers) writeAccepted(w http.ResponseWriter, r *http.Request, accepted app.Accepted) error {
	op := accepted.Operation
	status := http.StatusAccepted
	if accepted.Over {
		status = http.StatusOK
	}
	if accepted.Replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Location", "/operations/"+op.ID)
	waited := h.awaitPreferred(w, r, op)
	if _, waits := preferredWait(r); waits && waited.State.Ended() {
		status = http.StatusOK
	}
	writeOperation(w, status, waited)
	return nil
}

// awaitPreferred waits for the end of an operation, where the client prefers
// that and for as long as it does, and returns the operation as it is then.
func (h *handlers) awaitPreferred(w http.ResponseWriter, r *http.Request, op contract.Operation) contract.Operation {
	wait, ok := preferredWait(r)
	if !ok {
		return op
	}
	w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait.Seconds())))
	if op.State.Ended() {
		return op
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	defer context.AfterFunc(h.Stopping, cancel)()
	waited, err := h.Log.AwaitEnd(ctx, op)
	if err != nil {
		return op // what is known of it holds, whatever became of the wait
	}
	return waited
}

func preferredWait(r *http.Request) (time.Duration, bool) {
	for _, header := range r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(header, ",") {
			if value, ok := strings.CutPrefix(strings.TrimSpace(preference), "wait="); ok {
				if seconds, err := strconv.Atoi(value); err == nil && seconds > 0 {
					return min(time.Duration(min(seconds, 3600))*time.Second, maxWait), true
				}
			}
		}
	}
	return 0, false
}
