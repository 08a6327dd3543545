package kube

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
)

const namespace = "projects"

var template = Template{
	Image: "registry.example/claudebox@sha256:0", PullSecret: "registry", RuntimeClass: "gvisor", StorageClass: "fast",
	Storage: "10Gi", CPURequest: "250m", CPULimit: "4", MemoryLimit: "2Gi", Ephemeral: "1Gi",
}

func newWorkspaces(t *testing.T, objects ...runtime.Object) (*Workspaces, *fake.Clientset) {
	t.Helper()
	set := fake.NewClientset(objects...)
	return &Workspaces{set: set, namespace: namespace, template: template, patience: 10 * time.Second, log: slog.New(slog.DiscardHandler)}, set
}

// controller makes the pod of every StatefulSet that is applied, as it says.
func controller(t *testing.T, set *fake.Clientset, produce func(*appsv1.StatefulSet) *corev1.Pod) {
	t.Helper()
	watcher, err := set.AppsV1().StatefulSets(namespace).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(watcher.Stop)
	go func() {
		for event := range watcher.ResultChan() {
			found, ok := event.Object.(*appsv1.StatefulSet)
			if !ok {
				continue
			}
			pods := set.CoreV1().Pods(namespace)
			switch event.Type {
			case "ADDED":
				if pod := produce(found); pod != nil {
					_, err = pods.Create(context.Background(), pod, metav1.CreateOptions{})
				}
			case "DELETED":
				err = pods.Delete(context.Background(), found.Name+"-0", metav1.DeleteOptions{})
			}
			if err != nil {
				t.Error(err)
			}
		}
	}()
}

func podOf(s *appsv1.StatefulSet, status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: s.Name + "-0", Namespace: s.Namespace, Labels: s.Spec.Template.Labels},
		Spec:       s.Spec.Template.Spec, Status: status,
	}
}

func ready(s *appsv1.StatefulSet) *corev1.Pod {
	return podOf(s, corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}})
}

func waits(reason, message string) func(*appsv1.StatefulSet) *corev1.Pod {
	return func(s *appsv1.StatefulSet) *corev1.Pod {
		return podOf(s, corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "workspace", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
		}}})
	}
}

func left(t *testing.T, set *fake.Clientset) int {
	t.Helper()
	sets, err := set.AppsV1().StatefulSets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := set.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := set.CoreV1().ServiceAccounts(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return len(sets.Items) + len(pods.Items) + len(accounts.Items)
}

func TestAProjectLivesInItsPodUntilItIsRemoved(t *testing.T) {
	w, set := newWorkspaces(t)
	controller(t, set, ready)
	for range 2 { // a second attempt finds it made
		made, err := w.Create(t.Context(), "shop")
		if err != nil || made.Path != "/workspace/project" || made.Runtime != contract.RuntimeKube {
			t.Fatalf("got %+v, %v", made, err)
		}
	}
	account, err := set.CoreV1().ServiceAccounts(namespace).Get(t.Context(), kube.NameOf("shop"), metav1.GetOptions{})
	if err != nil || account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken || !isOf(account, "shop") {
		t.Errorf("its account is %+v (%v)", account, err)
	}
	for range 2 {
		if err := w.Remove(t.Context(), "shop"); err != nil {
			t.Fatal(err)
		}
	}
	if n := left(t, set); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

var update = flag.Bool("update", false, "write the golden file anew")

func TestAPodIsAsTheGoldenFileSays(t *testing.T) {
	got, err := json.MarshalIndent(template.statefulSet(namespace, "shop"), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("testdata", "statefulset.json")
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

func TestAPodThatCannotBecomeReadyFailsTheCreationAndLeavesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		produce func(*appsv1.StatefulSet) *corev1.Pod
		want    string
	}{
		"no image":       {waits("ErrImageNeverPull", "image is not present"), "ErrImageNeverPull: image is not present"},
		"slow image":     {waits("ImagePullBackOff", "back-off"), "ImagePullBackOff: back-off"},
		"no pod, untold": {func(*appsv1.StatefulSet) *corev1.Pod { return nil }, "no pod was made"},
	} {
		t.Run(name, func(t *testing.T) {
			w, set := newWorkspaces(t)
			w.patience = 500 * time.Millisecond
			controller(t, set, c.produce)
			if c.produce(&appsv1.StatefulSet{}) == nil { // then there is none to be deleted
				set.PrependReactor("delete", "pods", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
			}
			if _, err := w.Create(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if n := left(t, set); n != 0 {
				t.Errorf("%d objects are left", n)
			}
		})
	}
}

func TestWhatTheStatefulSetIsRefusedIsTold(t *testing.T) {
	w, set := newWorkspaces(t, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Name: "e", Namespace: namespace},
		InvolvedObject: corev1.ObjectReference{Name: "project-shop"}, Type: corev1.EventTypeWarning,
		Message: "exceeded quota: pods, requested 1, limited 0",
	})
	if _, err := w.Create(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "exceeded quota") {
		t.Errorf("got %v, want the event", err)
	}
	if n := left(t, set); n != 0 {
		t.Errorf("%d objects are left", n)
	}
}

func TestWhatSomebodyElseMadeIsNeitherChangedNorRemoved(t *testing.T) {
	meta := metav1.ObjectMeta{Name: kube.NameOf("shop"), Namespace: namespace}
	another := *meta.DeepCopy()
	another.Labels = labelsOf("blog")
	for name, theirs := range map[string]runtime.Object{
		"statefulset":                &appsv1.StatefulSet{ObjectMeta: meta},
		"account":                    &corev1.ServiceAccount{ObjectMeta: meta},
		"statefulset of another one": &appsv1.StatefulSet{ObjectMeta: another},
		"account of another one":     &corev1.ServiceAccount{ObjectMeta: another},
	} {
		t.Run(name, func(t *testing.T) {
			w, set := newWorkspaces(t, theirs)
			if _, err := w.Create(t.Context(), "shop"); !errors.Is(err, errForeign) {
				t.Errorf("create: %v, want errForeign", err)
			}
			if err := w.Remove(t.Context(), "shop"); !errors.Is(err, errForeign) {
				t.Errorf("remove: %v, want errForeign", err)
			}
			onlyReads(t, set)
		})
	}
}

// onlyReads fails the test where anything was written.
func onlyReads(t *testing.T, set *fake.Clientset) {
	t.Helper()
	for _, action := range set.Actions() {
		if action.GetVerb() != "get" && action.GetVerb() != "list" {
			t.Errorf("it did %s %s", action.GetVerb(), action.GetResource().Resource)
		}
	}
}

func TestATemplateThatKubernetesWouldNotTakeIsRefusedAtTheStart(t *testing.T) {
	for want, change := range map[string]func(*Template){
		"no image":                   func(t *Template) { t.Image = "" },
		`pull policy "Sometimes"`:    func(t *Template) { t.PullPolicy = "Sometimes" },
		`storage "ten"`:              func(t *Template) { t.Storage = "ten" },
		`CPU limit "x"`:              func(t *Template) { t.CPULimit = "x" },
		`memory limit ""`:            func(t *Template) { t.MemoryLimit = "" },
		"limit of ephemeral storage": func(t *Template) { t.Ephemeral = "?" },
	} {
		changed := template
		change(&changed)
		if err := changed.check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if err := template.check(); err != nil {
		t.Error(err)
	}
}
