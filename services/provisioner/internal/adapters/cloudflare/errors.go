package cloudflare

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cloudflare/cloudflare-go/v7/dns"
	"github.com/cloudflare/cloudflare-go/v7/option"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var (
	errThere    = errors.New("the same record is there already")
	errInTheWay = errors.New("a record that is there excludes it")
	errGone     = errors.New("the record is not there any more")
)

const (
	// pause is for how long a server may ask to wait before another try.
	pause = 3 * time.Second
	// answerLimit is how large an answer may be, and messageLimit what is repeated of it.
	answerLimit  = 8 << 20
	messageLimit = 300
)

// impatient has the library try again only where that is soon.
func impatient(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	response, err := next(r)
	if err != nil {
		return response, err
	}
	response.Body = http.MaxBytesReader(nil, response.Body, answerLimit)
	// The library would take these at their word.
	response.Header.Del("Retry-After-Ms")
	response.Header.Del("X-Should-Retry")
	if retryAfter(response.Header) > pause {
		response.Header.Set("X-Should-Retry", "false")
	}
	return response, nil
}

// retryAfter is for how long a server asks to wait, an hour where nobody can tell.
func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	if text == "" {
		return 0
	}
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds <= 1e6 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, time.Until(at))
	}
	return time.Hour
}

// told is the error of a call as what it means. answer is nil where there was none.
func told(zone string, answer *http.Response, err error) error {
	if err == nil {
		return nil
	}
	var codes []int64
	text := err.Error()
	if known, ok := errors.AsType[*dns.Error](err); ok {
		var messages []string
		for _, e := range known.Errors {
			codes = append(codes, e.Code)
			messages = append(messages, fmt.Sprintf("%s (%d)", e.Message, e.Code))
		}
		text = strings.Join(messages, "; ")
	}
	if len(text) > messageLimit {
		text = strings.ToValidUTF8(text[:messageLimit], "") + "…"
	}
	if answer == nil || answer.StatusCode < 400 {
		return fmt.Errorf("ask Cloudflare: %w", err)
	}
	of := func(these ...int64) bool {
		return slices.ContainsFunc(codes, func(code int64) bool { return slices.Contains(these, code) })
	}
	status := answer.StatusCode
	switch {
	case status == http.StatusTooManyRequests:
		return tooMany(retryAfter(answer.Header))
	case status == http.StatusUnauthorized || status == http.StatusForbidden || of(9106, 9109, 10000, 6003, 6111):
		return &app.StepError{Failure: contract.NewFailure(contract.ClassAuth,
			"Cloudflare refuses the token: set PROVISIONER_CLOUDFLARE_TOKEN_FILE: the token needs DNS edit rights on zone %s (%d: %s)", zone, status, text)}
	case of(7000, 7003):
		return refusal("Cloudflare knows no zone of the id that PROVISIONER_CLOUDFLARE_ZONES has for %s", zone)
	case of(81057, 81058):
		return fmt.Errorf("%w: %s", errThere, text)
	case of(81053, 81054, 81055, 81056):
		return fmt.Errorf("%w: %s", errInTheWay, text)
	case of(81044) || status == http.StatusNotFound:
		return fmt.Errorf("%w: %s", errGone, text)
	case status == http.StatusBadRequest || status == http.StatusUnprocessableEntity:
		return refusal("Cloudflare refuses the record: %s", text)
	}
	return fmt.Errorf("ask Cloudflare: it answers %d: %s", status, text)
}

// tooMany is that fewer calls are asked for. Where the pause is a long one another try now
// is of no use.
func tooMany(wait time.Duration) error {
	if wait <= pause {
		return &app.StepError{Failure: contract.NewFailure(contract.ClassRateLimit, "Cloudflare asks for fewer calls: try again later")}
	}
	return &app.StepError{Final: true, Failure: contract.NewFailure(contract.ClassRateLimit,
		"Cloudflare asks for fewer calls: try again in %d seconds", int(wait.Round(time.Second).Seconds()))}
}
