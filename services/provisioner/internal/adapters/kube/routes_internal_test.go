package kube

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/provisioner/internal/app"
)

var _ app.Routes = (*Routes)(nil)

func newRoutes(t *testing.T, objects ...runtime.Object) (*Routes, *fake.Clientset) {
	t.Helper()
	set := fake.NewClientset(objects...)
	return &Routes{set: set, config: RouteConfig{Namespace: namespace, IngressClass: "nginx"}}, set
}

// names are those of all Ingresses and Services that there are.
func names(t *testing.T, set *fake.Clientset) string {
	t.Helper()
	ingresses, err := set.NetworkingV1().Ingresses(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	services, err := set.CoreV1().Services(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, i := range ingresses.Items {
		all = append(all, i.Spec.Rules[0].Host)
	}
	for _, s := range services.Items {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

func create(t *testing.T, r *Routes, slug, host string) string {
	t.Helper()
	url, err := r.Create(t.Context(), slug, host)
	if err != nil {
		t.Fatal(err)
	}
	return url
}

// isUsers fails the test unless an error is the user's to mend, and says what is wanted.
func isUsers(t *testing.T, err error, want string) {
	t.Helper()
	failed, ok := errors.AsType[*app.StepError](err)
	if !ok || failed.Failure.Class != contract.ClassUser || !strings.Contains(failed.Failure.Message, want) {
		t.Errorf("got %v, want a StepError of the user's with %q", err, want)
	}
}

// ingressAt is one of a host, as somebody makes it.
func ingressAt(name, host string, labels map[string]string) *networkingv1.Ingress {
	return &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels, UID: "theirs"},
		Spec:       networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: host}}},
	}
}

func TestTheServiceComesWithTheFirstRouteAndGoesWithTheLast(t *testing.T) {
	r, set := newRoutes(t)
	what, err := r.Plan(t.Context(), "shop", "shop.example.com")
	if err != nil || what != "ingress "+ingressName("shop", "shop.example.com") {
		t.Errorf("planned is %s (%v)", what, err)
	}
	for range 2 {
		if url := create(t, r, "shop", "shop.example.com"); url != "http://shop.example.com" {
			t.Errorf("the URL is %s", url)
		}
	}
	create(t, r, "shop", "www.example.com")
	create(t, r, "blog", "blog.example.com")
	for _, step := range []struct{ slug, host, left string }{
		{"shop", "nothing.example.com", "blog.example.com shop.example.com www.example.com project-blog project-shop"},
		{"shop", "shop.example.com", "blog.example.com www.example.com project-blog project-shop"},
		{"shop", "www.example.com", "blog.example.com project-blog"},
		{"shop", "www.example.com", "blog.example.com project-blog"},
		{"wiki", "blog.example.com", "blog.example.com project-blog"},
		{"blog", "blog.example.com", ""},
	} {
		if err := r.Remove(t.Context(), step.slug, step.host); err != nil {
			t.Fatal(err)
		}
		got := strings.Fields(names(t, set))
		if diff := cmp.Diff(len(strings.Fields(step.left)), len(got)); diff != "" || !sameWords(got, strings.Fields(step.left)) {
			t.Errorf("after %s of %s there is %v, want %s", step.host, step.slug, got, step.left)
		}
	}
}

func sameWords(a, b []string) bool {
	count := map[string]int{}
	for i := range a {
		count[a[i]]++
		count[b[i]]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

func TestARouteIsAsTheGoldenFileSays(t *testing.T) {
	for name, config := range map[string]RouteConfig{
		"plain":  {Namespace: namespace, IngressClass: "nginx"},
		"secret": {Namespace: namespace, TLSSecret: "apps-tls", Annotations: map[string]string{"nginx.ingress.kubernetes.io/proxy-body-size": "32m"}},
		"issuer": {Namespace: namespace, IngressClass: "traefik", ClusterIssuer: "letsencrypt"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &Routes{config: config}
			got, err := json.MarshalIndent([]any{r.wantedIngress("shop", "shop.example.com"), r.wantedService("shop")}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", "route_"+name+".json")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			r.set = fake.NewClientset()
			url := create(t, r, "shop", "shop.example.com")
			if tls := name != "plain"; strings.HasPrefix(url, "https://") != tls {
				t.Errorf("the URL is %s", url)
			}
			if differences, err := r.Verify(t.Context(), "shop", "shop.example.com"); err != nil || differences != nil {
				t.Errorf("once it is made it differs: %v (%v)", differences, err)
			}
		})
	}
	if _, err := NewRoutes(RouteConfig{Cluster: &rest.Config{}, TLSSecret: "a", ClusterIssuer: "b"}); err == nil {
		t.Error("a secret and an issuer were taken")
	}
	if r, err := NewRoutes(RouteConfig{Cluster: &rest.Config{}}); err != nil || r == nil {
		t.Error(err)
	}
}

func TestWhatIsInTheWayOfARouteIsTold(t *testing.T) {
	const host = "shop.example.com"
	name := ingressName("shop", host)
	service := func(labels map[string]string) *corev1.Service {
		return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: kube.NameOf("shop"), Namespace: namespace, Labels: labels}}
	}
	for about, c := range map[string]struct {
		theirs runtime.Object
		want   string
		// conflict is a thing that is only in the way of making it.
		conflict bool
	}{
		"ingress of nobody":              {ingressAt(name, "other.example.com", nil), "ingress projects/" + name + " is there, and is not rdev's for the project shop", false},
		"ingress of another project":     {ingressAt(name, host, labelsOf("blog")), "ingress projects/" + name + " is there", false},
		"ingress of another manager":     {ingressAt(name, host, map[string]string{kube.LabelProjectID: "shop"}), "is not rdev's", false},
		"service of nobody":              {service(nil), "service projects/project-shop is there, and is not rdev's for the project shop", false},
		"service of another project":     {service(labelsOf("blog")), "service projects/project-shop is there", false},
		"the host, of another project":   {ingressAt("project-blog-1", host, labelsOf("blog")), "the host shop.example.com leads to the project blog: remove it there", true},
		"the host, of somebody":          {ingressAt("web", host, nil), "the host shop.example.com is that of the ingress projects/web, which rdev did not make", true},
		"the host, with a project's id":  {ingressAt("web", host, map[string]string{kube.LabelProjectID: "blog"}), "which rdev did not make", true},
		"the host, as one of many rules": {twoHosts(ingressAt("web", "a.example.com", nil), host), "ingress projects/web", true},
	} {
		t.Run(about, func(t *testing.T) {
			r, set := newRoutes(t, c.theirs)
			_, err := r.Plan(t.Context(), "shop", host)
			isUsers(t, err, c.want)
			_, err = r.Create(t.Context(), "shop", host)
			isUsers(t, err, c.want)
			if differences, err := r.Verify(t.Context(), "shop", host); err != nil || len(differences) != 1 || !strings.Contains(differences[0], c.want) {
				t.Errorf("verified: %q, %v", differences, err)
			}
			err = r.Remove(t.Context(), "shop", host)
			if c.conflict && err != nil {
				t.Errorf("remove: %v", err)
			} else if !c.conflict {
				isUsers(t, err, c.want)
			}
			onlyReads(t, set)
		})
	}
	for _, host := range []string{"", "Shop.example.com", "*.example.com", "a b", "shop.example.com:80", "-a.example.com"} {
		r, set := newRoutes(t)
		_, err := r.Create(t.Context(), "shop", host)
		isUsers(t, err, "is not the name of a host")
		onlyReads(t, set)
	}
}

func twoHosts(i *networkingv1.Ingress, host string) *networkingv1.Ingress {
	i.Spec.Rules = append(i.Spec.Rules, networkingv1.IngressRule{Host: host})
	return i
}

func TestWhatCertManagerAnswersWithIsNotInTheWay(t *testing.T) {
	r, set := newRoutes(t, ingressAt("cm-acme-http-solver-x", "shop.example.com", map[string]string{labelSolver: "true"}))
	create(t, r, "shop", "shop.example.com")
	if got := names(t, set); !strings.Contains(got, "project-shop") {
		t.Errorf("there is %s", got)
	}
}

func TestWhoeverSeesAnotherTakeTheSameHostAtTheSameTimeWithdraws(t *testing.T) {
	r, set := newRoutes(t)
	set.PrependReactor("patch", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return false, nil, set.Tracker().Add(ingressAt("project-blog-1", "shop.example.com", labelsOf("blog")))
	})
	_, err := r.Create(t.Context(), "shop", "shop.example.com")
	isUsers(t, err, "leads to the project blog")
	if got := names(t, set); got != "shop.example.com" {
		t.Errorf("left is %s, want the other's ingress alone", got)
	}
}

func TestARouteThatIsMadeWhileTheServiceGoesHasOneAllTheSame(t *testing.T) {
	r, set := newRoutes(t)
	create(t, r, "shop", "shop.example.com")
	set.PrependReactor("delete", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
		return false, nil, set.Tracker().Add(ingressAt(ingressName("shop", "www.example.com"), "www.example.com", labelsOf("shop")))
	})
	if err := r.Remove(t.Context(), "shop", "shop.example.com"); err != nil {
		t.Fatal(err)
	}
	if got := names(t, set); got != "www.example.com project-shop" {
		t.Errorf("there is %s", got)
	}
}

func TestARouteThatIsMadeWhileTheLastOneGoesHasAServiceAllTheSame(t *testing.T) {
	r, set := newRoutes(t)
	create(t, r, "shop", "shop.example.com")
	another := &fake.Clientset{} // of another process
	another.AddReactor("*", "*", clienttesting.ObjectReaction(set.Tracker()))
	for _, resource := range []string{"ingresses", "services"} { // before it makes one of them
		removed := false
		set.PrependReactor("patch", resource, func(clienttesting.Action) (bool, runtime.Object, error) {
			if !removed {
				removed = true
				return false, nil, (&Routes{set: another, config: r.config}).Remove(t.Context(), "shop", "shop.example.com")
			}
			return false, nil, nil
		})
		create(t, r, "shop", "www.example.com")
		if got := names(t, set); got != "www.example.com project-shop" {
			t.Errorf("where the other goes before %s are made there is %s", resource, got)
		}
		if err := r.Remove(t.Context(), "shop", "www.example.com"); err != nil {
			t.Fatal(err)
		}
		create(t, r, "shop", "shop.example.com")
	}
}

func TestAServiceThatIsMissedComesBackWithAnyCall(t *testing.T) {
	for name, call := range map[string]func(*Routes) error{
		"create": func(r *Routes) error {
			_, err := r.Create(t.Context(), "shop", "www.example.com")
			return err
		},
		"remove": func(r *Routes) error { return r.Remove(t.Context(), "shop", "shop.example.com") },
	} {
		r, set := newRoutes(t, ingressAt(ingressName("shop", "www.example.com"), "www.example.com", labelsOf("shop")))
		if err := call(r); err != nil {
			t.Fatal(err)
		}
		if got := names(t, set); got != "www.example.com project-shop" {
			t.Errorf("after %s there is %s", name, got)
		}
	}
}

func TestARouteThatGoesIsNotTakenForOneThatIsThere(t *testing.T) {
	going := ingressAt(ingressName("shop", "shop.example.com"), "shop.example.com", labelsOf("shop"))
	going.DeletionTimestamp, going.Finalizers = new(metav1.Now()), []string{"example.com/balancer"}
	r, _ := newRoutes(t, going)
	if _, err := r.Create(t.Context(), "shop", "shop.example.com"); err == nil || !strings.Contains(err.Error(), "is being removed") {
		t.Errorf("got %v", err)
	}
}

func TestWhatKubernetesRefusesIsTheOperatorsAndTheRestIsTriedAgain(t *testing.T) {
	what := schema.GroupResource{Resource: "ingresses"}
	for name, c := range map[string]struct {
		answer error
		class  contract.FailureClass // "" for one that is tried again
	}{
		"forbidden": {apierrors.NewForbidden(what, "x", errors.New("exceeded quota")), contract.ClassUser},
		"invalid":   {apierrors.NewBadRequest("admission webhook denied the request"), contract.ClassUser},
		"unknown":   {apierrors.NewUnauthorized("no"), contract.ClassAuth},
		"broken":    {apierrors.NewInternalError(errors.New("etcd")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, on := range [][2]string{{"get", "ingresses"}, {"list", "ingresses"}, {"patch", "ingresses"}, {"patch", "services"}, {"get", "services"}} {
				r, set := newRoutes(t)
				set.PrependReactor(on[0], on[1], func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, c.answer })
				_, err := r.Create(t.Context(), "shop", "shop.example.com")
				if failed, ok := errors.AsType[*app.StepError](err); err == nil || ok != (c.class != "") || ok && failed.Failure.Class != c.class {
					t.Errorf("%s: got %v", on, err)
				}
			}
		})
	}
}

func TestWhatIsNotAsItShouldBeIsListed(t *testing.T) {
	const host = "shop.example.com"
	ingress, service := "ingress projects/"+ingressName("shop", host), "service projects/project-shop"
	for want, change := range map[string]func(*networkingv1.Ingress, *corev1.Service){
		"": func(i *networkingv1.Ingress, s *corev1.Service) {
			i.Annotations, s.Spec.ClusterIP = map[string]string{"by": "somebody"}, "10.0.0.1"
		},
		ingress + " for the host shop.example.com is not as rdev makes it": func(i *networkingv1.Ingress, _ *corev1.Service) {
			i.Spec.Rules[0].HTTP.Paths[0].Backend.Service.Name = "project-blog"
		},
		"the " + service + " does not lead to port 8080 of the project's pod": func(_ *networkingv1.Ingress, s *corev1.Service) {
			s.Spec.Selector[kube.LabelProjectID] = "blog"
		},
		"the " + service + " does not": func(_ *networkingv1.Ingress, s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort },
		"does not lead to port 8080": func(_ *networkingv1.Ingress, s *corev1.Service) {
			s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 22})
		},
		"there is no " + ingress: func(i *networkingv1.Ingress, _ *corev1.Service) { i.Name = "renamed"; i.Spec.Rules = nil },
		"there is no " + service: func(_ *networkingv1.Ingress, s *corev1.Service) { s.Name = "renamed" },
	} {
		made, set := newRoutes(t)
		create(t, made, "shop", host)
		i, err := set.NetworkingV1().Ingresses(namespace).Get(t.Context(), ingressName("shop", host), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := set.CoreV1().Services(namespace).Get(t.Context(), kube.NameOf("shop"), metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		change(i, s)
		i.ManagedFields, s.ManagedFields = nil, nil
		r, set := newRoutes(t, i, s)
		differences, err := r.Verify(t.Context(), "shop", host)
		if got := strings.Join(differences, "; "); err != nil || !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
		onlyReads(t, set)
	}
}
