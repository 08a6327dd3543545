package webhook

import (
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Limits of what is taken from an answer.
const (
	maxRetryAfter = time.Hour
	maxExcerpt    = 1 << 10 // bytes
)

// retryAfter is how long an answer wants to be left alone, 0 where it does not say
// or says nonsense.
func retryAfter(response *http.Response, now time.Time) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	value := strings.TrimSpace(response.Header.Get("Retry-After"))
	pause := time.Duration(0)
	if seconds, err := strconv.ParseUint(value, 10, 64); err == nil {
		pause = time.Duration(min(seconds, uint64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		pause = at.Sub(now)
	}
	return max(0, min(pause, maxRetryAfter))
}

// excerpt is how a body begins, as text that a terminal can be trusted with: one
// line, and nothing that moves the cursor or turns the writing round.
func excerpt(body []byte) string {
	text := strings.ToValidUTF8(string(body[:min(len(body), maxExcerpt)]), "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, text))
}
