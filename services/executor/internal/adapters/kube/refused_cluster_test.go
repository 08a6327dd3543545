//go:build cluster

package kube_test

import (
	"errors"
	"strings"
	"testing"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// wantRefusal fails the test where err does not end an operation with that reason.
func wantRefusal(t *testing.T, err error, reason string) {
	t.Helper()
	refused, ok := errors.AsType[*domain.RefusedError](err)
	if !ok || !strings.Contains(refused.Reason, reason) {
		t.Errorf("got %v, want a refusal with %q in it", err, reason)
	}
}

// execIsForbidden to an account that may see pods and nothing else.
func (w *world) execIsForbidden(t *testing.T) {
	roles := w.client.RbacV1()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list", "watch"},
	}}}
	if _, err := roles.Roles(namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "watcher"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "watcher"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: "default", Namespace: namespace}},
	}
	if _, err := roles.RoleBindings(namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := w.client.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), "default", &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	watcher := rest.AnonymousClientConfig(w.cluster.Config())
	watcher.BearerToken = token.Status.Token
	project := w.project(t)
	wantRefusal(t, w.runtime(t, watcher).Start(t.Context(), script(project, "true")), "forbidden")
}

// podHasNoRunner: somebody else made it, with the labels of a project.
func (w *world) podHasNoRunner(t *testing.T) {
	box, err := image.Program(t.Context(), image.Options{}, "libs/testcluster", "internal/box")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.LoadImage(t.Context(), box.Archive); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{kube.LabelProject: kube.Project, kube.LabelProjectID: "theirs"}},
		Spec: corev1.PodSpec{
			Containers:                    []corev1.Container{{Name: kube.Container, Image: box.Name, ImagePullPolicy: corev1.PullNever}},
			TerminationGracePeriodSeconds: new(int64),
		},
	}
	if _, err := w.client.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	theirs := contract.Project{Slug: "theirs", Workspace: kube.Workspace}
	wantRefusal(t, w.runtime(t, w.cluster.Config()).Start(t.Context(), script(theirs, "true")), kube.Runner)
}
