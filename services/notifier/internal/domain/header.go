package domain

import (
	"slices"
	"strings"
)

// ReservedHeader tells whether a header of a request is rdev's to set, or the
// connection's, so that an endpoint cannot have its own. Case makes no difference.
func ReservedHeader(name string) bool {
	name = strings.ToLower(name)
	return strings.HasPrefix(name, "webhook-") || strings.HasPrefix(name, "ce-") || strings.HasPrefix(name, "rdev-") ||
		strings.HasPrefix(name, "proxy-") || slices.Contains([]string{
		"connection", "content-encoding", "content-length", "content-type", "expect", "host", "idempotency-key",
		"keep-alive", "te", "traceparent", "tracestate", "trailer", "transfer-encoding", "upgrade", "user-agent",
		"x-idempotency-key",
	}, name)
}
