// Package testcluster runs a real Kubernetes of one node for tests: etcd, the
// API server, controller manager, scheduler, kubelet and kube-proxy, with
// containerd and runc, started from zero in about five seconds. Exec, exit
// codes, volumes, secrets, limits and Services are those of Kubernetes.
//
// All of it lives in network, mount and PID namespaces of its own and ends with
// the test process, however that ends: its first process (internal/node) reads
// a pipe from the test and tidies up when the pipe closes. The test reaches the
// API server, Services and pods over a veth pair; pods reach the test at HostIP,
// and nothing beyond.
//
// It needs Linux, root, and Go; what else it needs it builds and fetches into
// the user's cache (internal/components), which takes minutes the first time:
// run `go run ./libs/testcluster/cmd/testcluster prepare` first, as go test ends
// a test after ten minutes. There is one cluster on a machine at a time; a
// second Start waits for the first to be stopped.
//
// By choice (Options) it has DNS, CoreDNS in a pod of kube-system with the label
// k8s-app=kube-dns behind the Service kube-dns, as on other clusters; names of
// the outside do not exist. And by choice it enforces NetworkPolicies
// (internal/policy, by nftables): those of a pod are in force before its first
// container starts. What is not allowed is dropped. The node, with its kubelet,
// reaches every pod; to a policy the test is the address HostIP.
package testcluster
