//go:build cluster

package provisioner_test

import (
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/libs/testcluster"
)

// A project with all, its pod in a real cluster, is there within seconds and goes without a
// trace.
func TestAProjectWithAllInARealCluster(t *testing.T) {
	e := newEverything(t)
	cluster := testcluster.New(t)
	client := cluster.Client()
	_, err := client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: namespace, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	e.settings.Kubeconfig = cluster.Kubeconfig()
	if e.settings.Image, err = cluster.LoadClaudebox(t.Context()); err != nil {
		t.Fatal(err)
	}
	objects := func() counts {
		t.Helper()
		found := counts{}
		sets, err := client.AppsV1().StatefulSets(namespace).List(t.Context(), metav1.ListOptions{})
		services, err2 := client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
		ingresses, err3 := client.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
		claims, err4 := client.CoreV1().PersistentVolumeClaims(namespace).List(t.Context(), metav1.ListOptions{})
		pods, err5 := client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
		for _, err := range []error{err, err2, err3, err4, err5} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for name, n := range map[string]int{
			"sets": len(sets.Items), "services": len(services.Items), "ingresses": len(ingresses.Items), "claims": len(claims.Items), "pods": len(pods.Items),
		} {
			if n > 0 {
				found[name] = n
			}
		}
		return found
	}
	e.begin()
	e.gate.set(0, "")
	begun := time.Now()
	op := e.made(whole("shop"))
	t.Logf("a project with all was there after %s; its operation took %s", time.Since(begun).Round(time.Millisecond), op.FinishedAt.Sub(*op.StartedAt).Round(time.Millisecond))
	for _, step := range op.Provisioning {
		t.Logf("%8s  %s", step.At.Sub(*op.StartedAt).Round(time.Millisecond), step.Name)
	}
	want := all()
	delete(want, "workspaces")
	if there := e.there("shop"); !maps.Equal(there, want) {
		t.Errorf("there are %v, want %v", there, want)
	}
	if found, want := objects(), (counts{"sets": 1, "services": 1, "ingresses": 2, "claims": 1, "pods": 1}); !maps.Equal(found, want) {
		t.Errorf("the cluster has %v, want %v", found, want)
	}
	e.deleted("shop")
	if there, found := e.there("shop"), objects(); len(there) > 0 || len(found) > 0 {
		t.Errorf("there are %v and %v", there, found)
	}
}
