package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/orchard9/rdev/cmd/rdev/internal/deploy"
	"github.com/orchard9/rdev/libs/envutil"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/executor"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/notifier"
	"github.com/orchard9/rdev/services/provisioner"
)

// secured is a NATS server with the secrets of an installation, which lie as files
// in a directory for each.
type secured struct {
	url, dir string
}

func (s secured) file(secret, key string) string { return filepath.Join(s.dir, secret, key) }

// serveNATS starts one with the configuration that the secrets have.
func serveNATS(t *testing.T) secured {
	t.Helper()
	s := secured{dir: t.TempDir()}
	_, secrets := written(t, deploy.Options{Namespace: "rdev"})
	for name, data := range secrets {
		for key, value := range data {
			if err := errors.Join(os.MkdirAll(filepath.Join(s.dir, name), 0o700), os.WriteFile(s.file(name, key), []byte(value), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	config := filepath.Join(s.dir, "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:-1\njetstream {store_dir: %q, max_file_store: 40GiB}\ntls {cert_file: %q, key_file: %q}\ninclude \"rdev-nats-auth/auth.conf\"\n",
		t.TempDir(), s.file("rdev-nats-tls", "tls.crt"), s.file("rdev-nats-tls", "tls.key"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s.url = "tls://" + testkit.NATSServer(t, options).Addr().String()
	return s
}

func TestEveryServiceDoesItsWorkWithTheRightsOfItsUser(t *testing.T) {
	s, database, address := serveNATS(t), testkit.Postgres(t), testkit.FreeAddress(t)
	log := &refusals{}
	with := func(name string, more ...string) map[string]string {
		all := map[string]string{
			"NATS_URL": s.url, "NATS_CA_FILE": s.file("rdev-nats-tls", "ca.crt"), "NATS_NKEY_FILE": s.file("rdev-nats-"+name, "seed"),
			strings.ToUpper(name) + "_DATABASE_URL": database,
		}
		for i := 0; i < len(more); i += 2 {
			all[more[i]] = more[i+1]
		}
		return all
	}
	workspaces := t.TempDir()
	start(t, log, audit.Run, with("audit"))
	start(t, log, notifier.Run, with("notifier", "RDEV_WEBHOOK_ALLOW", "127.0.0.1/32", "NOTIFIER_RETRY_BASE", "1s"))
	start(t, log, provisioner.Run, with("provisioner", append(farSettings(t), "PROVISIONER_WORKSPACES", workspaces)...))
	start(t, log, executor.Run, with("executor", "EXECUTOR_RUNNER", runner(t), "EXECUTOR_ALLOW_UNCONFINED", "true"))
	atGateway := with("gateway", "GATEWAY_KEY_PEPPER_FILE", s.file("rdev-key-pepper", "pepper"), "RDEV_ADDR", address, "GATEWAY_KEY_RATE", "1200")
	start(t, log, gateway.Run, atGateway)
	streams, err := envutil.LoadFrom[gateway.Streams](with("migrate")) // for which they all wait
	if err != nil {
		t.Fatal(err)
	}
	if err := gateway.MigrateStreams(t.Context(), streams, slog.New(log.handler(t)), t.Output()); err != nil {
		t.Fatal(err)
	}
	cfg, err := envutil.LoadFrom[gateway.Config](atGateway)
	if err != nil {
		t.Fatal(err)
	}
	key, err := gateway.Bootstrap(t.Context(), cfg, false, testkit.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	everything(t, "http://"+address, key)
	webhook(t, "http://"+address, key)
	log.check(t)
}

func TestAUserMayNothingElse(t *testing.T) {
	s := serveNATS(t)
	for name, subjects := range map[string][]string{
		"gateway": {
			"rdev.append.operation.running.x", "rdev.append.project.created.x", "rdev.svc.provisioner.open_credentials", "rdev.events.operation.failed.x", "rdev.out.x", "rdev.output.x",
			"$JS.API.STREAM.DELETE.RDEV_EVENTS", "$JS.API.STREAM.PURGE.RDEV_EVENTS", "$JS.API.CONSUMER.MSG.NEXT.RDEV_EVENTS.audit",
			"$JS.API.CONSUMER.MSG.NEXT.RDEV_CMD.executor", "$JS.API.CONSUMER.DELETE.RDEV_EVENTS.audit", "$JS.ACK.RDEV_EVENTS.audit.1",
			"$JS.API.STREAM.CREATE.RDEV_EVENTS", "$JS.API.STREAM.UPDATE.RDEV_EVENTS", "$JS.API.CONSUMER.CREATE.RDEV_EVENTS.x.rdev.events.>",
			"$JS.API.CONSUMER.CREATE.RDEV_EVENTS.audit.rdev.events.operation.>", "$JS.API.CONSUMER.CREATE.RDEV_EVENTS.keys.rdev.events.key.>",
			"$JS.API.CONSUMER.CREATE.RDEV_CMD.executor.rdev.cmd.executor.>", "$JS.API.CONSUMER.DELETE.RDEV_EVENTS.keys",
			"$KV.OTHER.x", "$JS.API.STREAM.PURGE.KV_RDEV_LIMITS", "$JS.API.STREAM.DELETE.KV_RDEV_LIMITS", "$JS.API.CONSUMER.CREATE.KV_RDEV_LIMITS.x", "$JS.API.DIRECT.GET.KV_RDEV_LIMITS.$KV.RDEV_LIMITS.x",
		},
		"executor":    {"$KV.RDEV_LIMITS.all.requests", "rdev.append.key.created.x", "rdev.svc.provisioner.put_credential", "rdev.append.operation.pending.x", "rdev.append.project.created.x", "rdev.cmd.executor.pod.x", "$JS.API.CONSUMER.MSG.NEXT.RDEV_CMD.provisioner", "$JS.API.STREAM.CREATE.X", "rdev.svc.audit.list"},
		"provisioner": {"$KV.RDEV_LIMITS.all.requests", "rdev.append.operation.pending.x", "rdev.out.x", "$JS.API.CONSUMER.MSG.NEXT.RDEV_CMD.executor", "rdev.svc.audit.rebuild", "rdev.svc.gateway.other", "rdev.append.worker.renewed.x"},
		"audit":       {"$KV.RDEV_LIMITS.all.requests", "rdev.append.operation.completed.x", "rdev.cmd.executor.pod.x", "$JS.API.STREAM.MSG.GET.RDEV_OUTPUT", "$JS.API.CONSUMER.MSG.NEXT.RDEV_EVENTS.keys"},
		"notifier":    {"$KV.RDEV_LIMITS.all.requests", "rdev.append.operation.failed.x", "$JS.API.STREAM.PURGE.RDEV_EVENTS", "$JS.API.CONSUMER.MSG.NEXT.RDEV_EVENTS.audit", "rdev.svc.audit.list"},
		"migrate": {
			"rdev.append.operation.failed.x", "rdev.cmd.executor.pod.x", "rdev.out.x", "$KV.RDEV_LIMITS.all.requests", "$JS.API.STREAM.MSG.GET.RDEV_EVENTS", "$JS.API.STREAM.DELETE.RDEV_EVENTS",
			"$JS.API.CONSUMER.MSG.NEXT.RDEV_EVENTS.audit", "$JS.API.CONSUMER.DELETE.RDEV_EVENTS.audit", "$JS.API.CONSUMER.CREATE.RDEV_EVENTS.x.rdev.events.>", "$JS.API.STREAM.CREATE.X",
		},
	} {
		for _, subject := range subjects {
			if !refuses(t, s, name, func(c *nats.Conn) error { return c.Publish(subject, nil) }) {
				t.Errorf("%s may publish %s", name, subject)
			}
		}
		for _, subject := range []string{">", "_INBOX.>", "_INBOX.other.>", "rdev.append.>", "$JS.API.>", "rdev.svc.other.x"} {
			if !refuses(t, s, name, func(c *nats.Conn) error { _, err := c.SubscribeSync(subject); return err }) {
				t.Errorf("%s may hear %s", name, subject)
			}
		}
	}
	if refuses(t, s, "operator", func(c *nats.Conn) error { return c.Publish("$JS.API.STREAM.LIST", nil) }) {
		t.Error("the operator may not do everything")
	}
	_, err := nats.Connect(s.url, nats.RootCAs(s.file("rdev-nats-tls", "ca.crt")))
	if !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("who is nobody is let in: %v", err)
	}
}

// refuses tells whether the server says that a user may not do something.
func refuses(t *testing.T, s secured, name string, try func(*nats.Conn) error) bool {
	t.Helper()
	seed, err := nats.NkeyOptionFromSeed(s.file("rdev-nats-"+name, "seed"))
	if err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	c, err := nats.Connect(s.url, seed, nats.RootCAs(s.file("rdev-nats-tls", "ca.crt")),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { refused <- err }))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := errors.Join(try(c), c.FlushTimeout(testkit.Patience)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused: // errors are told in another goroutine, but before the answer to the flush
		return errors.Is(err, nats.ErrPermissionViolation)
	case <-time.After(50 * time.Millisecond):
		return false
	}
}

// start runs a service until the test ends.
func start[Config any](t *testing.T, log *refusals, run func(context.Context, Config, *slog.Logger) error, variables map[string]string) {
	t.Helper()
	cfg, err := envutil.LoadFrom[Config](variables)
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, func(ctx context.Context, cfg Config, _ *slog.Logger) error {
		return run(ctx, cfg, slog.New(log.handler(t)))
	}, cfg)
}

// refusals keeps what NATS refused, as the services log it.
type refusals struct {
	mu  sync.Mutex
	all []string
}

func (r *refusals) handler(t *testing.T) slog.Handler {
	t.Helper()
	return slog.NewTextHandler(writer(func(line []byte) (int, error) {
		if text := string(line); strings.Contains(strings.ToLower(text), "permissions violation") {
			r.mu.Lock()
			r.all = append(r.all, text)
			r.mu.Unlock()
		}
		return t.Output().Write(line)
	}), nil)
}

type writer func([]byte) (int, error)

func (w writer) Write(line []byte) (int, error) { return w(line) }

func (r *refusals) check(t *testing.T) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.all) > 0 {
		t.Errorf("NATS refused:\n%s", strings.Join(r.all, ""))
	}
}

// runner builds rdev-runner.
func runner(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rdev-runner")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "github.com/orchard9/rdev/services/executor/cmd/rdev-runner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}
