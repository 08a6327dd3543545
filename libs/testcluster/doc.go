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
// What is missing: DNS in pods, and the enforcement of NetworkPolicies.
package testcluster
