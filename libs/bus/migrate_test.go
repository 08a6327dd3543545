package bus_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// installation is a NATS server without streams that knows the users of an
// installation.
type installation struct {
	server *embedded.Server
	keys   map[string]nats.Option
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{keys: map[string]nats.Option{}}
	var users []embedded.User
	for _, u := range access.Users() {
		if u.Name == access.Operator {
			continue
		}
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		i.keys[u.Name] = nats.Nkey(public, pair.Sign)
		users = append(users, embedded.User{User: u, PublicKey: public})
	}
	var err error
	i.server, err = embedded.Start(embedded.Options{Dir: t.TempDir(), Unsynced: true, Log: slog.New(slog.DiscardHandler), Users: users})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := i.server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return i
}

func (i *installation) connect(t *testing.T, user string, log *slog.Logger) *bus.Conn {
	t.Helper()
	conn, err := bus.Connect(t.Context(), bus.Options{
		NATS: bus.Settings{URL: i.server.URL(), More: []nats.Option{i.keys[user]}}, Service: user, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// refused publishes to subjects as a user, and returns those that NATS refused.
func (i *installation) refused(t *testing.T, user string, publish, subscribe []string) (refused []string) {
	t.Helper()
	var mu sync.Mutex
	inbox := "_INBOX." + user + ".end"
	conn, err := nats.Connect(i.server.URL(), i.keys[user], nats.CustomInboxPrefix("_INBOX."+user), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if !errors.Is(err, nats.ErrPermissionViolation) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		refused = append(refused, strings.Split(err.Error(), `"`)[1])
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for _, subject := range publish {
		// The answer would be to nobody: it must not matter to the next.
		if err := conn.PublishRequest(subject, inbox, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	for _, subject := range subscribe {
		if _, err := conn.SubscribeSync(subject); err != nil {
			t.Fatal(err)
		}
	}
	// Errors are told in order: once this one is, all before it were.
	if err := errors.Join(conn.Publish("the.end", nil), conn.FlushTimeout(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(refused, "the.end") {
			return errors.New("NATS has not refused all yet")
		}
		return nil
	})
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(refused)
}

func TestTheStreamsAreMadeByTheirOwnUserAlsoWhileServicesWait(t *testing.T) {
	i := newInstallation(t)
	waiting := make(chan string, 100)
	log := slog.New(slog.NewTextHandler(writer(func(line []byte) { waiting <- string(line) }), nil))
	services := []string{contract.ServiceGateway, contract.ServiceExecutor, contract.ServiceProvisioner, contract.ServiceAudit, contract.ServiceNotifier}
	ready := make(chan error, len(services))
	for _, name := range services {
		conn := i.connect(t, name, log)
		go func() { ready <- conn.AwaitStreams(t.Context(), log) }()
	}
	for range services {
		if line := <-waiting; !strings.Contains(line, "gateway streams") {
			t.Errorf("a service says %s", line)
		}
	}
	if len(ready) > 0 {
		t.Errorf("a service goes on without its streams: %v", <-ready)
	}
	migrations := make(chan error, 3)
	for range cap(migrations) {
		conn := i.connect(t, access.Migrate, testkit.Log(t))
		go func() { migrations <- conn.Ensure(t.Context(), 1, contract.DefaultLease()) }()
	}
	for range cap(migrations) {
		if err := <-migrations; err != nil {
			t.Error(err)
		}
	}
	for range services {
		if err := <-ready; err != nil {
			t.Error(err)
		}
	}
	if err := i.connect(t, access.Migrate, testkit.Log(t)).Ensure(t.Context(), 1, contract.DefaultLease()); err != nil {
		t.Errorf("once more: %v", err)
	}
	js := i.connect(t, contract.ServiceGateway, log).JetStream()
	for _, entity := range []string{contract.EntityOperation, contract.EntityKey} {
		cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{contract.EntityFilter(entity)}}
		own, err := js.OrderedConsumer(t.Context(), contract.StreamEvents, cfg)
		if err == nil {
			err = js.DeleteConsumer(t.Context(), contract.StreamEvents, own.CachedInfo().Name)
		}
		if err != nil {
			t.Errorf("the gateway's own consumer of %s: %v", entity, err)
		}
	}
}

func TestAServiceThatWaitsForItsStreamsEndsWhenItIsTold(t *testing.T) {
	i := newInstallation(t)
	ctx, stop := context.WithCancel(t.Context())
	log := slog.New(slog.NewTextHandler(writer(func([]byte) { stop() }), nil))
	if err := i.connect(t, contract.ServiceGateway, testkit.Log(t)).AwaitStreams(ctx, log); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// writer takes the lines of a log.
type writer func([]byte)

func (w writer) Write(line []byte) (int, error) { w(line); return len(line), nil }

func TestOnlyMigrateChangesStreamsAndDurableConsumersAndItDoesNothingElse(t *testing.T) {
	i := newInstallation(t)
	if err := i.connect(t, access.Migrate, testkit.Log(t)).Ensure(t.Context(), 1, contract.DefaultLease()); err != nil {
		t.Fatal(err)
	}
	var changes, reads []string
	for _, s := range contract.Streams() {
		for _, verb := range []string{"DELETE", "SNAPSHOT", "RESTORE", "MSG.DELETE", "PEER.REMOVE", "LEADER.STEPDOWN"} {
			changes = append(changes, "$JS.API.STREAM."+verb+"."+s.Name)
		}
		changes = append(changes, "$JS.API.CONSUMER.CREATE."+s.Name, "$JS.API.CONSUMER.CREATE."+s.Name+".x", "$JS.API.CONSUMER.DURABLE.CREATE."+s.Name+".x",
			"$JS.API.CONSUMER.CREATE."+s.Name+".x."+s.Subjects[0])
		reads = append(reads, "$JS.API.STREAM.MSG.GET."+s.Name, "$JS.API.DIRECT.GET."+s.Name, "$JS.API.DIRECT.GET."+s.Name+".x", "$JS.API.STREAM.PURGE."+s.Name)
	}
	changes = append(changes, "$JS.API.STREAM.CREATE.OTHER", "$JS.API.STREAM.UPDATE.OTHER", "$JS.API.STREAM.CREATE.*")
	for _, k := range contract.Consumers(contract.DefaultLease()) {
		of := k.Stream + "." + k.Name
		changes = append(changes, "$JS.API.CONSUMER.CREATE."+of, "$JS.API.CONSUMER.DURABLE.CREATE."+of, "$JS.API.CONSUMER.DELETE."+of,
			"$JS.API.CONSUMER.PAUSE."+of, "$JS.API.CONSUMER.UNPIN."+of, "$JS.API.CONSUMER.LEADER.STEPDOWN."+of)
		if k.Filter != contract.EntityFilter(contract.EntityOperation) && k.Filter != contract.SubjectEventsAll {
			changes = append(changes, "$JS.API.CONSUMER.CREATE."+of+"."+contract.EntityFilter(contract.EntityOperation))
		}
		reads = append(reads, "$JS.API.CONSUMER.MSG.NEXT."+of, "$JS.API.CONSUMER.RESET."+of, "$JS.ACK."+of+".1.1.1.1.1", "$JS.ACK.x.y."+of+".1.1.1.1.1")
	}
	for _, name := range []string{contract.ServiceGateway, contract.ServiceExecutor, contract.ServiceProvisioner, contract.ServiceAudit, contract.ServiceNotifier} {
		forbidden := changes
		for _, s := range contract.Streams() {
			forbidden = append(slices.Clone(forbidden), "$JS.API.STREAM.CREATE."+s.Name, "$JS.API.STREAM.UPDATE."+s.Name)
		}
		for _, k := range contract.Consumers(contract.DefaultLease()) {
			for _, filter := range []string{k.Filter, contract.EntityFilter(contract.EntityOperation), contract.EntityFilter(contract.EntityKey)} {
				forbidden = append(slices.Clone(forbidden), "$JS.API.CONSUMER.CREATE."+k.Stream+"."+k.Name+"."+filter)
			}
		}
		i.wantRefused(t, name, forbidden, nil)
	}
	i.wantRefused(t, access.Migrate, slices.Concat(changes, reads, []string{
		contract.AppendSubject(contract.EntityOperation, "failed", "x"), contract.AppendSubject(contract.EntityKey, "created", "x"), contract.EventSubject(contract.EntityOperation, "failed", "x"),
		contract.PodLane("x").Subject(), contract.OutputAppendSubject("x"), contract.OutputSubject("x"), contract.LimitSubject("x"),
		contract.Signal("x"), contract.ServiceSubject(contract.ServiceProvisioner, contract.VerbOpenCredentials), contract.ServiceSubject(contract.ServiceAudit, "rebuild"),
		"$JS.API.INFO", "$JS.API.STREAM.LIST", "$JS.API.STREAM.NAMES", "$JS.API.ACCOUNT.PURGE.x", "$JS.API.META.LEADER.STEPDOWN",
	}), []string{">", "rdev.>", contract.SubjectEventLive, contract.OutputSubject("x"), contract.SubjectEventsAll, "_INBOX.>", "_INBOX.gateway.>", "$JS.>", "$SRV.>"})
}

// wantRefused wants NATS to refuse all of the subjects, and the user to have noticed.
func (i *installation) wantRefused(t *testing.T, user string, publish, subscribe []string) {
	t.Helper()
	refused := i.refused(t, user, publish, subscribe)
	for what, subjects := range map[string][]string{"publish": publish, "hear": subscribe} {
		for _, subject := range subjects {
			if !slices.Contains(refused, subject) {
				t.Errorf("%s may %s %s", user, what, subject)
			}
		}
	}
}
