package deploy

import (
	"fmt"
	"strings"

	"github.com/orchard9/rdev/libs/contract"
)

// user is one of NATS, with the subjects that it may use. Without any it may use all.
type user struct {
	name      string
	nkey      string // public
	publish   []string
	never     []string // but not this
	subscribe []string
}

// operator is the user of people with the nats CLI.
const operator = "operator"

// users are those of an installation: the services, which may do what they do and
// no more, and the operator. The services' side of it is libs/bus.
func users() []user {
	return []user{
		gatewayUser(), executorUser(), provisionerUser(), auditUser(), notifierUser(),
		{name: operator},
	}
}

// service is what every service may: answer requests, and read the log.
func service(name string, more ...[]string) user {
	u := user{
		name:      name,
		publish:   []string{msgGet(contract.StreamEvents)},
		subscribe: []string{"_INBOX." + name + ".>", "$SRV.>", contract.ServiceSubject(name, "*")},
	}
	for _, some := range more {
		u.publish = append(u.publish, some...)
	}
	return u
}

// gatewayUser makes the streams and consumers, and reads its own and the one of
// API keys, but none of those that other services read.
func gatewayUser() user {
	u := service(contract.ServiceGateway,
		appends(contract.EntityOperation, "pending", "cancel_requested", "cancelled"),
		appends(contract.EntityKey, "created", "rotated", "revoked"),
		projects(contract.ConsumerKeys),
		vault(),
		[]string{
			contract.CancelSignal("*"), "rdev.cmd.*.*.*",
			contract.ServiceSubject(contract.ServiceAudit, "*"),
			contract.ServiceSubject(contract.ServiceExecutor, "*"), contract.ServiceSubject(contract.ServiceNotifier, "*"),
			msgGet(contract.StreamOutput), directGet(contract.StreamEvents), directGet(contract.StreamOutput),
			"$JS.API.CONSUMER.INFO." + contract.StreamEvents + ".*",
			"$JS.API.CONSUMER.MSG.NEXT." + contract.StreamEvents + ".*",
			"$JS.API.CONSUMER.DELETE." + contract.StreamEvents + ".*",
		})
	for _, stream := range contract.Streams() {
		for _, verb := range []string{"CREATE", "UPDATE", "INFO"} {
			u.publish = append(u.publish, "$JS.API.STREAM."+verb+"."+stream.Name)
		}
		u.publish = append(u.publish, "$JS.API.CONSUMER.CREATE."+stream.Name+".>")
	}
	for _, consumer := range contract.Consumers(contract.DefaultLease()) {
		if consumer.Stream == contract.StreamEvents && consumer.Name != contract.ConsumerKeys {
			u.never = append(u.never, "$JS.API.CONSUMER.MSG.NEXT."+consumer.Stream+"."+consumer.Name,
				"$JS.API.CONSUMER.DELETE."+consumer.Stream+"."+consumer.Name)
		}
	}
	u.subscribe = append(u.subscribe, contract.SubjectEventLive, contract.OutputSubject("*"))
	return u
}

// vault is what the gateway asks of the provisioner: everything but the values of
// credentials, which are for executors.
func vault() []string {
	var all []string
	for _, verb := range []string{
		contract.VerbListProjects, contract.VerbPutCredential, contract.VerbDeleteCredential, contract.VerbListCredentials, contract.VerbRotateMaster,
	} {
		all = append(all, contract.ServiceSubject(contract.ServiceProvisioner, verb))
	}
	return all
}

func executorUser() user {
	u := service(contract.ServiceExecutor,
		appends(contract.EntityOperation, "running", "completed", "failed", "cancelled"),
		reads(contract.StreamCommands, contract.ConsumerExecutor),
		[]string{
			contract.OutputAppendSubject("*"), msgGet(contract.StreamOutput),
			contract.ServiceSubject(contract.ServiceProvisioner, contract.VerbOpenCredentials),
		})
	u.subscribe = append(u.subscribe, contract.SubjectSignalAll)
	return u
}

func provisionerUser() user {
	return service(contract.ServiceProvisioner,
		appends(contract.EntityOperation, "running", "completed", "failed", "cancelled", "cancel_requested"),
		appends(contract.EntityProject, "*"),
		reads(contract.StreamCommands, contract.ConsumerProvisioner),
		projects(contract.ConsumerProjects),
		[]string{contract.CancelSignal("*"), contract.ServiceSubject(contract.ServiceAudit, contract.VerbListOperations)})
}

func auditUser() user {
	return service(contract.ServiceAudit,
		appends(contract.EntityOperation, "failed"),
		projects(contract.ConsumerAudit),
		[]string{msgGet(contract.StreamCommands), directGet(contract.StreamEvents)})
}

func notifierUser() user {
	return service(contract.ServiceNotifier,
		reads(contract.StreamEvents, contract.ConsumerNotifier),
		reads(contract.StreamHooks, contract.ConsumerDeliver),
		[]string{
			contract.HookDue("*", "*"), contract.HookRetry("*", "*"),
			"$JS.API.STREAM.INFO." + contract.StreamEvents, "$JS.API.STREAM.INFO." + contract.StreamHooks, "$JS.API.STREAM.PURGE." + contract.StreamHooks,
		})
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
		"$JS.API.CONSUMER.INFO." + stream + "." + consumer,
		"$JS.API.CONSUMER.MSG.NEXT." + stream + "." + consumer,
		"$JS.ACK." + stream + "." + consumer + ".>",
		"$JS.ACK.*.*." + stream + "." + consumer + ".>", // as newer servers write it
	}
}

// projects is what a projection of the log asks for: it also sets its consumer to
// where the view stands.
func projects(consumer string) []string {
	return append(reads(contract.StreamEvents, consumer),
		"$JS.API.STREAM.INFO."+contract.StreamEvents,
		"$JS.API.CONSUMER.RESET."+contract.StreamEvents+"."+consumer)
}

func msgGet(stream string) string { return "$JS.API.STREAM.MSG.GET." + stream }

func directGet(stream string) string { return "$JS.API.DIRECT.GET." + stream }

// authorization is a part of a NATS server's configuration.
func authorization(users []user) string {
	var text strings.Builder
	text.WriteString("authorization {\n  users: [\n")
	for _, u := range users {
		fmt.Fprintf(&text, "    # %s\n    {\n      nkey: %s\n", u.name, u.nkey)
		if len(u.publish) > 0 {
			fmt.Fprintf(&text, "      permissions: {\n        publish: {\n%s%s        }\n        subscribe: {\n%s        }\n"+
				"        allow_responses: {max: 1, expires: \"1m\"}\n      }\n",
				subjects("allow", u.publish), subjects("deny", u.never), subjects("allow", u.subscribe))
		}
		text.WriteString("    }\n")
	}
	text.WriteString("  ]\n}\n")
	return text.String()
}

// subjects are a list of the configuration, and nothing where there are none.
func subjects(key string, all []string) string {
	if len(all) == 0 {
		return ""
	}
	const indent = "          "
	return indent + key + ": [\n" + indent + "  \"" + strings.Join(all, "\"\n"+indent+"  \"") + "\"\n" + indent + "]\n"
}
