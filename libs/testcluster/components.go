package testcluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

const (
	containerdSocket = "/run/containerd/containerd.sock" // the node has a /run of its own
	etcdURL          = "http://127.0.0.1:2379"
	etcdPeerURL      = "http://127.0.0.1:2380"
)

func (c *Cluster) process(name, path string, args ...string) protocol.Process {
	return protocol.Process{Name: name, Path: path, Args: args, Env: c.components.Env}
}

// etcd syncs nothing to disk, as its data ends with the cluster, and elects
// itself soon.
func (c *Cluster) etcd() protocol.Process {
	return c.process("etcd", c.components.Etcd,
		"--data-dir="+filepath.Join(c.dir, "etcd"), "--unsafe-no-fsync", "--heartbeat-interval=10", "--election-timeout=100",
		"--listen-client-urls="+etcdURL, "--advertise-client-urls="+etcdURL,
		"--listen-peer-urls="+etcdPeerURL, "--initial-advertise-peer-urls="+etcdPeerURL,
		"--initial-cluster=default="+etcdPeerURL)
}

func (c *Cluster) apiServer() protocol.Process {
	return c.process("kube-apiserver", c.components.APIServer,
		"--etcd-servers="+etcdURL, "--bind-address=0.0.0.0", "--advertise-address="+nodeIP, "--secure-port="+apiPort,
		"--tls-cert-file="+c.pki.path("serving.crt"), "--tls-private-key-file="+c.pki.path("serving.key"),
		"--client-ca-file="+c.pki.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+c.pki.path("sa.pub"), "--service-account-signing-key-file="+c.pki.path("sa.key"),
		"--service-cluster-ip-range="+serviceRange, "--authorization-mode=Node,RBAC", "--allow-privileged=true",
		"--enable-admission-plugins=NodeRestriction",
		"--kubelet-client-certificate="+c.pki.path("kubelet-client.crt"), "--kubelet-client-key="+c.pki.path("kubelet-client.key"),
		"--kubelet-certificate-authority="+c.pki.path("ca.crt"), "--kubelet-preferred-address-types=InternalIP")
}

func (c *Cluster) controllerManager() protocol.Process {
	return c.process("kube-controller-manager", c.components.ControllerManager, append(c.control("controller-manager"),
		"--service-account-private-key-file="+c.pki.path("sa.key"), "--root-ca-file="+c.pki.path("ca.crt"),
		"--use-service-account-credentials=true")...)
}

func (c *Cluster) scheduler() protocol.Process {
	return c.process("kube-scheduler", c.components.Scheduler, c.control("scheduler")...)
}

// control are the flags that the controller manager and the scheduler share.
func (c *Cluster) control(name string) []string {
	kubeconfig := c.pki.path(name + ".kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--tls-cert-file=" + c.pki.path("serving.crt"), "--tls-private-key-file=" + c.pki.path("serving.key"),
		"--leader-elect=false", "--kube-api-qps=1000", "--kube-api-burst=2000",
	}
}

func (c *Cluster) containerd() protocol.Process {
	return c.process("containerd", c.components.Containerd, "--config="+filepath.Join(c.dir, "containerd.toml"))
}

func (c *Cluster) kubelet() protocol.Process {
	return c.process("kubelet", c.components.Kubelet,
		"--config="+filepath.Join(c.dir, "kubelet.json"), "--kubeconfig="+c.pki.path("kubelet.kubeconfig"),
		"--hostname-override="+nodeName, "--node-ip="+nodeIP, "--root-dir="+filepath.Join(c.dir, "kubelet"))
}

func (c *Cluster) proxy() protocol.Process {
	return c.process("kube-proxy", c.components.Proxy, "--config="+filepath.Join(c.dir, "proxy.json"))
}

// ctr is a call of containerd's own client.
func (c *Cluster) ctr(args ...string) protocol.Process {
	return c.process("ctr", c.components.Ctr, append([]string{"--address", containerdSocket, "--namespace", "k8s.io"}, args...)...)
}

// configure writes the configuration of the components that have it in files.
func (c *Cluster) configure() error {
	if err := os.MkdirAll(filepath.Join(c.dir, "cni"), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(filepath.Join(c.dir, "etcd"), 0o700); err != nil {
		return err
	}
	if err := c.linkPlugins(); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(c.dir, "containerd.toml"), []byte(c.containerdConfig()), 0o644),
		os.WriteFile(filepath.Join(c.dir, "resolv.conf"), []byte("nameserver "+nodeIP+"\n"), 0o644),
		c.writeJSON("cni/10-testcluster.conflist", c.cniConfig()),
		c.writeJSON("kubelet.json", c.kubeletConfig()),
		c.writeJSON("proxy.json", c.proxyConfig()),
	)
}

func (c *Cluster) writeJSON(file string, value any) error {
	content, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, file), content, 0o644)
}

// containerdConfig: root without CAP_SYS_RESOURCE may not lower an OOM score,
// and the kubelet asks for it.
func (c *Cluster) containerdConfig() string {
	return fmt.Sprintf(`version = 2
root = %q
state = "/run/containerd"
[grpc]
  address = %q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %q
  restrict_oom_score_adj = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = %q
    conf_dir = %q
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      BinaryName = %q
[plugins."io.containerd.internal.v1.opt"]
  path = %q
`, filepath.Join(c.dir, "containerd"), containerdSocket, c.pause.Name, c.plugins(), filepath.Join(c.dir, "cni"),
		c.components.Runc, filepath.Join(c.dir, "opt"))
}

// plugins is the directory with the CNI plugins.
func (c *Cluster) plugins() string { return filepath.Join(c.dir, "cni-plugins") }

// linkPlugins puts the plugin of this package beside those of the machine, as
// containerd looks into one directory.
func (c *Cluster) linkPlugins() error {
	own, err := filepath.Glob(filepath.Join(c.components.CNI, "*"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(c.plugins(), 0o755); err != nil {
		return err
	}
	for _, path := range append(own, filepath.Join(c.programs(), attachPlugin)) {
		if err := os.Symlink(path, filepath.Join(c.plugins(), filepath.Base(path))); err != nil {
			return fmt.Errorf("link a CNI plugin: %w", err)
		}
	}
	return nil
}

// cniConfig gives every pod a veth pair to the node and routes: no bridge, so
// all that a pod sends passes the node's filters, without any kernel module. The
// second plugin waits for the filters of the pod.
func (c *Cluster) cniConfig() any {
	type object = map[string]any
	plugins := []object{{
		"type": "ptp",
		"ipam": object{
			"type": "host-local", "dataDir": filepath.Join(c.dir, "ipam"),
			"ranges": [][]object{{{"subnet": podRange}}}, "routes": []object{{"dst": "0.0.0.0/0"}},
		},
	}}
	if c.options.NetworkPolicies {
		plugins = append(plugins, object{"type": attachPlugin, "socket": filepath.Join(c.dir, policySocket)})
	}
	return object{"cniVersion": "1.0.0", "name": "testcluster", "plugins": plugins}
}

func (c *Cluster) kubeletConfig() any {
	type object = map[string]any
	config := object{
		"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
		"failCgroupV1": false, "cgroupDriver": "cgroupfs", "cgroupRoot": "/" + cgroupName,
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"authentication": object{
			"anonymous": object{"enabled": false}, "webhook": object{"enabled": true},
			"x509": object{"clientCAFile": c.pki.path("ca.crt")},
		},
		"authorization": object{"mode": "Webhook"},
		"tlsCertFile":   c.pki.path("serving.crt"), "tlsPrivateKeyFile": c.pki.path("serving.key"),
		"failSwapOn": false, "makeIPTablesUtilChains": false,
		"resolvConf": filepath.Join(c.dir, "resolv.conf"), "volumePluginDir": filepath.Join(c.dir, "plugins"),
		"podLogsDir": filepath.Join(c.dir, "pods"),
		// A full disk of the machine is not what is tested.
		"evictionHard":                object{"memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
		"imageGCHighThresholdPercent": 100, "imageGCLowThresholdPercent": 99,
		"nodeStatusUpdateFrequency": "5s", "kubeAPIQPS": 1000, "kubeAPIBurst": 2000, "eventRecordQPS": 0,
	}
	if c.options.DNS {
		config["clusterDNS"], config["clusterDomain"] = []string{dnsServiceIP}, clusterDomain
	}
	return config
}

// proxyConfig leaves the limits of connection tracking as they are: they are the
// whole machine's.
func (c *Cluster) proxyConfig() any {
	type object = map[string]any
	return object{
		"apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
		"mode": "nftables", "clusterCIDR": podRange, "hostnameOverride": nodeName,
		"clientConnection": object{"kubeconfig": c.pki.path("proxy.kubeconfig")},
		"conntrack":        object{"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
	}
}
