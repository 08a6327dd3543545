package kube

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/orchard9/rdev/libs/kube"
)

const (
	// lookEvery is how often a wait looks where a watch tells it nothing.
	lookEvery = time.Second
	// refusedAfter is how long a pod that is not even made is given, where an event
	// says why.
	refusedAfter = 3 * time.Second
)

// awaitReady waits until the project's pod is ready, or can never be.
func (w *Workspaces) awaitReady(ctx context.Context, slug string) error {
	begin, why := time.Now(), "no pod was made"
	err := w.until(ctx, slug, func(pods []corev1.Pod) (bool, error) {
		if len(pods) == 0 {
			if refusal := w.warning(ctx, kube.NameOf(slug)); refusal != "" {
				why = refusal
				if time.Since(begin) > refusedAfter {
					return false, fmt.Errorf("the pod of %s is not made: %s", slug, why)
				}
			}
			return false, nil
		}
		reason := kube.NotReady(&pods[0])
		if reason == "" {
			return true, nil
		}
		why = "pod " + pods[0].Name + " " + reason
		if hopeless(&pods[0]) {
			return false, errors.New(why)
		}
		if pods[0].Spec.NodeName == "" { // perhaps its volume cannot be had
			if refusal := w.warning(ctx, claimOf(slug)); refusal != "" {
				why += ": " + refusal
			}
		}
		return false, nil
	})
	if errors.Is(err, errPatience) {
		return fmt.Errorf("%s: %w", why, err)
	}
	return err
}

// hopeless tells whether a pod waits for what can only be mended by another spec.
func hopeless(p *corev1.Pod) bool {
	for _, status := range p.Status.ContainerStatuses {
		if waiting := status.State.Waiting; waiting != nil {
			switch waiting.Reason {
			case "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "CreateContainerError", "RunContainerError":
				return true
			}
		}
	}
	return false
}

// warning is the newest event that tells of trouble with an object: why a
// StatefulSet cannot make its pod, or nobody the volume of a claim.
func (w *Workspaces) warning(ctx context.Context, object string) string {
	events, err := w.set.CoreV1().Events(w.namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.Set{"involvedObject.name": object, "type": corev1.EventTypeWarning}.String(),
	})
	if err != nil {
		w.log.Debug("events are not to be had", "object", object, "error", err)
		return ""
	}
	var newest corev1.Event
	for _, event := range events.Items {
		if !event.LastTimestamp.Before(&newest.LastTimestamp) {
			newest = event
		}
	}
	return newest.Message
}

// awaitGone waits until pod and volume are, and then their StatefulSet.
func (w *Workspaces) awaitGone(ctx context.Context, slug string) error {
	left := ""
	err := w.until(ctx, slug, func(pods []corev1.Pod) (bool, error) {
		if len(pods) > 0 {
			left = "pod " + pods[0].Name
			return false, nil
		}
		claims, err := w.set.CoreV1().PersistentVolumeClaims(w.namespace).List(ctx, w.mine(slug))
		if err != nil {
			return false, fmt.Errorf("list the volumes of %s: %w", slug, err)
		}
		if len(claims.Items) > 0 {
			left = "volume claim " + claims.Items[0].Name
			return false, nil
		}
		found, err := w.existing(ctx, slug)
		if found != nil {
			left = "statefulset " + found.Name
		}
		return found == nil, err
	})
	if err != nil && left != "" {
		return fmt.Errorf("%s is still there: %w", left, err)
	}
	return err
}

// errPatience is the end of a wait.
var errPatience = errors.New("given up")

// until looks at a project's pods whenever one changes, and every so often, until
// done says so, for as long as the patience lasts.
func (w *Workspaces) until(ctx context.Context, slug string, done func([]corev1.Pod) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.patience, fmt.Errorf("%w after %s", errPatience, w.patience))
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var changes watch.Interface
	defer func() {
		if changes != nil {
			changes.Stop()
		}
	}()
	for {
		pods, err := w.set.CoreV1().Pods(w.namespace).List(ctx, w.mine(slug))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return fmt.Errorf("list the pods of %s: %w", slug, err)
		}
		if ok, err := done(pods.Items); ok || err != nil {
			return err
		}
		if changes == nil {
			options := w.mine(slug)
			options.ResourceVersion = pods.ResourceVersion
			if changes, err = w.set.CoreV1().Pods(w.namespace).Watch(ctx, options); err != nil {
				return fmt.Errorf("watch the pods of %s: %w", slug, err)
			}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case _, open := <-changes.ResultChan():
			if !open {
				changes = nil // the API server ends every watch some day
			}
		}
	}
}
