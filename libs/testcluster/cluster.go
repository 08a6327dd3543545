package testcluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/cache"
	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/libs/testcluster/internal/components"
)

// Options say how to start a cluster.
type Options struct {
	Log *slog.Logger // nil logs nothing

	// DNS lets pods resolve the names of Services and of each other, by CoreDNS.
	// Without it they resolve nothing.
	DNS bool
	// NetworkPolicies enforces them. Without it they are objects without effect.
	NetworkPolicies bool
}

// Cluster is a running Kubernetes of one node. It is safe for concurrent use.
type Cluster struct {
	log        *slog.Logger
	options    Options
	dir        string // of everything the cluster has on disk
	components *components.Components
	pki        *pki
	node       *node
	pause      image.Image // of the sandboxes of pods
	dns        image.Image // of CoreDNS, if there is one
	config     *rest.Config
	client     *kubernetes.Clientset

	volumes  *provisioner
	policies *enforcer // nil where policies have no effect
	keepLogs atomic.Bool
	kept     string // where the logs are after Stop, if they are kept
	stopOnce func() error
}

// patience is how long Start waits for the parts of a cluster together, once
// they are built.
const patience = 2 * time.Minute

// Start starts a cluster and waits until its node is ready for pods. It waits as
// long as another test on this machine has one. An error has what the components
// said last. Where the first build has to be made, it takes minutes.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("the test cluster needs root: it makes namespaces and cgroups")
	}
	root, err := cache.Root()
	if err != nil {
		return nil, err
	}
	dir, err := cacheDir()
	if err != nil {
		return nil, err
	}
	found, err := components.Ensure(ctx, root, dir, o.Log)
	if err != nil {
		return nil, err
	}
	var dns image.Image
	if o.DNS {
		if dns, err = dnsImage(ctx, root, dir, o.Log); err != nil {
			return nil, err
		}
	}
	lock, err := cache.Lock(ctx, "/run/rdev-testcluster.lock")
	if err != nil {
		return nil, fmt.Errorf("wait for the cluster of another test: %w", err)
	}
	defer func() { _ = lock.Close() }() // the node has its own, and keeps it locked
	c := &Cluster{
		log: o.Log, options: o, components: found, dns: dns, dir: filepath.Join(dir, "running"),
		kept: filepath.Join(dir, "logs-"+time.Now().Format("20060102-150405")),
	}
	c.stopOnce = sync.OnceValue(c.stop)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := c.start(ctx, root, lock); err != nil {
		err = fmt.Errorf("start a cluster: %w", err)
		if c.node != nil {
			err = fmt.Errorf("%w\nthe logs are in %s\n%s", err, c.KeepLogs(), c.node.allLastWords())
		}
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// Prepare builds and fetches what Start needs, and starts nothing.
func Prepare(ctx context.Context, log *slog.Logger) error {
	root, err := cache.Root()
	if err != nil {
		return err
	}
	dir, err := cacheDir()
	if err != nil {
		return err
	}
	if _, err = components.Ensure(ctx, root, dir, log); err != nil {
		return err
	}
	_, err = dnsImage(ctx, root, dir, log)
	return err
}

func cacheDir() (string, error) {
	dir, err := cache.Dir()
	return filepath.Join(dir, "kubernetes"), err
}

// Config is the configuration of a client that may do everything. The caller
// owns it.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Kubeconfig is the path of a file for kubectl, with the rights of Config. It is
// there until Stop.
func (c *Cluster) Kubeconfig() string { return c.pki.path("admin.kubeconfig") }

// Kubectl is the path of the kubectl of the cluster's version.
func (c *Cluster) Kubectl() string { return c.components.Kubectl }

// Client is one that may do everything.
func (c *Cluster) Client() *kubernetes.Clientset { return c.client }

// LoadClaudebox makes the image of claudeboxes, without an agent, gives it to the
// node, and returns its name.
func (c *Cluster) LoadClaudebox(ctx context.Context) (name string, err error) {
	box, err := image.Claudebox(ctx, image.Options{})
	if err != nil {
		return "", err
	}
	return box.Name, c.LoadImage(ctx, box.Archive)
}

// LoadImage gives the node the images of a docker-archive or OCI archive. Pods
// use them with imagePullPolicy Never or IfNotPresent.
func (c *Cluster) LoadImage(ctx context.Context, archive string) error {
	archive, err := filepath.Abs(archive)
	if err != nil {
		return err
	}
	if err := c.node.run(ctx, c.ctr("images", "import", archive)); err != nil {
		return fmt.Errorf("load image %s: %w", archive, err)
	}
	return nil
}

// KillAPIServer ends the API server without warning, as a crash does.
func (c *Cluster) KillAPIServer(ctx context.Context) error {
	return c.node.call(ctx, "Kill", c.apiServer().Name, nil)
}

// StartAPIServer starts it again after KillAPIServer, on the same port and data,
// and waits until it serves.
func (c *Cluster) StartAPIServer(ctx context.Context) error {
	if err := c.node.start(ctx, c.apiServer()); err != nil {
		return err
	}
	return c.node.await(ctx, "the API server is ready", c.apiReady)
}

// KeepLogs makes Stop leave the components' logs, and returns the directory in
// which they are then.
func (c *Cluster) KeepLogs() string {
	c.keepLogs.Store(true)
	return c.kept
}

// Stop ends the cluster, removes all that it left on the machine, and returns an
// error also where a component had ended by itself before. A second call does
// nothing and returns the same.
func (c *Cluster) Stop() error { return c.stopOnce() }
