package api_test

import (
	"encoding/json"
	"math"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/api"
	"github.com/orchard9/rdev/libs/contract"
)

func TestEveryCodeHasItsStatus(t *testing.T) {
	for code, status := range map[contract.Code]int{
		contract.CodeInvalidRequest: 400, contract.CodeTargetNotAllowed: 400, contract.CodeUnauthorized: 401,
		contract.CodeNotFound: 404, contract.CodeConflict: 409, contract.CodeIdempotencyMismatch: 409,
		contract.CodeCursorExpired: 410, contract.CodePayloadTooLarge: 413, contract.CodeRateLimited: 429,
		contract.CodeInternal: 500, contract.CodeUnavailable: 503, "SOMETHING_NEW": 500,
	} {
		w := httptest.NewRecorder()
		fields := []contract.FieldError{{Field: "name", Message: "is required"}}
		api.WriteError(w, &contract.Error{Code: code, Detail: "so it is", Fields: fields})
		var got api.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		want := api.Problem{
			Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: "so it is", Errors: fields,
		}
		if diff := cmp.Diff(want, got); diff != "" || w.Code != status {
			t.Errorf("%s: status %d\n%s", code, w.Code, diff)
		}
		if media := w.Header().Get("Content-Type"); media != "application/problem+json" {
			t.Errorf("%s: media type %q", code, media)
		}
		if again := w.Header().Get("Retry-After") != ""; again != (status == 429 || status == 503) {
			t.Errorf("%s: Retry-After %q", code, w.Header().Get("Retry-After"))
		}
	}
}

func TestRetryAfterIsInWholeSecondsAndNeverTooShort(t *testing.T) {
	for after, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", time.Second: "1", 1001 * time.Millisecond: "2", time.Minute: "60"} {
		w := httptest.NewRecorder()
		api.WriteError(w, &contract.Error{Code: contract.CodeRateLimited, Detail: "so it is", RetryAfter: after})
		if got := w.Header().Get("Retry-After"); got != want {
			t.Errorf("%s: Retry-After %q, want %q", after, got, want)
		}
	}
}

func TestAnAnswerThatCannotBeEncodedIsAnError(t *testing.T) {
	w := httptest.NewRecorder()
	api.Write(w, http.StatusOK, math.NaN())
	if w.Code != http.StatusInternalServerError || !json.Valid(w.Body.Bytes()) {
		t.Errorf("status %d, body %s", w.Code, w.Body)
	}
}
