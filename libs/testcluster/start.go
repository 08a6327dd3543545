package testcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// start starts what a cluster is made of, in the order in which they need each
// other. What it leaves when it fails, stop removes.
func (c *Cluster) start(ctx context.Context, root string, lock *os.File) error {
	began := time.Now()
	if err := c.lay(ctx, root); err != nil {
		return err
	}
	var err error
	if c.node, err = startNode(filepath.Join(c.programs(), "node"), c.dir, lock); err != nil {
		return err
	}
	if err := connect(c.node.cmd.Process.Pid); err != nil {
		return err
	}
	if err := c.startControl(ctx); err != nil {
		return err
	}
	if err := c.startAddOns(ctx); err != nil {
		return err
	}
	if err := c.startWorker(ctx); err != nil {
		return err
	}
	if c.volumes, err = startProvisioner(ctx, c.client, filepath.Join(c.dir, protocol.Volumes), c.log); err != nil {
		return err
	}
	if err := c.node.await(ctx, "the node is ready for pods", c.nodeReady); err != nil {
		return err
	}
	if c.options.DNS {
		if err := c.node.await(ctx, "the DNS answers", c.dnsAnswers); err != nil {
			return err
		}
	}
	c.log.InfoContext(ctx, "the test cluster is ready", "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}

// lay makes the cluster's directory, after what a killed one may have left.
func (c *Cluster) lay(ctx context.Context, root string) error {
	if err := os.RemoveAll(c.dir); err != nil {
		return fmt.Errorf("remove what the last cluster left: %w", err)
	}
	for _, dir := range []string{protocol.Logs, protocol.Volumes} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o755); err != nil {
			return err
		}
	}
	if err := buildNode(ctx, filepath.Join(root, "libs/testcluster"), c.programs()); err != nil {
		return err
	}
	var err error
	if c.pause, err = image.Program(ctx, image.Options{Root: root}, "libs/testcluster", "internal/pause"); err != nil {
		return err
	}
	if c.pki, err = newPKI(filepath.Join(c.dir, "pki")); err != nil {
		return err
	}
	if c.config, err = c.pki.config("admin"); err != nil {
		return err
	}
	if c.client, err = kubernetes.NewForConfig(c.config); err != nil {
		return err
	}
	return c.configure()
}

// programs is where the node's programs are kept from one cluster to the next, so
// that they are only built again when they have changed.
func (c *Cluster) programs() string { return filepath.Join(filepath.Dir(c.dir), "programs") }

// buildNode builds the first process of the node and the CNI plugin into a
// directory.
func buildNode(ctx context.Context, module, into string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", into+"/", "./internal/node", "./internal/attach")
	cmd.Dir = module
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the node: %w: %s", err, output)
	}
	return nil
}

// startControl starts the control plane, and containerd while the API server
// takes its time.
func (c *Cluster) startControl(ctx context.Context) error {
	for _, p := range []protocol.Process{c.etcd(), c.apiServer(), c.containerd()} {
		if err := c.node.start(ctx, p); err != nil {
			return err
		}
	}
	if err := c.node.await(ctx, "containerd is ready", c.containerdReady); err != nil {
		return err
	}
	if err := c.LoadImage(ctx, c.pause.Archive); err != nil {
		return err
	}
	if err := c.node.await(ctx, "the API server is ready", c.apiReady); err != nil {
		return err
	}
	for _, p := range []protocol.Process{c.controllerManager(), c.scheduler()} {
		if err := c.node.start(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// startAddOns starts what a cluster has by choice, before there are pods.
func (c *Cluster) startAddOns(ctx context.Context) error {
	if c.options.NetworkPolicies {
		var err error
		if c.policies, err = startEnforcer(ctx, c.client, c.dir, c.log, c.loadRules); err != nil {
			return err
		}
	}
	if !c.options.DNS {
		return nil
	}
	if err := c.LoadImage(ctx, c.dns.Archive); err != nil {
		return err
	}
	return c.makeDNS(ctx)
}

// loadRules loads a file of nft's into the node's kernel.
func (c *Cluster) loadRules(ctx context.Context, file string) error {
	return c.node.run(ctx, c.process("nft", c.components.Nft, "-f", file))
}

func (c *Cluster) startWorker(ctx context.Context) error {
	for _, p := range []protocol.Process{c.kubelet(), c.proxy()} {
		if err := c.node.start(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// containerdReady connects to the socket, which it finds from outside of the
// node's mounts.
func (c *Cluster) containerdReady(ctx context.Context) error {
	path := filepath.Join("/proc", strconv.Itoa(c.node.cmd.Process.Pid), "root", containerdSocket)
	connection, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	return connection.Close()
}

func (c *Cluster) apiReady(ctx context.Context) error {
	return c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Timeout(time.Second).Do(ctx).Error()
}

// nodeReady is nil once a pod can be made in the namespace default and will run.
func (c *Cluster) nodeReady(ctx context.Context) error {
	node, err := c.client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
	if err != nil {
		return err
	}
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady && condition.Status == corev1.ConditionTrue {
			_, err = c.client.CoreV1().ServiceAccounts(corev1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
			return err
		}
	}
	return errors.New("the kubelet has not said yet that it is ready")
}

// stop ends what start started, as far as it came. With the end of the node the
// next cluster may start, so nothing is touched after it.
func (c *Cluster) stop() error {
	if c.volumes != nil {
		c.volumes.stop()
	}
	if c.policies != nil {
		c.policies.stop()
	}
	if c.node == nil {
		return os.RemoveAll(c.dir)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var kept string
	if c.keepLogs.Load() {
		kept = c.kept
	}
	return errors.Join(c.node.failed(ctx), c.node.stop(kept))
}
