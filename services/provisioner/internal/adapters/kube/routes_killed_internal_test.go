package kube

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/orchard9/rdev/libs/kube"
)

// errDead is what a process gets that is dead.
var errDead = errors.New("killed")

// mortal kills the process before, or after, a request: there are two moments for each.
type mortal struct {
	moments, killAt int // killAt is 0 for never
}

// on has the requests to an API server go through it.
func (m *mortal) on(set *fake.Clientset) {
	set.PrependReactor("*", "*", func(action clienttesting.Action) (bool, runtime.Object, error) {
		m.moments += 2
		if m.killAt == 0 || m.moments < m.killAt {
			return false, nil, nil
		}
		if m.moments == m.killAt {
			_, _, _ = clienttesting.ObjectReaction(set.Tracker())(action) // it is done, and nobody hears of it
		}
		return true, nil, errDead
	})
}

func TestWhereverARouteIsKilledTheNextTryEndsIt(t *testing.T) {
	for name, c := range map[string]struct {
		before []string // hosts of the project
		do     func(context.Context, *Routes) error
		left   string
	}{
		"the first is made":   {nil, makeIt, "shop.example.com project-shop"},
		"another is made":     {[]string{"www.example.com"}, makeIt, "shop.example.com www.example.com project-shop"},
		"it is made again":    {[]string{"shop.example.com"}, makeIt, "shop.example.com project-shop"},
		"the last is removed": {[]string{"shop.example.com"}, removeIt, ""},
		"one is removed":      {[]string{"shop.example.com", "www.example.com"}, removeIt, "www.example.com project-shop"},
		"none is removed":     {nil, removeIt, ""},
	} {
		t.Run(name, func(t *testing.T) {
			for killAt := 1; ; killAt++ {
				r, set := newRoutes(t)
				for _, host := range c.before {
					create(t, r, "shop", host)
				}
				m := &mortal{killAt: killAt}
				m.on(set)
				err := c.do(t.Context(), r)
				if killAt > m.moments {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				if !errors.Is(err, errDead) {
					t.Fatalf("killed at %d it returns %v", killAt, err)
				}
				m.killAt = 0
				if err := c.do(t.Context(), r); err != nil {
					t.Fatalf("after it was killed at %d: %v", killAt, err)
				}
				if got := strings.Fields(names(t, set)); !sameWords(got, strings.Fields(c.left)) {
					t.Errorf("after it was killed at %d there is %v, want %s", killAt, got, c.left)
				}
				if err := removeIt(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func makeIt(ctx context.Context, r *Routes) error {
	_, err := r.Create(ctx, "shop", "shop.example.com")
	return err
}

func removeIt(ctx context.Context, r *Routes) error { return r.Remove(ctx, "shop", "shop.example.com") }

// TestNothingWithoutTheLabelsOfItsProjectIsEverChanged has all kinds of things of others lie
// around, does what comes to its mind, and dies now and then.
func TestNothingWithoutTheLabelsOfItsProjectIsEverChanged(t *testing.T) {
	slugs, hosts := []string{"shop", "blog"}, []string{"a.example.com", "b.example.com", "c.example.com"}
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		r, set := newRoutes(t, litter(random, slugs, hosts)...)
		before := foreigners(t, set)
		m := &mortal{}
		m.on(set)
		for range 12 {
			slug, host := slugs[random.IntN(len(slugs))], hosts[random.IntN(len(hosts))]
			m.moments, m.killAt = 0, random.IntN(16)
			if random.IntN(3) > 0 {
				_, _ = r.Create(t.Context(), slug, host) // it may be killed, or something is in the way
			} else {
				_ = r.Remove(t.Context(), slug, host)
			}
		}
		m.killAt = 0
		if diff := cmp.Diff(before, foreigners(t, set)); diff != "" {
			t.Fatalf("seed %d (-before +after)\n%s", seed, diff)
		}
	}
}

// litter is what others may have made in the namespace.
func litter(random *rand.Rand, slugs, hosts []string) (objects []runtime.Object) {
	labels := []map[string]string{
		nil,
		{"app": "web"},
		{kube.LabelManagedBy: kube.ManagedBy},
		{kube.LabelProjectID: "shop"},
		{kube.LabelManagedBy: "Helm", kube.LabelProject: kube.Project, kube.LabelProjectID: "shop"},
		labelsOf("wiki"),
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Name: name, Namespace: namespace, Labels: labels[random.IntN(len(labels))], UID: types.UID(fmt.Sprint(random.Uint64())),
			Annotations: map[string]string{"theirs": "yes"},
		}
	}
	for _, slug := range slugs {
		if random.IntN(3) == 0 {
			objects = append(objects, &corev1.Service{ObjectMeta: meta(kube.NameOf(slug)), Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "x"}})
		}
		for _, host := range hosts {
			if random.IntN(4) == 0 {
				i := ingressAt("", hosts[random.IntN(len(hosts))], nil)
				i.ObjectMeta = meta(ingressName(slug, host))
				objects = append(objects, i)
			}
		}
	}
	if random.IntN(2) == 0 {
		i := ingressAt("", hosts[random.IntN(len(hosts))], nil)
		i.ObjectMeta = meta("web")
		objects = append(objects, i)
	}
	return objects
}

// foreigners are all objects that are not of the projects shop and blog.
func foreigners(t *testing.T, set *fake.Clientset) (all []any) {
	t.Helper()
	ingresses, err := set.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services, err := set.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	ours := func(object metav1.Object) bool { return isOf(object, "shop") || isOf(object, "blog") }
	for _, i := range ingresses.Items {
		if !ours(&i) {
			all = append(all, networkingv1.Ingress{ObjectMeta: i.ObjectMeta, Spec: i.Spec})
		}
	}
	for _, s := range services.Items {
		if !ours(&s) {
			all = append(all, corev1.Service{ObjectMeta: s.ObjectMeta, Spec: s.Spec})
		}
	}
	return all
}
