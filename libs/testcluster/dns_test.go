//go:build cluster

package testcluster_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func (h *harness) namesResolve(t *testing.T) {
	h.pod(t, "named", corev1.PodSpec{
		Hostname: "nats-0", Subdomain: "nats", Containers: []corev1.Container{{Args: []string{"serve", "by name"}}},
	})
	h.pod(t, "asking", corev1.PodSpec{})
	selector := map[string]string{"pod": "named"}
	ports := []corev1.ServicePort{{Port: 8080}}
	services := h.client.CoreV1().Services(namespace)
	gateway, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "gateway"}, Spec: corev1.ServiceSpec{Selector: selector, Ports: ports},
	}, metav1.CreateOptions{})
	if err == nil {
		_, err = services.Create(t.Context(), &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Name: "nats"},
			Spec:       corev1.ServiceSpec{Selector: selector, Ports: ports, ClusterIP: corev1.ClusterIPNone},
		}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, address := range map[string]string{
		"gateway": gateway.Spec.ClusterIP, "gateway.default": gateway.Spec.ClusterIP,
		"gateway.default.svc.cluster.local": gateway.Spec.ClusterIP,
		"nats-0.nats":                       h.address(t, "named"), "nats-0.nats.default.svc": h.address(t, "named"),
		"kubernetes.default.svc": "10.231.64.1",
	} {
		eventually(t, func() bool {
			stdout, _, _ := h.exec(t, "asking", nil, "/box", "resolve", name)
			return stdout == address+"\n"
		})
	}
	eventually(t, func() bool {
		stdout, _, _ := h.exec(t, "asking", nil, "/box", "get", "http://gateway.default:8080")
		return stdout == "by name"
	})
	began := time.Now()
	if _, stderr, code := h.exec(t, "asking", nil, "/box", "resolve", "example.com"); code == 0 || !strings.Contains(stderr, "no such host") {
		t.Errorf("a name of the outside: %q", stderr)
	}
	t.Logf("the answer that there is no such name took %v", time.Since(began))
}

func (h *harness) address(t *testing.T, pod string) string {
	t.Helper()
	p, err := h.client.CoreV1().Pods(namespace).Get(t.Context(), pod, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return p.Status.PodIP
}
