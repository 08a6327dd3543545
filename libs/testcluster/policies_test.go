//go:build cluster

package testcluster_test

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/orchard9/rdev/libs/testcluster"
)

func TestAClusterWithDNSAndNetworkPolicies(t *testing.T) {
	began := time.Now()
	h := newHarness(t, testcluster.NewWith(t, testcluster.Options{DNS: true, NetworkPolicies: true}))
	t.Logf("it started in %v", time.Since(began))
	t.Run("resolves Services and pods", h.namesResolve)
	w := h.newWorld(t)
	t.Run("lets a pod without policies reach everything from its first moment", w.freePodReachesAll)
	t.Run("lets a pod that is denied everything reach nothing from its first moment", w.deniedPodReachesNothing)
	t.Run("lets a pod with DNS and an allow-list reach those", w.allowListIsReached)
	t.Run("lets a pod be reached by those that it allows, and by the kubelet", w.guardedPodIsReached)
	t.Run("follows what changes", w.changesAreFollowed)
}

func (w *world) freePodReachesAll(t *testing.T) {
	if diff := cmp.Diff(w.all(), w.reachedAtOnce(t, "free")); diff != "" {
		t.Error(diff)
	}
}

func (w *world) deniedPodReachesNothing(t *testing.T) {
	denied := networkingv1.NetworkPolicySpec{PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}}
	w.policy(t, "denied", denied)
	if got := w.reachedAtOnce(t, "denied"); len(got) > 0 {
		t.Errorf("it reached %v", got)
	}
	w.policy(t, "lonely", denied)
	w.pod(t, "lonely", corev1.PodSpec{})
	if got := w.reached(t, "lonely"); len(got) > 0 {
		t.Errorf("it reached %v", got)
	}
	if _, _, code := w.exec(t, "lonely", nil, "/box", "resolve", "kubernetes.default.svc.cluster.local."); code == 0 {
		t.Error("it resolved a name")
	}
}

func (w *world) allowListIsReached(t *testing.T) {
	_, hostPort, _ := net.SplitHostPort(w.host[0])
	number, err := strconv.Atoi(hostPort)
	if err != nil {
		t.Fatal(err)
	}
	w.policy(t, "listed", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
		Egress: []networkingv1.NetworkPolicyEgressRule{
			{
				To: []networkingv1.NetworkPolicyPeer{{
					NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: metav1.NamespaceSystem}},
					PodSelector:       &metav1.LabelSelector{MatchLabels: map[string]string{"k8s-app": "kube-dns"}},
				}},
				Ports: []networkingv1.NetworkPolicyPort{tcp(53), {Protocol: new(corev1.ProtocolUDP), Port: new(intstr.FromInt32(53))}},
			},
			{To: []networkingv1.NetworkPolicyPeer{{PodSelector: podNamed("friend")}}, Ports: []networkingv1.NetworkPolicyPort{tcp(8080)}},
			{To: []networkingv1.NetworkPolicyPeer{block(testcluster.HostIP + "/32")}, Ports: []networkingv1.NetworkPolicyPort{tcp(number)}},
			{To: []networkingv1.NetworkPolicyPeer{block("0.0.0.0/0", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")}},
		},
	})
	w.pod(t, "listed", corev1.PodSpec{})
	want := []string{w.host[0], w.friend + ":8080", public + ":8080", public + ":8081"}
	if diff := cmp.Diff(want, w.reached(t, "listed")); diff != "" {
		t.Error(diff)
	}
	if stdout, stderr, _ := w.exec(t, "listed", nil, "/box", "resolve", "gateway"); stdout == "" {
		t.Errorf("it does not resolve a Service: %s", stderr)
	}
}

// guardedPodIsReached has a readiness probe, by which the kubelet reaches it.
func (w *world) guardedPodIsReached(t *testing.T) {
	w.policy(t, "guarded", networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		Ingress: []networkingv1.NetworkPolicyIngressRule{{
			From:  []networkingv1.NetworkPolicyPeer{{PodSelector: podNamed("friend")}},
			Ports: []networkingv1.NetworkPolicyPort{{Port: new(intstr.FromString("web"))}},
		}},
	})
	w.pod(t, "guarded", corev1.PodSpec{Containers: []corev1.Container{{
		Args: []string{"serve", "me"}, Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 8080}},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8081)},
		}},
	}}})
	address := w.address(t, "guarded")
	targets := []string{address + ":8080", address + ":8081"}
	for pod, want := range map[string]string{"friend": targets[0], "stranger": "", "guarded": strings.Join(targets, "\n")} {
		stdout, _, _ := w.exec(t, pod, nil, "/box", "reach", targets[0], targets[1])
		if got := strings.TrimSpace(stdout); got != want {
			t.Errorf("%s reached %q", pod, got)
		}
	}
	dialer := net.Dialer{Timeout: time.Second}
	if connection, err := dialer.DialContext(t.Context(), "tcp", targets[0]); err == nil {
		connection.Close()
		t.Error("the test reached it")
	}
}

func (w *world) changesAreFollowed(t *testing.T) {
	policies, pods := w.client.NetworkingV1().NetworkPolicies(namespace), w.client.CoreV1().Pods(namespace)
	target := w.friend + ":8080"
	reaches := func() bool {
		stdout, _, _ := w.exec(t, "lonely", nil, "/box", "reach", target)
		return strings.TrimSpace(stdout) == target
	}
	relabel := func(value string) {
		patch := fmt.Sprintf(`{"metadata":{"labels":{"pod":%q}}}`, value)
		if _, err := pods.Patch(t.Context(), "lonely", "application/merge-patch+json", []byte(patch), metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	relabel("free")
	eventually(t, reaches)
	relabel("lonely")
	eventually(t, func() bool { return !reaches() })
	if err := policies.Delete(t.Context(), "lonely", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, reaches)
}
