package contract

import "time"

// Names of the streams.
const (
	StreamEvents   = "RDEV_EVENTS"
	StreamCommands = "RDEV_CMD"
	StreamOutput   = "RDEV_OUTPUT"
	StreamAdvisory = "RDEV_ADVISORY"
	// StreamLimits is the key-value bucket RDEV_LIMITS.
	StreamLimits = "KV_RDEV_LIMITS"
)

// Stream describes a stream in the terms of JetStream; libs/bus creates it.
type Stream struct {
	Name        string
	Description string
	Subjects    []string
	// TransformFrom and TransformTo rename a message before it is stored.
	TransformFrom, TransformTo string
	// RepublishFrom and RepublishTo send a stored message out live.
	RepublishFrom, RepublishTo string
	WorkQueue                  bool // messages go when acknowledged
	DiscardNew                 bool // a full stream refuses instead of forgetting
	OnePerSubject              bool // a second message on a subject is refused
	MaxPerSubject              int64
	MaxAge                     time.Duration
	MaxBytes                   int64
	MaxMessage                 int32 // bytes
	MaxConsumers               int
	Compress                   bool
	DenyDelete                 bool
	AtomicBatches              bool // group commit of several appends
	// Async stores before it syncs: fit for output, unfit for promises, and for what has a
	// durable consumer, which then may know of messages that a crash has undone. Only
	// where the stream has one replica.
	Async bool
}

const (
	day = 24 * time.Hour
	mib = 1 << 20
	gib = 1 << 30
)

// RenewAfter is how old the last event of something that lives on may become, as of a
// project or a key: it is appended again before the log forgets it.
const RenewAfter = 30 * 24 * time.Hour

// Streams are all streams of rdev. RDEV_EVENTS is the truth; RDEV_CMD can be
// lost and is refilled from it.
func Streams() []Stream {
	return []Stream{
		{
			Name:          StreamEvents,
			Description:   "every state change, the truth",
			Subjects:      []string{SubjectAppendAll},
			TransformFrom: SubjectAppendAll, TransformTo: SubjectEventsAll,
			RepublishFrom: "rdev.events.*.*.*", RepublishTo: "rdev.events.{{wildcard(1)}}",
			DiscardNew: true, MaxAge: 90 * day, MaxBytes: 8 * gib, MaxMessage: 512 << 10, MaxConsumers: 64,
			Compress: true, DenyDelete: true, AtomicBatches: true,
		},
		{
			Name:        StreamCommands,
			Description: "one command for each lane, until it is acknowledged",
			Subjects:    []string{"rdev.cmd.*.*.*"},
			WorkQueue:   true, DiscardNew: true, OnePerSubject: true,
			MaxBytes: 256 * mib, MaxMessage: 64 << 10, MaxConsumers: 16,
		},
		{
			Name:          StreamOutput,
			Description:   "output of operations",
			Subjects:      []string{"rdev.out.*"},
			TransformFrom: "rdev.out.>", TransformTo: "rdev.output.>",
			RepublishFrom: "rdev.output.>", RepublishTo: "rdev.output.>",
			MaxPerSubject: 20_000, MaxAge: 7 * day, MaxBytes: 20 * gib, MaxMessage: 160 << 10,
			Compress: true, Async: true,
		},
		{
			Name:        StreamAdvisory,
			Description: "deliveries that NATS gave up on",
			Subjects: []string{
				"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",
				"$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>",
			},
			MaxAge: 7 * day, MaxBytes: 100 * mib, Async: true,
		},
		{
			// A budget that is forgotten is full again, which an hour makes it in any case. In a
			// file all the same: a stream in memory is gone, and not empty, when its server was.
			Name:          StreamLimits,
			Description:   "what is left of the budgets that limit requests",
			Subjects:      []string{limitsPrefix + ">"},
			MaxPerSubject: 1, MaxAge: time.Hour, MaxBytes: 32 * mib, MaxMessage: 16 << 10, Async: true,
		},
	}
}

// Lease says how long a command stays with an executor that is not heard of.
type Lease struct {
	// AckWait is after how long without a heartbeat another may take over.
	AckWait time.Duration
	// Heartbeat is how often an executor renews.
	Heartbeat time.Duration
	// SelfFence is how long an executor goes on without a successful heartbeat;
	// below AckWait, so that it has stopped before another may start.
	SelfFence time.Duration
}

// DefaultLease is what the services use. Tests shorten it.
func DefaultLease() Lease {
	return Lease{AckWait: 60 * time.Second, Heartbeat: 20 * time.Second, SelfFence: 45 * time.Second}
}

// Consumer describes a durable consumer; libs/bus creates it.
type Consumer struct {
	Stream  string
	Name    string
	Filter  string
	AckAll  bool // acknowledging a message acknowledges all before it
	AckWait time.Duration
	// MaxPending bounds what is delivered and unacknowledged; -1 is unbounded.
	MaxPending int
}

// Names of the durable consumers.
const (
	ConsumerExecutor    = "executor"
	ConsumerProvisioner = "provisioner"
	ConsumerAudit       = "audit"
	ConsumerProjects    = "projects"
	ConsumerKeys        = "keys"
)

// Consumers are all durable consumers of rdev.
func Consumers(lease Lease) []Consumer {
	return []Consumer{
		{Stream: StreamCommands, Name: ConsumerExecutor, Filter: "rdev.cmd.executor.>", AckWait: lease.AckWait, MaxPending: -1},
		{Stream: StreamCommands, Name: ConsumerProvisioner, Filter: "rdev.cmd.provisioner.>", AckWait: lease.AckWait, MaxPending: -1},
		{Stream: StreamEvents, Name: ConsumerAudit, Filter: SubjectEventsAll, AckAll: true, AckWait: lease.AckWait, MaxPending: 20_000},
		{Stream: StreamEvents, Name: ConsumerProjects, Filter: EntityFilter(EntityProject), AckAll: true, AckWait: lease.AckWait, MaxPending: 20_000},
		{Stream: StreamEvents, Name: ConsumerKeys, Filter: EntityFilter(EntityKey), AckAll: true, AckWait: lease.AckWait, MaxPending: 20_000},
	}
}
