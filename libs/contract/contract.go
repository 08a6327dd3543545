// Package contract is what the services of rdev say to each other: every
// subject, stream, consumer, event, command and snapshot, and the one state
// machine of an operation. It depends on the standard library alone.
//
// The rule to know: a snapshot only changes by an event, and an event is only
// stored where it follows the last event of the same entity (see [EventFilter]).
package contract

// Header names of messages on NATS. CloudEvents attributes use the binary mode
// of the NATS protocol binding; values of the rest are plain text.
const (
	HeaderEventID     = "ce-id"              // unique per writer and attempt; equals Nats-Msg-Id
	HeaderType        = "ce-type"            // ai.orchard9.rdev.<entity>.<type>.v1
	HeaderSource      = "ce-source"          // /rdev/<service>/<instance>
	HeaderSubject     = "ce-subject"         // id of the entity
	HeaderTime        = "ce-time"            // RFC 3339 with nanoseconds, UTC
	HeaderSpecVersion = "ce-specversion"     // 1.0
	HeaderContentType = "ce-datacontenttype" // application/json

	HeaderActor       = "Rdev-Actor"   // who asked: key:<name>, service:<name>
	HeaderProject     = "Rdev-Project" // slug, where the entity belongs to one
	HeaderTraceparent = "traceparent"  // W3C trace context

	HeaderOutputStream = "Rdev-Stream" // stdout, stderr or agent
	HeaderOutputOffset = "Rdev-Offset" // bytes of that stream before this chunk
	HeaderOutputCursor = "Rdev-Cursor" // position in the runner's spool after this chunk
	HeaderAttempt      = "Rdev-Attempt"
)

// TypePrefix and TypeSuffix enclose "<entity>.<type>" in the ce-type header.
const (
	TypePrefix = "ai.orchard9.rdev."
	TypeSuffix = ".v1"
)

// ServiceGateway is the name under which the gateway is found.
const ServiceGateway = "gateway"
