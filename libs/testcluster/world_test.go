//go:build cluster

package testcluster_test

import (
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/orchard9/rdev/libs/testcluster"
)

// The addresses that the world has beside the pods. All but that of the test are
// the node's.
const (
	metadata = "169.254.169.254"
	private  = "192.168.77.1"
	public   = "203.0.113.7"
)

// world is what a pod could reach, each on two ports.
type world struct {
	*harness
	host             [2]string // listeners of the test
	friend, stranger string    // addresses of pods
}

func (h *harness) newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{harness: h}
	serve := corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"serve", "hello"}}}}
	h.pod(t, "friend", serve)
	h.pod(t, "stranger", serve)
	w.friend, w.stranger = h.address(t, "friend"), h.address(t, "stranger")
	onNode := serve
	onNode.HostNetwork = true
	h.pod(t, "node", onNode)
	h.giveNode(t, metadata, private, public)
	for i := range w.host {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", testcluster.HostIP+":0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { listener.Close() })
		w.host[i] = listener.Addr().String()
	}
	return w
}

// giveNode gives the node addresses of its own.
func (h *harness) giveNode(t *testing.T, addresses ...string) {
	t.Helper()
	pid, err := strconv.Atoi(processes(t, "-cgroup\x00rdev-testcluster")[0])
	if err != nil {
		t.Fatal(err)
	}
	space, err := netns.GetFromPid(pid)
	if err != nil {
		t.Fatal(err)
	}
	defer space.Close()
	node, err := netlink.NewHandleAt(space)
	if err != nil {
		t.Fatal(err)
	}
	defer node.Close()
	lo, err := node.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if err := node.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(net.ParseIP(a))}); err != nil {
			t.Fatal(err)
		}
	}
}

// all is everything that there is to reach.
func (w *world) all() []string {
	all := slices.Clone(w.host[:])
	for _, host := range []string{w.friend, w.stranger, metadata, private, public} {
		all = append(all, host+":8080", host+":8081")
	}
	// The API server, by its Service, and the kubelet.
	return append(all, "10.231.64.1:443", "10.231.0.2:10250")
}

// reached is what a pod reaches of all.
func (w *world) reached(t *testing.T, pod string) []string {
	t.Helper()
	stdout, stderr, code := w.exec(t, pod, nil, append([]string{"/box", "reach"}, w.all()...)...)
	if code != 0 {
		t.Fatalf("reach: %s", stderr)
	}
	return strings.Fields(stdout)
}

// reachedAtOnce is what a pod reaches of all that does nothing but try.
func (w *world) reachedAtOnce(t *testing.T, name string) []string {
	t.Helper()
	pods := w.client.CoreV1().Pods(namespace)
	_, err := pods.Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod": name}},
		Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{
			Name: "box", Image: boxImage, ImagePullPolicy: corev1.PullNever, Args: append([]string{"reach"}, w.all()...),
		}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		pod, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		return err == nil && pod.Status.Phase == corev1.PodSucceeded
	})
	stream, err := pods.GetLogs(name, &corev1.PodLogOptions{}).Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	said, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(said))
}

// policy makes a policy for a pod.
func (w *world) policy(t *testing.T, pod string, spec networkingv1.NetworkPolicySpec) {
	t.Helper()
	spec.PodSelector.MatchLabels = map[string]string{"pod": pod}
	_, err := w.client.NetworkingV1().NetworkPolicies(namespace).Create(t.Context(), &networkingv1.NetworkPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: pod}, Spec: spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func tcp(port int) networkingv1.NetworkPolicyPort {
	return networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt(port))}
}

func podNamed(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"pod": name}}
}

func block(cidr string, except ...string) networkingv1.NetworkPolicyPeer {
	return networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: cidr, Except: except}}
}
