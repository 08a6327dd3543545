package woodpecker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/orchard9/rdev/libs/contract"
)

// answerError is an answer of the CI that is no success.
type answerError struct {
	status int
	text   string // what it says, on one line, shortened; "" for nothing
}

// Error implements error.
func (e *answerError) Error() string {
	if e.text == "" {
		return fmt.Sprintf("the CI answered %d", e.status)
	}
	return fmt.Sprintf("the CI answered %d: %s", e.status, e.text)
}

func isStatus(err error, status int) bool {
	answer, ok := errors.AsType[*answerError](err)
	return ok && answer.status == status
}

func (s *Server) get(ctx context.Context, path string, query url.Values, into any) error {
	_, err := s.call(ctx, http.MethodGet, path, query, nil, into)
	return err
}

// call sends body as JSON unless that is nil, and decodes the answer into into unless that
// is nil or there is none, as with 204. What is no success is an *answerError, or a
// StepError where a token is refused or too much was asked.
func (s *Server) call(ctx context.Context, method, path string, query url.Values, body, into any) (status int, err error) {
	var payload []byte
	if body != nil {
		if payload, err = json.Marshal(body); err != nil {
			return 0, fmt.Errorf("encode the body of %s %s: %w", method, path, err)
		}
	}
	status, header, answer, err := s.once(ctx, method, path, query, payload)
	if err == nil && status == http.StatusTooManyRequests {
		after := retryAfter(header)
		if after > patience || wait(ctx, after) != nil {
			return status, tooMany(after)
		}
		if status, header, answer, err = s.once(ctx, method, path, query, payload); err == nil && status == http.StatusTooManyRequests {
			return status, tooMany(retryAfter(header))
		}
	}
	switch {
	case err != nil:
		return 0, err
	case status == http.StatusUnauthorized:
		return status, failure(contract.ClassAuth, "the token of the CI is not accepted any more: make another one, and set PROVISIONER_WOODPECKER_TOKEN_FILE")
	case status == http.StatusForbidden:
		return status, failure(contract.ClassAuth, "the CI does not allow %s %s: the user of its token has to be an admin of the repository (%s)", method, path, line(answer))
	case status < http.StatusOK || status >= http.StatusMultipleChoices:
		return status, &answerError{status, line(answer)}
	case into == nil || status == http.StatusNoContent:
		return status, nil
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return status, fmt.Errorf("decode the CI's answer to %s %s: %w", method, path, err)
	}
	return status, nil
}

// once makes a request and reads the whole answer.
func (s *Server) once(ctx context.Context, method, path string, query url.Values, payload []byte) (int, http.Header, []byte, error) {
	target := s.base + path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(payload))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("prepare %s %s: %w", method, path, err)
	}
	request.Header.Set("Authorization", "Bearer "+s.token)
	request.Header.Set("Accept", "application/json")
	if payload != nil {
		// Without it the CI reads no body, and says that what is in it is missing.
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := s.client.Do(request)
	if err != nil {
		return 0, nil, nil, fmt.Errorf("reach the CI: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, nil, fmt.Errorf("read the CI's answer to %s %s: %w", method, path, err)
	}
	if len(answer) > maxAnswer {
		return 0, nil, nil, failure(contract.ClassUser, "the CI's answer has more than %d MiB: look at it in the CI", maxAnswer>>20)
	}
	return response.StatusCode, response.Header, answer, nil
}

func tooMany(after time.Duration) error {
	return failure(contract.ClassRateLimit, "the CI takes no more requests for the moment, it asks for a pause of %s", after)
}

// retryAfter is how long an answer asks to wait: a number of seconds, or a time.
func retryAfter(header http.Header) time.Duration {
	value := header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(time.Duration(seconds)*time.Second, pause)
	}
	if at, err := http.ParseTime(value); err == nil {
		return max(time.Until(at).Round(time.Second), pause)
	}
	return pause
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// line is what the CI says of an error, for people.
func line(answer []byte) string {
	const most = 300
	text := strings.Join(strings.FieldsFunc(strings.ToValidUTF8(string(answer[:min(len(answer), 4*most)]), "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	return cut(text, most)
}

// cut leaves so many bytes of a text, and no half of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
