package kube_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/libs/kube"
)

func TestWhyAPodIsNotReady(t *testing.T) {
	waiting := func(reason, message string) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "workspace", State: corev1.ContainerState{
			Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message},
		}}}
	}
	unready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Message: "containers with unready status: [workspace]"}
	deleted := metav1.NewTime(time.Now())
	for want, pod := range map[string]corev1.Pod{
		"": {Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}},
		"is being deleted": {
			ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: &deleted},
			Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
		},
		"is not ready":                          {},
		"is not ready: " + unready.Message:      {Status: corev1.PodStatus{Conditions: []corev1.PodCondition{unready}, ContainerStatuses: waiting("ContainerCreating", "")}},
		"has ended: Evicted: low on memory":     {Status: corev1.PodStatus{Phase: corev1.PodFailed, Reason: "Evicted", Message: "low on memory"}},
		"is not scheduled: Unschedulable: full": {Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "full"}}}},
		"waits: container workspace: ErrImagePull: no such image": {Status: corev1.PodStatus{
			Conditions: []corev1.PodCondition{unready}, ContainerStatuses: waiting("ErrImagePull", "no such image"),
		}},
		"is not ready: container workspace ended with code 137: OOMKilled": {Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{
			Name: "workspace", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}},
		}}}},
	} {
		if got := kube.NotReady(&pod); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
