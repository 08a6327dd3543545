package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Verify implements app.Workspaces.
func (w *Workspaces) Verify(ctx context.Context, slug string) (differences []string, err error) {
	found, err := w.existing(ctx, slug)
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return []string{"the StatefulSet is missing"}, nil
	case found.DeletionTimestamp != nil:
		return []string{"the StatefulSet is being deleted"}, nil
	case found.Status.ReadyReplicas == 0:
		differences = append(differences, "the pod is not ready")
	}
	if found.Spec.Template.Spec.ServiceAccountName != "" { // none has a StatefulSet of a time without accounts
		account, err := w.account(ctx, slug)
		if err != nil {
			return nil, err
		}
		if account == nil {
			differences = append(differences, "the service account is missing")
		}
	}
	_, err = w.set.CoreV1().PersistentVolumeClaims(w.namespace).Get(ctx, claimOf(slug), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return append(differences, "the volume is missing"), nil
	case err != nil:
		return nil, fmt.Errorf("the volume of %s: %w", slug, err)
	}
	return differences, nil
}
