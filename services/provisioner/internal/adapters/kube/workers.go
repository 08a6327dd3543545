package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// WorkerPods implements app.WorkerPods: bare pods, for which of them goes is for rdev
// to say.
type WorkerPods struct {
	set       kubernetes.Interface
	namespace string
	template  Template
	storage   string // of a worker's workspace
}

// NewWorkerPods keeps the pods of workers in a cluster. They are as those of projects,
// but that their workspace of so much storage goes with them.
func NewWorkerPods(cfg Config, storage string) (*WorkerPods, error) {
	if err := cfg.Template.check(); err != nil {
		return nil, fmt.Errorf("pods of workers: %w", err)
	}
	if _, err := resource.ParseQuantity(storage); err != nil {
		return nil, fmt.Errorf("pods of workers: storage %q: %w", storage, err)
	}
	set, err := kubernetes.NewForConfig(cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return &WorkerPods{set: set, namespace: cfg.Namespace, template: cfg.Template, storage: storage}, nil
}

// annotationTemplate is of what template the pod of a worker was made.
const annotationTemplate = "rdev.orchard9.ai/template"

// List implements app.WorkerPods.
func (w *WorkerPods) List(ctx context.Context) ([]app.WorkerPod, error) {
	like, err := w.pod("like")
	if err != nil {
		return nil, err
	}
	list, err := w.set.CoreV1().Pods(w.namespace).List(ctx, metav1.ListOptions{
		LabelSelector: labels.Set{kube.LabelManagedBy: kube.ManagedBy, kube.LabelRole: kube.Worker}.String(),
	})
	if err != nil {
		return nil, fmt.Errorf("list the pods of workers: %w", err)
	}
	pods := make([]app.WorkerPod, 0, len(list.Items))
	for _, found := range list.Items {
		why := kube.NotReady(&found)
		pod := app.WorkerPod{
			Worker: found.Name, Ready: why == "", Why: why, Ended: kube.Ended(&found), Deleting: found.DeletionTimestamp != nil,
			Outdated: found.Annotations[annotationTemplate] != like.Annotations[annotationTemplate], Since: found.CreationTimestamp.Time,
		}
		for _, c := range found.Status.Conditions {
			if c.Type == corev1.PodReady && c.LastTransitionTime.After(pod.Since) {
				pod.Since = c.LastTransitionTime.Time
			}
		}
		pods = append(pods, pod)
	}
	return pods, nil
}

// Create implements app.WorkerPods.
func (w *WorkerPods) Create(ctx context.Context, worker string) error {
	pod, err := w.pod(worker)
	if err == nil {
		_, err = w.set.CoreV1().Pods(w.namespace).Create(ctx, pod, metav1.CreateOptions{FieldManager: manager})
	}
	if err != nil {
		return fmt.Errorf("create pod %s/%s: %w", w.namespace, worker, err)
	}
	return nil
}

// Delete implements app.WorkerPods.
func (w *WorkerPods) Delete(ctx context.Context, worker string) error {
	err := w.set.CoreV1().Pods(w.namespace).Delete(ctx, worker, metav1.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete pod %s/%s: %w", w.namespace, worker, err)
	}
	return nil
}

func (w *WorkerPods) pod(worker string) (*corev1.Pod, error) {
	spec, err := json.Marshal(w.template.worker(w.storage))
	if err != nil {
		return nil, fmt.Errorf("pod of worker %s: %w", worker, err)
	}
	sum := fnv.New64a()
	sum.Write(spec)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: worker, Namespace: w.namespace,
		Labels:      map[string]string{kube.LabelManagedBy: kube.ManagedBy, kube.LabelRole: kube.Worker, kube.LabelWorkerID: worker},
		Annotations: map[string]string{annotationTemplate: strconv.FormatUint(sum.Sum64(), 16)},
	}}
	if err := json.Unmarshal(spec, &pod.Spec); err != nil {
		return nil, fmt.Errorf("pod of worker %s: %w", worker, err)
	}
	return pod, nil
}

// worker is pod with a workspace that goes with it. A container that ends is not
// started again: what ran in it is lost, and so its worker is gone, which another
// replaces. It would else come back with the files of a task that nobody follows.
func (t Template) worker(storage string) *corev1apply.PodSpecApplyConfiguration {
	size := resource.MustParse(storage)
	pod := t.pod().WithRestartPolicy(corev1.RestartPolicyNever).
		WithVolumes(corev1apply.Volume().WithName(volume).WithEmptyDir(corev1apply.EmptyDirVolumeSource().WithSizeLimit(size)))
	ephemeral := resource.MustParse(t.Ephemeral)
	ephemeral.Add(size)
	resources := pod.Containers[0].Resources
	(*resources.Requests)[corev1.ResourceEphemeralStorage] = ephemeral
	(*resources.Limits)[corev1.ResourceEphemeralStorage] = ephemeral
	return pod
}
