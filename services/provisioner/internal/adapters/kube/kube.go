// Package kube gives each project a pod of its own, with a volume that outlives
// it: a StatefulSet of one, so that Kubernetes itself replaces a pod that is
// evicted or whose node is gone, and never runs two at once on one volume.
package kube

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

// Workspaces implements app.Workspaces.
type Workspaces struct {
	set       kubernetes.Interface
	namespace string
	template  Template
	patience  time.Duration
	log       *slog.Logger
}

// Config says where the pods of projects are made, and how.
type Config struct {
	Cluster   *rest.Config
	Namespace string
	Template  Template
	// Patience is how long a pod may take to become ready, or to go.
	Patience time.Duration
	Log      *slog.Logger
}

// New keeps workspaces in a cluster.
func New(cfg Config) (*Workspaces, error) {
	if err := cfg.Template.check(); err != nil {
		return nil, fmt.Errorf("pods of projects: %w", err)
	}
	set, err := kubernetes.NewForConfig(cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return &Workspaces{set: set, namespace: cfg.Namespace, template: cfg.Template, patience: cfg.Patience, log: cfg.Log}, nil
}

// manager is who rdev is where several write to one object.
const manager = "rdev-provisioner"

// cleanUp is how long it may take to remove what a failed creation left.
const cleanUp = 30 * time.Second

// errForeign is returned for an object that somebody else made under our name.
var errForeign = errors.New("it is there already, and was not made by rdev")

// Create implements app.Workspaces: it returns when the project's pod is ready,
// or why it is not. Then nothing of it is left that was not there before.
func (w *Workspaces) Create(ctx context.Context, slug string) (app.Workspace, error) {
	found, err := w.existing(ctx, slug)
	if err != nil {
		return app.Workspace{}, err
	}
	if _, err := w.account(ctx, slug); err != nil {
		return app.Workspace{}, err
	}
	if found != nil && found.DeletionTimestamp != nil {
		if err := w.awaitGone(ctx, slug); err != nil {
			return app.Workspace{}, fmt.Errorf("a project of that name is being removed: %w", err)
		}
	}
	if err = w.apply(ctx, slug); err == nil {
		err = w.awaitReady(ctx, slug)
	}
	switch {
	case err != nil && found == nil:
		return app.Workspace{}, w.withdraw(ctx, slug, err)
	case err != nil: // it may have files
		return app.Workspace{}, err
	}
	return app.Workspace{Path: kube.Workspace, Runtime: contract.RuntimeKube}, nil
}

// existing is a project's StatefulSet, nil where there is none, and errForeign
// where the name is somebody else's.
func (w *Workspaces) existing(ctx context.Context, slug string) (*appsv1.StatefulSet, error) {
	name := kube.NameOf(slug)
	found, err := w.set.AppsV1().StatefulSets(w.namespace).Get(ctx, name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("statefulset %s/%s: %w", w.namespace, name, err)
	case !isOf(found, slug):
		return nil, fmt.Errorf("statefulset %s/%s: %w", w.namespace, name, errForeign)
	}
	return found, nil
}

// isOf tells whether rdev made an object for a project.
func isOf(object metav1.Object, slug string) bool {
	has := object.GetLabels()
	return has[kube.LabelManagedBy] == kube.ManagedBy && has[kube.LabelProjectID] == slug
}

func (w *Workspaces) apply(ctx context.Context, slug string) error {
	if err := w.applyAccount(ctx, slug); err != nil {
		return err
	}
	wanted := w.template.statefulSet(w.namespace, slug)
	_, err := w.set.AppsV1().StatefulSets(w.namespace).Apply(ctx, wanted, metav1.ApplyOptions{FieldManager: manager, Force: true})
	if err != nil {
		return fmt.Errorf("apply statefulset %s/%s: %w", w.namespace, *wanted.Name, err)
	}
	return nil
}

// withdraw removes what was made for nothing, and returns why it was. An attempt
// that was replaced leaves all to the newer one.
func (w *Workspaces) withdraw(ctx context.Context, slug string, reason error) error {
	if ctx.Err() != nil {
		return reason
	}
	ctx, cancel := context.WithTimeout(ctx, cleanUp)
	defer cancel()
	if err := w.Remove(ctx, slug); err != nil {
		return fmt.Errorf("%w; and what there was of it is left: %w", reason, err)
	}
	return reason
}

// Remove implements app.Workspaces: it returns when pod and volume are gone. The
// claim goes with its StatefulSet, and the pod before that; the account, which a pod
// needs only to be made, does not wait for them.
func (w *Workspaces) Remove(ctx context.Context, slug string) error {
	if _, err := w.existing(ctx, slug); err != nil {
		return err
	}
	account, err := w.account(ctx, slug)
	if err != nil {
		return err
	}
	name, foreground := kube.NameOf(slug), metav1.DeletePropagationForeground
	err = w.set.AppsV1().StatefulSets(w.namespace).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &foreground})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("delete statefulset %s/%s: %w", w.namespace, name, err)
	}
	err = w.set.CoreV1().PersistentVolumeClaims(w.namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, w.mine(slug))
	if err != nil {
		return fmt.Errorf("delete the volume of %s: %w", slug, err)
	}
	if account != nil {
		if err := w.deleteAccount(ctx, account); err != nil {
			return err
		}
	}
	return w.awaitGone(ctx, slug)
}

// mine selects what rdev made for a project.
func (w *Workspaces) mine(slug string) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: labels.SelectorFromSet(labelsOf(slug)).String()}
}
