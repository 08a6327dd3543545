//go:build cluster

package kube

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/libs/testcluster"
)

// world is a real cluster that has the image of claudeboxes.
type world struct {
	cluster  *testcluster.Cluster
	client   *kubernetes.Clientset
	template Template
}

func TestOnARealCluster(t *testing.T) {
	w := &world{cluster: testcluster.NewWith(t, testcluster.Options{NetworkPolicies: true})}
	w.client = w.cluster.Client()
	box, err := w.cluster.LoadClaudebox(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.template = Template{Image: box, Storage: "1Gi", CPURequest: "10m", MemoryLimit: "256Mi", Ephemeral: "256Mi"}

	t.Run("AProjectIsReadyAndGoesWithoutATrace", w.comesAndGoes)
	t.Run("TheSameProjectTwiceAtOnceIsOne", w.twiceAtOnce)
	t.Run("WhatCannotBeIsToldAndLeavesNothing", w.cannotBe)
	t.Run("ANamespaceThatIsGoingIsTold", w.terminating)
	t.Run("WhatRdevMayNotDoIsTold", w.forbidden)
	t.Run("ARouteLeadsToTheProgramOfItsProjectAndNobodyElseGetsThere", w.routesLead)
}

// space makes a namespace that admits only what is hardened, and workspaces in it.
func (w *world) space(t *testing.T, name string, template Template, cluster *rest.Config) *Workspaces {
	t.Helper()
	_, err := w.client.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: name, Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	spaces, err := New(Config{
		Cluster: cluster, Namespace: name, Template: template, Patience: 10 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return spaces
}

// empty fails the test where a namespace holds anything of a project, or a volume
// is left of one.
func (w *world) empty(t *testing.T, namespace string) {
	t.Helper()
	sets, err := w.client.AppsV1().StatefulSets(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pods, err := w.client.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claims, err := w.client.CoreV1().PersistentVolumeClaims(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	accounts, err := w.client.CoreV1().ServiceAccounts(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: kube.LabelProject})
	if err != nil {
		t.Fatal(err)
	}
	services, err := w.client.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ingresses, err := w.client.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(sets.Items) + len(pods.Items) + len(claims.Items) + len(accounts.Items) + len(services.Items) + len(ingresses.Items); n > 0 {
		t.Errorf("left are %d statefulsets, %d pods, %d claims, %d accounts, %d services, %d ingresses",
			len(sets.Items), len(pods.Items), len(claims.Items), len(accounts.Items), len(services.Items), len(ingresses.Items))
	}
}

func (w *world) comesAndGoes(t *testing.T) {
	spaces := w.space(t, "coming", w.template, w.cluster.Config())
	for _, slug := range []string{"a", "b", "c"} {
		began := time.Now()
		got, err := spaces.Create(t.Context(), slug)
		if err != nil {
			t.Fatal(err)
		}
		created := time.Since(began)
		if got.Path != kube.Workspace || got.Runtime != contract.RuntimeKube {
			t.Errorf("got %+v", got)
		}
		if _, err := spaces.Create(t.Context(), slug); err != nil {
			t.Errorf("create what is there: %v", err)
		}
		began = time.Now()
		if err := spaces.Remove(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
		t.Logf("ready after %v, gone after %v", created.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		if err := spaces.Remove(t.Context(), slug); err != nil {
			t.Errorf("remove what is not there: %v", err)
		}
	}
	// A name that is just being left can be taken again.
	if _, err := spaces.Create(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	foreground := metav1.DeletePropagationForeground
	if err := w.client.AppsV1().StatefulSets("coming").Delete(t.Context(), kube.NameOf("a"), metav1.DeleteOptions{PropagationPolicy: &foreground}); err != nil {
		t.Fatal(err)
	}
	if _, err := spaces.Create(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := spaces.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	w.empty(t, "coming")
}

func (w *world) twiceAtOnce(t *testing.T) {
	spaces := w.space(t, "twice", w.template, w.cluster.Config())
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			if _, err := spaces.Create(t.Context(), "shop"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	pods, err := w.client.CoreV1().Pods("twice").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) != 1 {
		t.Errorf("%d pods, %v, want one", len(pods.Items), err)
	}
	for range 2 {
		both.Go(func() {
			if err := spaces.Remove(t.Context(), "shop"); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
	w.empty(t, "twice")
}

func (w *world) cannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Template)
		want   string
	}{
		"image":   {func(t *Template) { t.Image = "rdev.test/nothing:dev" }, "rdev.test/nothing:dev"},
		"never":   {func(t *Template) { t.Image, t.PullPolicy = "rdev.test/nothing:dev", "Never" }, "ErrImageNeverPull"},
		"storage": {func(t *Template) { t.StorageClass = "nowhere" }, `"nowhere" not found`},
		"memory":  {func(t *Template) { t.MemoryLimit = "500Gi" }, "Insufficient memory"},
		"class":   {func(t *Template) { t.RuntimeClass = "gvisor" }, `RuntimeClass "gvisor" not found`},
		"quota":   {func(*Template) {}, "exceeded quota"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			template := w.template
			c.change(&template)
			spaces := w.space(t, "cannot-"+name, template, w.cluster.Config())
			if name == "image" {
				spaces.patience = 30 * time.Second // until the registry that is not there is known to be not there
			}
			if name == "quota" {
				w.quota(t, "cannot-"+name)
			}
			began := time.Now()
			_, err := spaces.Create(t.Context(), "shop")
			t.Logf("after %v: %v", time.Since(began).Round(time.Millisecond), err)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			w.empty(t, "cannot-"+name)
		})
	}
}

// quota allows no pods in a namespace.
func (w *world) quota(t *testing.T, namespace string) {
	t.Helper()
	_, err := w.client.CoreV1().ResourceQuotas(namespace).Create(t.Context(), &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) terminating(t *testing.T) {
	spaces := w.space(t, "going", w.template, w.cluster.Config())
	_, err := w.client.CoreV1().ConfigMaps("going").Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "keeps", Finalizers: []string{"rdev.test/keep"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.client.CoreV1().Namespaces().Delete(t.Context(), "going", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := spaces.Create(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "being terminated") {
		t.Errorf("got %v", err)
	}
	w.empty(t, "going")
}

func (w *world) forbidden(t *testing.T) {
	token, err := w.client.CoreV1().ServiceAccounts("default").CreateToken(context.Background(), "default", &authv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	nobody := rest.AnonymousClientConfig(w.cluster.Config())
	nobody.BearerToken = token.Status.Token
	spaces := w.space(t, "forbidden", w.template, nobody)
	if _, err := spaces.Create(t.Context(), "shop"); err == nil || !strings.Contains(err.Error(), "forbidden") || errors.Is(err, errForeign) {
		t.Errorf("got %v", err)
	}
	w.empty(t, "forbidden")
}
