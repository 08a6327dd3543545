package kube

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Ended tells whether a pod runs nothing any more, or soon will not.
func Ended(p *corev1.Pod) bool {
	return p.DeletionTimestamp != nil || p.Status.Phase == corev1.PodFailed || p.Status.Phase == corev1.PodSucceeded
}

// NotReady says why a pod is not ready, "" where it is.
func NotReady(p *corev1.Pod) string {
	switch {
	case p.DeletionTimestamp != nil:
		return "is being deleted"
	case p.Status.Phase == corev1.PodFailed, p.Status.Phase == corev1.PodSucceeded:
		return strings.TrimSuffix(fmt.Sprintf("has ended: %s: %s", p.Status.Reason, p.Status.Message), ": ")
	}
	var said string
	for _, c := range p.Status.Conditions {
		switch {
		case c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue:
			return ""
		case c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue:
			return strings.TrimSuffix(fmt.Sprintf("is not scheduled: %s: %s", c.Reason, c.Message), ": ")
		case c.Type == corev1.PodReady && c.Message != "":
			said = c.Message
		}
	}
	for _, status := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
		if reason := notRunning(status); reason != "" {
			return reason
		}
	}
	if said != "" {
		return "is not ready: " + said
	}
	return "is not ready"
}

func notRunning(status corev1.ContainerStatus) string {
	switch {
	case status.State.Waiting != nil && status.State.Waiting.Reason != "PodInitializing" && status.State.Waiting.Reason != "ContainerCreating":
		w := status.State.Waiting
		return strings.TrimSuffix(fmt.Sprintf("waits: container %s: %s: %s", status.Name, w.Reason, w.Message), ": ")
	case status.State.Terminated != nil && status.State.Terminated.ExitCode != 0:
		t := status.State.Terminated
		return fmt.Sprintf("is not ready: container %s ended with code %d: %s", status.Name, t.ExitCode, t.Reason)
	}
	return ""
}
