package chaos

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/bus"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
	"github.com/orchard9/rdev/services/audit"
	"github.com/orchard9/rdev/services/gateway"
	"github.com/orchard9/rdev/services/provisioner"
)

// world is a whole rdev: NATS, PostgreSQL and all services but the executors in
// this process, the executors in processes of their own.
type world struct {
	nodes      *testkit.Nodes
	conn       *bus.Conn // to look at the log
	client     *client.Client
	crew       *crew
	database   string
	workspaces string
	workers    string // directory
}

// newWorld starts an rdev on so many NATS servers, with so many executors.
func newWorld(t *testing.T, servers, executors int) *world {
	t.Helper()
	w := &world{database: testkit.Postgres(t), workspaces: filepath.Join(t.TempDir(), "workspaces"), workers: filepath.Join(t.TempDir(), "workers")}
	w.nodes = testkit.NATSNodes(t, servers, lease())
	w.conn = testkit.Connect(t, w.nodes.URL(), "chaos")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, audit.Run, audit.Config{
		NATS: bus.Settings{URL: w.nodes.URL()}, DatabaseURL: w.database, CleanupInterval: time.Second, Lease: lease(),
	})
	testkit.Serve(t, provisioner.Run, provisioner.Config{
		NATS: bus.Settings{URL: w.nodes.URL()}, DatabaseURL: w.database, Workspaces: w.workspaces, Lease: lease(),
	})
	cfg := gateway.Config{
		NATS: bus.Settings{URL: w.nodes.URL()}, DatabaseURL: w.database, KeyPepper: testkit.SecretFile(t),
		Listener: listener,
	}
	key, err := gateway.Bootstrap(t.Context(), cfg, false, testkit.Log(t))
	if err != nil {
		t.Fatal(err)
	}
	testkit.Serve(t, gateway.Run, cfg)
	w.client, err = client.New(client.Config{URL: "http://" + listener.Addr().String(), Key: key, Tries: 3})
	if err != nil {
		t.Fatal(err)
	}
	w.crew = newCrew(t, w.nodes.URL(), buildRunner(t), w.workers)
	for range executors {
		if err := w.crew.start(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	defer cancel()
	for _, name := range []string{contract.ServiceAudit, contract.ServiceProvisioner, contract.ServiceExecutor, contract.ServiceGateway} {
		if err := w.conn.AwaitService(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// createProject makes a project and returns its workspace.
func (w *world) createProject(t *testing.T, slug string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	accepted, err := w.client.ChangeProject(ctx, client.CreateProject(client.NewProject{Slug: slug}), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Wait(ctx, accepted.ID, func(client.Operation) {}); err != nil {
		t.Fatal(err)
	}
	project, err := w.conn.Project(ctx, slug)
	if err != nil {
		t.Fatal(err)
	}
	return project.Workspace
}

// run has a job accepted, whatever it takes: a request that was not answered is sent
// again with the same key.
func (w *world) run(ctx context.Context, j job) (contract.Operation, error) {
	for {
		accepted, err := w.ask(ctx, j)
		if err == nil {
			return accepted.Operation.Operation, nil
		}
		select {
		case <-ctx.Done():
			return contract.Operation{}, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (w *world) ask(ctx context.Context, j job) (client.Accepted, error) {
	if !j.work {
		return w.client.Run(ctx, j.project, client.Command{Kind: "shell", Shell: j.script()}, j.key)
	}
	return w.client.AddWork(ctx, client.NewWork{Kind: "custom", Project: j.project, Shell: j.script(), Priority: j.priority}, j.key)
}

// await waits until an operation has ended, as the log has it.
func (w *world) await(ctx context.Context, id string) (contract.Operation, error) {
	for {
		// What it is like is told even where time is up.
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		op, err := w.conn.Load(look, id)
		cancel()
		if err == nil && op.State.Ended() {
			return op, nil
		}
		select {
		case <-ctx.Done():
			return op, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
