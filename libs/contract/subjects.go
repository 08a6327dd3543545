package contract

import "strings"

// Entities of the event log.
const (
	EntityOperation = "operation"
	EntityProject   = "project"
	EntityWebhook   = "webhook"
	EntityKey       = "key"
)

// Subjects have the shape rdev.<room>.…; tokens are [a-z0-9_-]+.
//
//	rdev.append.<entity>.<type>.<id>   what a writer publishes
//	rdev.events.<entity>.<type>.<id>   the same, as RDEV_EVENTS stores it
//	rdev.events.<entity>               the same, live, once it is stored
//	rdev.cmd.<service>.<lane>.<key>    one command waiting or under way on a lane
//	rdev.out.<operation>               what the executor publishes of the output
//	rdev.output.<operation>            the same, stored and live
//	rdev.signal.operation.<operation>  a hint to its executor to look at it
//	rdev.svc.<service>.<verb>          request and reply between services
const (
	SubjectAppendAll = "rdev.append.>"
	SubjectEventsAll = "rdev.events.>"
	SubjectEventLive = "rdev.events.*" // of every entity, live copies only
	SubjectOutput    = "rdev.output."
	SubjectSignalAll = "rdev.signal.operation.*"
)

// AppendSubject is where a writer publishes an event. Stored under [EventSubject].
func AppendSubject(entity, eventType, id string) string {
	return "rdev.append." + entity + "." + eventType + "." + id
}

// EventSubject is where RDEV_EVENTS keeps an event.
func EventSubject(entity, eventType, id string) string {
	return "rdev.events." + entity + "." + eventType + "." + id
}

// EventFilter matches every event of one entity. It is THE guard filter: a
// replicated stream compares guards by this literal string, so two spellings
// would let two writers win. Nothing else may build it.
func EventFilter(entity, id string) string { return "rdev.events." + entity + ".*." + id }

// EntityFilter matches every event of all entities of one kind.
func EntityFilter(entity string) string { return "rdev.events." + entity + ".>" }

// OutputSubject is where the output of an operation is stored and tailed.
func OutputSubject(operation string) string { return SubjectOutput + operation }

// OutputAppendSubject is where the executor publishes a chunk of output.
func OutputAppendSubject(operation string) string { return "rdev.out." + operation }

// Signal is the live hint that something was decided about an operation: a cancel
// was requested, or an approval given. The event and the executor's heartbeat are the
// guarantee.
func Signal(operation string) string { return "rdev.signal.operation." + operation }

// limitsPrefix begins the subjects of the key-value bucket RDEV_LIMITS.
const limitsPrefix = "$KV.RDEV_LIMITS."

// LimitSubject is where what is left of a budget is kept; its name may have dots.
func LimitSubject(name string) string { return limitsPrefix + name }

// ServiceSubject is where a service answers requests of one verb.
func ServiceSubject(service, verb string) string { return "rdev.svc." + service + "." + verb }

// ParseEventSubject splits rdev.events.<entity>.<type>.<id>, or reports false.
func ParseEventSubject(subject string) (entity, eventType, id string, ok bool) {
	rest, found := strings.CutPrefix(subject, "rdev.events.")
	if !found {
		return "", "", "", false
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" || parts[2] == "" {
		return "", "", "", false
	}
	return parts[0], parts[1], parts[2], true
}

// Lane is one command at a time, first in first out: the unit of mutual
// exclusion. The zero Lane is no lane.
type Lane struct {
	Service string `json:"service"` // who carries it out: executor, provisioner
	Name    string `json:"name"`    // pod, project
	Key     string `json:"key"`     // the project's slug
}

// Subject is where RDEV_CMD holds the lane's command until it is acknowledged.
func (l Lane) Subject() string { return "rdev.cmd." + l.Service + "." + l.Name + "." + l.Key }

// PodLane carries the commands of a project, PROJECT's own changes go over
// [ProjectLane], so that a project can be deleted while a command runs in it.
func PodLane(project string) Lane { return Lane{Service: "executor", Name: "pod", Key: project} }

// ProjectLane carries the creation and deletion of a project.
func ProjectLane(project string) Lane {
	return Lane{Service: "provisioner", Name: "project", Key: project}
}

// MatchEventType tells whether an event type, as operation.completed, is meant
// by a pattern: the same, all of an entity as operation.*, or all as * or "".
func MatchEventType(pattern, eventType string) bool {
	if pattern == "" || pattern == "*" || pattern == eventType {
		return true
	}
	entity, all := strings.CutSuffix(pattern, ".*")
	return all && strings.HasPrefix(eventType, entity+".")
}
