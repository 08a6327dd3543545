//go:build cluster

package kube_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/libs/testcluster"
	adapter "github.com/orchard9/rdev/services/executor/internal/adapters/kube"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

const (
	namespace = "rdev-projects"
	patience  = time.Minute
)

// world is a real cluster that has the image of claudeboxes.
type world struct {
	cluster *testcluster.Cluster
	client  *kubernetes.Clientset
	set     appsv1.StatefulSet // of the project "shop", as the provisioner makes it
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{cluster: testcluster.New(t)}
	w.client = w.cluster.Client()
	box, err := w.cluster.LoadClaudebox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	golden, err := os.ReadFile("../../../../provisioner/internal/adapters/kube/testdata/statefulset.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(golden, &w.set); err != nil {
		t.Fatal(err)
	}
	pod := &w.set.Spec.Template.Spec
	pod.RuntimeClassName, pod.ImagePullSecrets, pod.ServiceAccountName = nil, nil, ""
	pod.Containers[0].Image, pod.Containers[0].ImagePullPolicy = box, corev1.PullNever
	// Twenty of them fit on a small machine.
	pod.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("64Mi")}
	w.set.Spec.VolumeClaimTemplates[0].Spec.StorageClassName = nil
	_, err = w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// runtime is one whose view of the cluster ends with the test.
func (w *world) runtime(t *testing.T, cluster *rest.Config) *adapter.Runtime {
	t.Helper()
	life, end := context.WithCancel(context.Background()) // longer than that of what the test cleans up
	t.Cleanup(end)
	runtime, err := adapter.New(life, adapter.Config{
		Cluster: cluster, Namespace: namespace, Patience: patience, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return runtime
}

// project makes the pod of a new project, that goes with the test.
func (w *world) project(t *testing.T) contract.Project {
	t.Helper()
	slug := "p" + strings.ToLower(rand.Text()[:10])
	set := w.set.DeepCopy()
	set.Name, set.Namespace = kube.NameOf(slug), namespace
	for _, labels := range []map[string]string{
		set.Labels, set.Spec.Selector.MatchLabels, set.Spec.Template.Labels, set.Spec.VolumeClaimTemplates[0].Labels,
	} {
		labels[kube.LabelProjectID] = slug
	}
	sets := w.client.AppsV1().StatefulSets(namespace)
	if _, err := sets.Create(t.Context(), set, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		foreground := metav1.DeletePropagationForeground
		if err := sets.Delete(context.Background(), set.Name, metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
			t.Error(err)
		}
	})
	return contract.Project{Slug: slug, Workspace: kube.Workspace, Runtime: contract.RuntimeKube}
}

// script is a run of /bin/sh.
func script(p contract.Project, text string) domain.RunSpec {
	return domain.RunSpec{
		RunRef: domain.RunRef{Project: p.Slug, Workspace: p.Workspace, ID: "run-" + strings.ToLower(rand.Text()), Token: 1},
		Argv:   []string{"sh", "-c", text},
	}
}
