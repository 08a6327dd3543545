//go:build cluster

package kube_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
)

// worker makes the pod of a new worker, as the provisioner does.
func (w *world) worker(t *testing.T) (id string) {
	t.Helper()
	id = "worker-" + strings.ToLower(rand.Text()[:10])
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: id, Labels: map[string]string{kube.LabelRole: kube.Worker, kube.LabelWorkerID: id}},
		Spec:       *w.set.Spec.Template.Spec.DeepCopy(),
	}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{
		Name: w.set.Spec.VolumeClaimTemplates[0].Name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}},
	})
	pods := w.client.CoreV1().Pods(namespace)
	if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return id
}

// workerIsLost in mid-run: whoever follows the run, takes it over or begins another is
// told so, and none of them waits for another pod.
func (w *world) workerIsLost(t *testing.T) {
	runtime, id := w.runtime(t, w.cluster.Config()), w.worker(t)
	spec := script(contract.Project{Slug: "shop", Workspace: kube.Workspace}, `echo begun; sleep 600`)
	spec.Worker, spec.Fresh = id, true
	if err := runtime.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	out, ended := &collect{}, make(chan error, 1)
	go func() {
		_, err := runtime.Attach(t.Context(), spec.RunRef, 0, out.emit)
		ended <- err
	}()
	out.await(t, 6)
	at := time.Now()
	if err := w.client.CoreV1().Pods(namespace).Delete(t.Context(), id, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	wantRefusal(t, <-ended, id+" is gone")
	t.Logf("the end was known %v after the pod was deleted", time.Since(at).Round(time.Millisecond))
	next := spec
	next.Token = 2
	ctx, cancel := context.WithTimeout(t.Context(), patience/2)
	defer cancel()
	wantRefusal(t, runtime.Adopt(ctx, next.RunRef), id+" is gone")
	wantRefusal(t, runtime.Start(ctx, next), id+" is gone")
	wantRefusal(t, runtime.Clean(ctx, next.RunRef), id+" is gone")
}
