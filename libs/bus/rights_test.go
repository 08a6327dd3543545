package bus_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/bus/access"
	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
)

func TestAUserThatMayNotDoWhatItsServiceDoesIsFoundAtTheStart(t *testing.T) {
	whole, ok := access.Of(contract.ServiceExecutor)
	if !ok {
		t.Fatal("the executor has no user")
	}
	without := func(list []string, subject string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == subject })
	}
	output := contract.OutputAppendSubject("*")
	for name, c := range map[string]struct {
		change func(*access.User)
		lacks  string
	}{
		"all that it needs": {func(*access.User) {}, ""},
		"more":              {func(u *access.User) { u.Publish = append(without(u.Publish, output), "rdev.out.>") }, ""},
		"no publish":        {func(u *access.User) { u.Publish = without(u.Publish, output) }, "may not publish " + output},
		"less":              {func(u *access.User) { u.Publish = append(without(u.Publish, output), "rdev.out.x") }, "may not publish " + output},
		"a denial":          {func(u *access.User) { u.Never = append(u.Never, "rdev.out.>") }, "may not publish " + output},
		"no subscription":   {func(u *access.User) { u.Subscribe = without(u.Subscribe, contract.SubjectSignalAll) }, "may not subscribe to " + contract.SubjectSignalAll},
		"nothing told":      {func(u *access.User) { u.Publish = without(u.Publish, access.SubjectUserInfo) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair, err := nkeys.CreateUser()
			if err != nil {
				t.Fatal(err)
			}
			public, err := pair.PublicKey()
			if err != nil {
				t.Fatal(err)
			}
			user := whole
			user.Publish, user.Subscribe = slices.Clone(whole.Publish), slices.Clone(whole.Subscribe)
			c.change(&user)
			server, err := embedded.Start(embedded.Options{
				Dir: t.TempDir(), Unsynced: true, Log: slog.New(slog.DiscardHandler), Users: []embedded.User{{User: user, PublicKey: public}},
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = server.Stop() })
			conn, err := bus.Connect(t.Context(), bus.Options{
				NATS: bus.Settings{URL: server.URL(), More: []nats.Option{nats.Nkey(public, pair.Sign)}}, Service: contract.ServiceExecutor,
				Log: slog.New(slog.DiscardHandler),
			})
			if err == nil {
				conn.Close()
			}
			if c.lacks == "" && err != nil || c.lacks != "" && (err == nil || !strings.Contains(err.Error(), c.lacks)) {
				t.Errorf("got %v, want one that says %q", err, c.lacks)
			}
		})
	}
}
