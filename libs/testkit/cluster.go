package testkit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/orchard9/rdev/libs/bus/embedded"
	"github.com/orchard9/rdev/libs/contract"
)

// Nodes are NATS servers in this process that a test stops and starts: one, or
// a cluster of three. Each keeps its ports and its store. It is safe for
// concurrent use.
type Nodes struct {
	mu      sync.Mutex
	options []embedded.Options
	servers []*embedded.Server // nil where stopped
}

// NATSNodes starts n NATS servers with rdev's streams, as many copies of each as
// there are servers. They end with the test.
func NATSNodes(t testing.TB, n int, lease contract.Lease) *Nodes {
	t.Helper()
	nodes := newNodes(t, n)
	t.Cleanup(func() {
		for i := range n {
			if err := nodes.Stop(i); err != nil {
				t.Error(err)
			}
		}
	})
	for i := range n {
		if err := nodes.Start(i); err != nil {
			t.Fatal(err)
		}
	}
	Eventually(t, nodes.together)
	c := Connect(t, nodes.URL(), "migrate")
	ctx, cancel := context.WithTimeout(t.Context(), 2*Patience)
	defer cancel()
	if err := c.Ensure(ctx, n, lease); err != nil {
		t.Fatal(err)
	}
	return nodes
}

func newNodes(t testing.TB, n int) *Nodes {
	t.Helper()
	dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
	nodes := &Nodes{options: make([]embedded.Options, n), servers: make([]*embedded.Server, n)}
	var routes []*url.URL
	for i := range n {
		name := "node-" + strconv.Itoa(i)
		nodes.options[i] = embedded.Options{
			Name: name, Dir: filepath.Join(dir, name), Port: freePort(t), Unsynced: true, Log: log,
		}
		if n > 1 {
			port := freePort(t)
			nodes.options[i].Cluster = &embedded.Cluster{Name: "test", Port: port}
			routes = append(routes, &url.URL{Scheme: "nats-route", Host: "127.0.0.1:" + strconv.Itoa(port)})
		}
	}
	for i := range n {
		if cluster := nodes.options[i].Cluster; cluster != nil {
			cluster.Routes = routes
		}
	}
	return nodes
}

// FreeAddress is an address of this machine on which nothing listens.
func FreeAddress(t testing.TB) string {
	t.Helper()
	return "127.0.0.1:" + strconv.Itoa(freePort(t))
}

// freePort is a port below those that the kernel gives to clients, so that it is
// still free when a stopped server comes back to it.
func freePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 20_000 + rand.IntN(12_000)
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			_ = l.Close() // it was only asked for its port
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// Len is the number of servers.
func (n *Nodes) Len() int { return len(n.options) }

// URL is where clients connect: all servers.
func (n *Nodes) URL() string {
	var all []string
	for _, o := range n.options {
		all = append(all, "nats://127.0.0.1:"+strconv.Itoa(o.Port))
	}
	return strings.Join(all, ",")
}

// Start starts a server where it stopped.
func (n *Nodes) Start(i int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.servers[i] != nil {
		return nil
	}
	server, err := embedded.Start(n.options[i])
	if err != nil {
		return fmt.Errorf("start node %d: %w", i, err)
	}
	n.servers[i] = server
	return nil
}

// Stop stops a server, whose clients lose their connection.
func (n *Nodes) Stop(i int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	server := n.servers[i]
	if server == nil {
		return nil
	}
	n.servers[i] = nil
	if err := server.Stop(); err != nil {
		return fmt.Errorf("stop node %d: %w", i, err)
	}
	return nil
}

// Restart stops a server, and starts it again after a while.
func (n *Nodes) Restart(ctx context.Context, i int, after time.Duration) error {
	if err := n.Stop(i); err != nil {
		return err
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
	return n.Start(i)
}

// together tells whether every server knows all others.
func (n *Nodes) together() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.servers) == 1 {
		return nil
	}
	leaders := 0
	for i, s := range n.servers {
		if s == nil {
			return fmt.Errorf("node %d is stopped", i)
		}
		if s.JetStreamIsLeader() {
			leaders++
			if peers := len(s.JetStreamClusterPeers()); peers < len(n.servers) {
				return fmt.Errorf("the leader sees %d of %d servers", peers, len(n.servers))
			}
		}
	}
	if leaders != 1 {
		return fmt.Errorf("%d leaders", leaders)
	}
	return nil
}

// AwaitInSync returns once all servers are up and every copy of every stream has
// all that its leader has: from then on any one server may be stopped.
func (n *Nodes) AwaitInSync(ctx context.Context) error {
	nc, err := nats.Connect(n.URL())
	if err != nil {
		return fmt.Errorf("await in sync: %w", err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("await in sync: %w", err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		err := errors.Join(n.together(), inSync(ctx, js, n.Len()))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("await in sync: %w (last: %w)", context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

func inSync(ctx context.Context, js jetstream.JetStream, copies int) error {
	// A server that has just come back may leave a request without an answer.
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	for _, s := range contract.Streams() {
		stream, err := js.Stream(ctx, s.Name)
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		cluster := stream.CachedInfo().Cluster
		if copies == 1 {
			continue
		}
		if cluster == nil || cluster.Leader == "" || len(cluster.Replicas) != copies-1 {
			return fmt.Errorf("stream %s has no leader with %d replicas", s.Name, copies-1)
		}
		for _, replica := range cluster.Replicas {
			if replica.Offline || !replica.Current {
				return fmt.Errorf("stream %s: %s is behind", s.Name, replica.Name)
			}
		}
	}
	return nil
}

// MoveLeader has another server lead a stream.
func (n *Nodes) MoveLeader(ctx context.Context, nc *nats.Conn, stream string) error {
	if _, err := nc.RequestWithContext(ctx, "$JS.API.STREAM.LEADER.STEPDOWN."+stream, nil); err != nil {
		return fmt.Errorf("move leader of %s: %w", stream, err)
	}
	return nil
}
