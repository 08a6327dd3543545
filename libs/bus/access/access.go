// Package access is who may do what on NATS: the subjects of each service, which
// may do what it does and no more. What the services do is in libs/bus.
package access

import (
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// User is one of NATS, with the subjects that it may use. It may answer requests
// besides. Without any subject it may use all.
type User struct {
	Name      string
	Publish   []string
	Never     []string // but not publish this
	Subscribe []string
}

// Operator is the user of people with the nats CLI.
const Operator = "operator"

// Migrate is the user that makes the streams and durable consumers, and does nothing
// else: it reads no message and publishes none.
const Migrate = "migrate"

// SubjectUserInfo is where NATS tells a user its own rights.
const SubjectUserInfo = "$SYS.REQ.USER.INFO"

// Of is the user of a service, or Migrate; or false.
func Of(service string) (User, bool) {
	for _, u := range Users() {
		if u.Name == service && u.Name != Operator {
			return u, true
		}
	}
	return User{}, false
}

// Users are those of an installation: the services, the one that migrates, and the
// operator.
func Users() []User {
	return []User{
		gatewayUser(), executorUser(), provisionerUser(), auditUser(), notifierUser(),
		migrateUser(),
		{Name: Operator},
	}
}

// service is what every service may: answer requests, and read the log.
func service(name string, more ...[]string) User {
	u := User{
		Name:      name,
		Publish:   []string{msgGet(contract.StreamEvents), directGet(contract.StreamEvents), SubjectUserInfo},
		Subscribe: []string{"_INBOX." + name + ".>", "$SRV.>", contract.ServiceSubject(name, "*")},
	}
	for _, some := range more {
		u.Publish = append(u.Publish, some...)
	}
	return u
}

// migrateUser may name no other stream, consumer or filter than those there are.
func migrateUser() User {
	u := User{Name: Migrate, Publish: []string{SubjectUserInfo}, Subscribe: []string{"_INBOX." + Migrate + ".>"}}
	for _, stream := range contract.Streams() {
		u.Publish = append(u.Publish, "$JS.API.STREAM.CREATE."+stream.Name, "$JS.API.STREAM.UPDATE."+stream.Name)
	}
	for _, consumer := range contract.Consumers(contract.DefaultLease()) {
		u.Publish = append(u.Publish, createConsumer(consumer.Stream, consumer.Name, consumer.Filter))
	}
	return u
}

// gatewayUser makes consumers of its own, of operations and of API keys, which it
// follows; their names are random. Those that services share it can neither change
// nor delete, and reads none of them but that of API keys.
func gatewayUser() User {
	u := service(contract.ServiceGateway,
		// What is stepped and completed is builds.
		appends(contract.EntityOperation, "pending", "stepped", "approval_requested", "approval_decided", "cancel_requested", "completed", "failed", "cancelled"),
		appends(contract.EntityWorker, contract.TypeWorkerReady, contract.TypeWorkerDraining),
		appends(contract.EntityKey, "created", "rotated", "budgeted", "renewed", "revoked"),
		projects(contract.ConsumerKeys),
		vault(),
		[]string{
			contract.Signal("*"), "rdev.cmd.*.*.*",
			contract.ServiceSubject(contract.ServiceAudit, "*"),
			contract.ServiceSubject(contract.ServiceExecutor, "*"), contract.ServiceSubject(contract.ServiceNotifier, "*"),
			msgGet(contract.StreamOutput), directGet(contract.StreamOutput),
			needsConsumer + contract.StreamEvents + ".*",
			"$JS.API.CONSUMER.MSG.NEXT." + contract.StreamEvents + ".*",
			"$JS.API.CONSUMER.DELETE." + contract.StreamEvents + ".*",
			contract.LimitSubject(">"), msgGet(contract.StreamLimits),
			createConsumer(contract.StreamEvents, "*", contract.EntityFilter(contract.EntityOperation)),
			createConsumer(contract.StreamEvents, "*", contract.EntityFilter(contract.EntityKey)),
			createConsumer(contract.StreamEvents, "*", contract.EntityFilter(contract.EntityWorker)),
			streamInfo(contract.StreamCommands), streamInfo(contract.StreamOutput), streamInfo(contract.StreamLimits),
		})
	for _, consumer := range contract.Consumers(contract.DefaultLease()) {
		if consumer.Stream != contract.StreamEvents {
			continue
		}
		u.Never = append(u.Never, createConsumer(consumer.Stream, consumer.Name, ">"), "$JS.API.CONSUMER.DELETE."+consumer.Stream+"."+consumer.Name)
		if consumer.Name != contract.ConsumerKeys {
			u.Never = append(u.Never, "$JS.API.CONSUMER.MSG.NEXT."+consumer.Stream+"."+consumer.Name)
		}
	}
	u.Subscribe = append(u.Subscribe, contract.SubjectEventLive, contract.OutputSubject("*"))
	return u
}

// vault is what the gateway asks of the provisioner: everything but the values of
// credentials, which are for executors.
func vault() []string {
	var all []string
	for _, verb := range []string{
		contract.VerbListProjects, contract.VerbSetBudget, contract.VerbPlanProject, contract.VerbDriftProject,
		contract.VerbPutCredential, contract.VerbDeleteCredential, contract.VerbListCredentials, contract.VerbRotateMaster,
		contract.VerbListPipelines, contract.VerbGetPipeline, contract.VerbRunPipeline, contract.VerbRerunPipeline, contract.VerbCancelPipeline, contract.VerbPipelineLogs,
	} {
		all = append(all, contract.ServiceSubject(contract.ServiceProvisioner, verb))
	}
	return all
}

func executorUser() User {
	u := service(contract.ServiceExecutor,
		appends(contract.EntityOperation, "running", "progressed", "retrying", "approval_requested", "approval_decided", "completed", "failed", "cancelled"),
		appends(contract.EntityWorker, "*"),
		reads(contract.StreamCommands, contract.ConsumerExecutor),
		[]string{
			contract.OutputAppendSubject("*"), msgGet(contract.StreamOutput),
			contract.ServiceSubject(contract.ServiceProvisioner, contract.VerbOpenCredentials),
		})
	u.Subscribe = append(u.Subscribe, contract.SubjectSignalAll)
	return u
}

func provisionerUser() User {
	return service(contract.ServiceProvisioner,
		appends(contract.EntityOperation, "running", "provisioned", "completed", "failed", "cancelled", "cancel_requested"),
		appends(contract.EntityProject, "*"),
		reads(contract.StreamCommands, contract.ConsumerProvisioner),
		projects(contract.ConsumerProjects),
		appends(contract.EntityWorker, contract.TypeWorkerReady, contract.TypeWorkerDraining, contract.TypeWorkerGone),
		[]string{
			contract.Signal("*"), contract.ServiceSubject(contract.ServiceAudit, contract.VerbListOperations),
			contract.ServiceSubject(contract.ServiceGateway, contract.VerbWorkLoad),
		})
}

func auditUser() User {
	return service(contract.ServiceAudit,
		appends(contract.EntityOperation, "failed", "retrying"),
		projects(contract.ConsumerAudit),
		[]string{msgGet(contract.StreamCommands)})
}

// notifierUser reads the log as it grows, and tells it what became of endpoints.
func notifierUser() User {
	u := service(contract.ServiceNotifier,
		appends(contract.EntityWebhook, "*"),
		[]string{streamInfo(contract.StreamEvents)})
	u.Subscribe = append(u.Subscribe, contract.SubjectEventLive)
	return u
}

// appends are the events that a service may append to the log.
func appends(entity string, types ...string) []string {
	var all []string
	for _, eventType := range types {
		all = append(all, contract.AppendSubject(entity, eventType, "*"))
	}
	return all
}

// reads is all that the reader of a durable consumer asks for.
func reads(stream, consumer string) []string {
	return []string{
		needsConsumer + stream + "." + consumer,
		"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		"$JS.ACK." + stream + "." + consumer + ".>",
		"$JS.ACK.*.*." + stream + "." + consumer + ".>", // as newer servers write it
	}
}

// projects is what a projection of the log asks for: it also sets its consumer to
// where the view stands.
func projects(consumer string) []string {
	return append(reads(contract.StreamEvents, consumer),
		streamInfo(contract.StreamEvents),
		"$JS.API.CONSUMER.RESET."+contract.StreamEvents+"."+consumer)
}

// createConsumer makes the consumer of a stream that a filter has. The server wants
// name and filter of the request to be those of the subject.
func createConsumer(stream, name, filter string) string {
	return "$JS.API.CONSUMER.CREATE." + stream + "." + name + "." + filter
}

// needsStream and needsConsumer begin the subjects on which a service asks about what
// it needs.
const (
	needsStream   = "$JS.API.STREAM.INFO."
	needsConsumer = "$JS.API.CONSUMER.INFO."
)

// Needs are the streams and the durable consumers, as {stream, name}, that a user works
// with: they have to be there before it can.
func (u User) Needs() (streams []string, consumers [][2]string) {
	for _, subject := range u.Publish {
		if stream, ok := strings.CutPrefix(subject, needsStream); ok {
			streams = append(streams, stream)
		}
		if of, ok := strings.CutPrefix(subject, needsConsumer); ok {
			if stream, name, _ := strings.Cut(of, "."); name != "*" {
				consumers = append(consumers, [2]string{stream, name})
			}
		}
	}
	return streams, consumers
}

func streamInfo(stream string) string { return needsStream + stream }

func msgGet(stream string) string { return "$JS.API.STREAM.MSG.GET." + stream }

func directGet(stream string) string { return "$JS.API.DIRECT.GET." + stream }
