package kube

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

func newWorkerPods(t *testing.T) (*WorkerPods, *fake.Clientset) {
	t.Helper()
	set := fake.NewClientset()
	return &WorkerPods{set: set, namespace: namespace, template: template, storage: "4Gi"}, set
}

func TestAWorkersPodIsAsTheGoldenFileSays(t *testing.T) {
	w, _ := newWorkerPods(t)
	made, err := w.pod("worker-abc")
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(made, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "worker.json")
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestAWorkersPodIsHardenedAsThatOfAProject but for its volume and what follows of it.
func TestAWorkersPodIsHardenedAsThatOfAProject(t *testing.T) {
	worker, project := template.worker("4Gi"), template.pod()
	if got := worker.Containers[0].Resources.Limits.StorageEphemeral().String(); got != "5Gi" {
		t.Errorf("its limit of ephemeral storage is %s", got)
	}
	for _, list := range []*corev1.ResourceList{worker.Containers[0].Resources.Requests, worker.Containers[0].Resources.Limits} {
		(*list)[corev1.ResourceEphemeralStorage] = resource.MustParse(template.Ephemeral)
	}
	worker.RestartPolicy, worker.Volumes = nil, worker.Volumes[:1]
	got, err := json.Marshal(worker)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(project)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestPodsOfWorkersComeAndGo(t *testing.T) {
	w, set := newWorkerPods(t)
	theirs := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "project-shop-0", Namespace: namespace, Labels: labelsOf("shop")}}
	pods := set.CoreV1().Pods(namespace)
	if _, err := pods.Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, worker := range []string{"worker-a", "worker-b"} {
		if err := w.Create(t.Context(), worker); err != nil {
			t.Fatal(err)
		}
	}
	made, err := pods.Get(t.Context(), "worker-a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := metav1.NewTime(time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC))
	made.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: at}}
	if _, err := pods.UpdateStatus(t.Context(), made, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.template.MemoryLimit = "4Gi" // it is configured anew
	if err := w.Create(t.Context(), "worker-c"); err != nil {
		t.Fatal(err)
	}
	got, err := w.List(t.Context())
	want := []app.WorkerPod{
		{Worker: "worker-a", Ready: true, Outdated: true, Since: at.Time},
		{Worker: "worker-b", Outdated: true, Why: "is not ready"},
		{Worker: "worker-c", Why: "is not ready"},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got)\n%s", err, diff)
	}
	for range 2 { // again is fine
		for _, pod := range got {
			if err := w.Delete(t.Context(), pod.Worker); err != nil {
				t.Fatal(err)
			}
		}
	}
	left, err := pods.List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 1 || left.Items[0].Name != theirs.Name {
		t.Errorf("%v, left are %+v", err, left.Items)
	}
}

func TestAStorageThatIsNoneIsRefused(t *testing.T) {
	if _, err := NewWorkerPods(Config{Template: template}, "much"); err == nil || !strings.Contains(err.Error(), `storage "much"`) {
		t.Errorf("got %v", err)
	}
}
