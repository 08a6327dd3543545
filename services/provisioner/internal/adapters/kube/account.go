package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1apply "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/orchard9/rdev/libs/kube"
)

// account is a project's ServiceAccount, nil where there is none, and errForeign where the
// name is somebody else's. It may do nothing, and its pod has no token of it; it is there
// so that what is allowed to another account is not allowed to the project.
func (w *Workspaces) account(ctx context.Context, slug string) (*corev1.ServiceAccount, error) {
	name := kube.NameOf(slug)
	found, err := w.set.CoreV1().ServiceAccounts(w.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("serviceaccount %s/%s: %w", w.namespace, name, err)
	case !isOf(found, slug):
		return nil, fmt.Errorf("serviceaccount %s/%s: %w", w.namespace, name, errForeign)
	}
	return found, nil
}

func (w *Workspaces) applyAccount(ctx context.Context, slug string) error {
	wanted := corev1apply.ServiceAccount(kube.NameOf(slug), w.namespace).WithLabels(labelsOf(slug)).WithAutomountServiceAccountToken(false)
	_, err := w.set.CoreV1().ServiceAccounts(w.namespace).Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("apply serviceaccount %s/%s: %w", w.namespace, *wanted.Name, err)
	}
	return nil
}

func (w *Workspaces) deleteAccount(ctx context.Context, account *corev1.ServiceAccount) error {
	err := w.set.CoreV1().ServiceAccounts(w.namespace).Delete(ctx, account.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(account.UID))})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete serviceaccount %s/%s: %w", w.namespace, account.Name, err)
	}
	return nil
}
