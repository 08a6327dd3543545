package gitea

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// longestWait is for how long Gitea, or what is before it, may ask to wait within a call.
const longestWait = 5 * time.Second

// failure is an error that somebody can mend.
func failure(class contract.FailureClass, format string, args ...any) error {
	return &app.StepError{Failure: contract.NewFailure(class, format, args...)}
}

// status is that of an answer, 0 where there was none.
func status(response *sdk.Response) int {
	if response == nil {
		return 0
	}
	return response.StatusCode
}

// failed is what an answer means that its caller did not expect.
func failed(what string, response *sdk.Response, err error) error {
	says := "no reason"
	if err != nil {
		says = strings.Join(strings.Fields(err.Error()), " ") // it may be of some lines
	}
	switch code := status(response); {
	case code == 0:
		return fmt.Errorf("%s: %w", what, err)
	case code == http.StatusUnauthorized:
		return failure(contract.ClassAuth, "%s: the token of Gitea is not accepted: set PROVISIONER_GITEA_TOKEN_FILE to one that is", what)
	case code == http.StatusForbidden:
		return failure(contract.ClassAuth, "%s: the token of Gitea lacks a right, Gitea says: %s: set PROVISIONER_GITEA_TOKEN_FILE to one that has it", what, says)
	case code == http.StatusTooManyRequests:
		return failure(contract.ClassRateLimit, "%s: Gitea asks for fewer calls", what)
	case code == http.StatusLocked:
		return failure(contract.ClassUser, "%s: the repository is archived: unarchive it", what)
	case code/100 == 3:
		return failure(contract.ClassUser, "%s: Gitea says that it is elsewhere: set PROVISIONER_GITEA_URL to the address to which it redirects, or give back the name that was changed", what)
	default:
		return fmt.Errorf("%s: Gitea says %d: %s", what, code, says)
	}
}

// gone is what the answer to a removal means: what is not there is fine.
func gone(what string, response *sdk.Response, err error) error {
	if err == nil || status(response) == http.StatusNotFound {
		return nil
	}
	return failed(what, response, err)
}

// patient waits once where it is asked to, and not for long.
type patient struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (p patient) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := p.next.RoundTrip(request)
	if err != nil || response.StatusCode != http.StatusTooManyRequests {
		return response, err
	}
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	wait := time.Duration(seconds) * time.Second
	if err != nil || wait < 0 || wait > longestWait || request.Body != nil && request.GetBody == nil {
		return response, nil //nolint:nilerr // it does not say for how many seconds
	}
	again := request.Clone(request.Context())
	if request.GetBody != nil {
		if again.Body, err = request.GetBody(); err != nil {
			return response, nil //nolint:nilerr // then it is not sent again
		}
	}
	_ = response.Body.Close() // it is not read
	select {
	case <-request.Context().Done():
		return nil, request.Context().Err()
	case <-time.After(wait):
		return p.next.RoundTrip(again)
	}
}

// all has every page of a list.
func all[T any](what string, list func(sdk.ListOptions) ([]*T, *sdk.Response, error)) (items []*T, err error) {
	for page := 1; ; page++ {
		some, response, err := list(sdk.ListOptions{Page: page, PageSize: pageSize})
		if err != nil {
			return nil, failed(what, response, err)
		}
		items = append(items, some...)
		total, err := strconv.Atoi(response.Header.Get("X-Total-Count"))
		if len(some) == 0 || err == nil && len(items) >= total {
			return items, nil
		}
	}
}
