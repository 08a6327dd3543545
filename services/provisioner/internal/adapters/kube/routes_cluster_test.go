//go:build cluster

package kube

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/libs/testcluster/image"
	"github.com/orchard9/rdev/libs/testkit"
)

const (
	routed      = "routed"        // a namespace with the rights and policies that rdev has
	controllers = "ingress-nginx" // where the policies expect the Ingress controller
)

// routesLead has a route lead to a program, with no more rights than the provisioner has, and
// tries to get there from elsewhere.
func (w *world) routesLead(t *testing.T) {
	as := w.provisioner(t)
	spaces := w.space(t, routed, w.template, as)
	w.deployed(t, "rbac.yaml", "kind: Role\n")
	w.bind(t)
	w.deployed(t, "projects.yaml", "kind: NetworkPolicy\n")
	routes, err := NewRoutes(RouteConfig{Cluster: as, Namespace: routed, IngressClass: "nginx"})
	if err != nil {
		t.Fatal(err)
	}
	for _, slug := range []string{"shop", "blog"} {
		if _, err := spaces.Create(t.Context(), slug); err != nil {
			t.Fatal(err)
		}
	}
	w.boxes(t)
	box := buildBox(t)
	w.run(t, box, "shop", "serve", "the shop")
	w.put(t, box, "blog")

	const host = "shop.example.com"
	for range 2 {
		if url, err := routes.Create(t.Context(), "shop", host); err != nil || url != "http://"+host {
			t.Fatalf("got %s, %v", url, err)
		}
	}
	if differences, err := routes.Verify(t.Context(), "shop", host); err != nil || len(differences) > 0 {
		t.Errorf("it differs: %v, %v", differences, err)
	}
	w.leads(t)
	w.strangers(t, routes)

	for _, do := range []func() error{
		func() error { return routes.Remove(t.Context(), "shop", host) },
		func() error { return routes.Remove(t.Context(), "shop", host) },
		func() error { return spaces.Remove(t.Context(), "shop") },
		func() error { return spaces.Remove(t.Context(), "blog") },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	w.empty(t, routed)
}

// leads wants the Service to lead to the program for the Ingress controller, and for nobody
// else, on no other port.
func (w *world) leads(t *testing.T) {
	t.Helper()
	service, err := w.client.CoreV1().Services(routed).Get(t.Context(), kube.NameOf("shop"), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	pod, err := w.client.CoreV1().Pods(routed).Get(t.Context(), kube.NameOf("shop")+"-0", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if pod.Spec.ServiceAccountName != kube.NameOf("shop") || len(pod.Spec.Volumes) != 2 {
		t.Errorf("the pod has the account %s and the volumes %v", pod.Spec.ServiceAccountName, pod.Spec.Volumes)
	}
	addresses := []string{service.Spec.ClusterIP + ":80", pod.Status.PodIP + ":8080", pod.Status.PodIP + ":8081"}
	testkit.Eventually(t, func() error { // until the Service has its endpoint
		_, err := w.kubectl(t.Context(), nil, "exec", "--namespace", controllers, "box", "--", "/box", "get", "http://"+addresses[0])
		return err
	})
	if got := w.in(t, controllers, "box", "/box", "get", "http://"+addresses[0]); got != "the shop" {
		t.Errorf("the controller gets %q", got)
	}
	for _, from := range [][]string{
		{controllers, "box", "/box", addresses[0] + "\n" + addresses[1] + "\n"},
		{"default", "box", "/box", ""},
		{routed, kube.NameOf("blog") + "-0", "/workspace/box", ""},
	} {
		if got := w.in(t, from[0], from[1], append([]string{from[2], "reach"}, addresses...)...); got != from[3] {
			t.Errorf("from %s/%s it reaches %q, want %q", from[0], from[1], got, from[3])
		}
	}
}

// strangers puts things of others in the way, and wants them to stay as they are.
func (w *world) strangers(t *testing.T, routes *Routes) {
	t.Helper()
	ingresses, services := w.client.NetworkingV1().Ingresses(routed), w.client.CoreV1().Services(routed)
	theirs, err := ingresses.Create(t.Context(), &networkingv1.Ingress{
		ObjectMeta: metav1.ObjectMeta{Name: "web"},
		Spec:       networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{{Host: "web.example.com"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	service, err := services.Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: kube.NameOf("blog")}, Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = routes.Create(t.Context(), "shop", "web.example.com")
	isUsers(t, err, "is that of the ingress routed/web")
	_, err = routes.Create(t.Context(), "blog", "blog.example.com")
	isUsers(t, err, "service routed/project-blog is there")
	isUsers(t, routes.Remove(t.Context(), "blog", "blog.example.com"), "service routed/project-blog is there")
	// And what comes to be between the look and the apply is not taken over.
	if err := routes.applyService(t.Context(), "blog", nil); !apierrors.IsConflict(err) {
		t.Errorf("a service of others is applied: %v", err)
	}
	if now, err := ingresses.Get(t.Context(), "web", metav1.GetOptions{}); err != nil || now.ResourceVersion != theirs.ResourceVersion {
		t.Errorf("their ingress is %v (%v)", now, err)
	}
	if now, err := services.Get(t.Context(), service.Name, metav1.GetOptions{}); err != nil || now.ResourceVersion != service.ResourceVersion {
		t.Errorf("their service is %v (%v)", now, err)
	}
	if err := ingresses.Delete(t.Context(), "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := services.Delete(t.Context(), service.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// A Service that took the name of ours since is not changed either.
	ours, err := routes.service(t.Context(), "shop")
	if err != nil {
		t.Fatal(err)
	}
	ours.UID = "another"
	if err := routes.applyService(t.Context(), "shop", ours); !replaced(err) {
		t.Errorf("a service with another UID is applied: %v", err)
	}
	gone := &corev1.Service{ObjectMeta: metav1.ObjectMeta{UID: "gone"}}
	if err := routes.applyService(t.Context(), "wiki", gone); !apierrors.IsConflict(err) {
		t.Errorf("a service that is gone is made again as it was: %v", err)
	}
}

// provisioner is the account of the service, which has the rights of rbac.yaml in routed.
func (w *world) provisioner(t *testing.T) *rest.Config {
	t.Helper()
	w.make(t, "create", "namespace", "rdev")
	w.make(t, "create", "serviceaccount", "provisioner", "--namespace", "rdev")
	as := rest.AnonymousClientConfig(w.cluster.Config())
	as.BearerToken = strings.TrimSpace(w.make(t, "create", "token", "provisioner", "--namespace", "rdev"))
	return as
}

func (w *world) bind(t *testing.T) {
	t.Helper()
	w.make(t, "create", "rolebinding", "provisioner", "--namespace", routed, "--role", "provisioner", "--serviceaccount", "rdev:provisioner")
}

// deployed applies the objects of one kind from a file of the deployment, in routed.
func (w *world) deployed(t *testing.T, file, kind string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../../../../deployments/kubernetes/base", file))
	if err != nil {
		t.Fatal(err)
	}
	var objects []string
	for object := range strings.SplitSeq(string(text), "\n---\n") {
		if strings.Contains("\n"+object+"\n", "\n"+kind) {
			objects = append(objects, strings.ReplaceAll(object, "rdev-projects", routed))
		}
	}
	said, err := w.kubectl(t.Context(), strings.NewReader(strings.Join(objects, "\n---\n")), "apply", "--server-side", "--filename", "-")
	if err != nil || strings.Count(said, "\n") != len(objects) || len(objects) == 0 {
		t.Fatalf("apply %d objects of %s: %v\n%s", len(objects), file, err, said)
	}
}

// boxes makes a pod where the Ingress controller would be, and one elsewhere.
func (w *world) boxes(t *testing.T) {
	t.Helper()
	box, err := image.Program(t.Context(), image.Options{}, "libs/testcluster", "internal/box")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cluster.LoadImage(t.Context(), box.Archive); err != nil {
		t.Fatal(err)
	}
	w.make(t, "create", "namespace", controllers)
	for _, namespace := range []string{controllers, "default"} {
		w.make(t, "run", "box", "--namespace", namespace, "--image", box.Name, "--image-pull-policy", "Never")
		w.make(t, "wait", "pod/box", "--namespace", namespace, "--for", "condition=Ready", "--timeout", "1m")
	}
}

// buildBox builds the program for a project's pod.
func buildBox(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "box")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./internal/box")
	build.Dir, build.Env = "../../../../../libs/testcluster", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build box: %v\n%s", err, out)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// put has the program in the pod of a project, and run has it run there.
func (w *world) put(t *testing.T, program []byte, slug string) {
	t.Helper()
	const script = "cat >/workspace/new && chmod +x /workspace/new && mv /workspace/new /workspace/box"
	said, err := w.kubectl(t.Context(), bytes.NewReader(program), "exec", "--stdin", "--namespace", routed, kube.NameOf(slug)+"-0", "--", "sh", "-c", script)
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
}

func (w *world) run(t *testing.T, program []byte, slug string, args ...string) {
	t.Helper()
	w.put(t, program, slug)
	w.in(t, routed, kube.NameOf(slug)+"-0", append([]string{"sh", "-c", `setsid /workspace/box "$@" </dev/null >/dev/null 2>&1 &`, "sh"}, args...)...)
}

// in is what a command prints in a pod.
func (w *world) in(t *testing.T, namespace, pod string, args ...string) string {
	t.Helper()
	return w.make(t, append([]string{"exec", "--namespace", namespace, pod, "--"}, args...)...)
}

func (w *world) make(t *testing.T, args ...string) string {
	t.Helper()
	said, err := w.kubectl(t.Context(), nil, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, said)
	}
	return said
}

func (w *world) kubectl(ctx context.Context, stdin io.Reader, args ...string) (string, error) {
	command := exec.CommandContext(ctx, w.cluster.Kubectl(), append([]string{"--kubeconfig", w.cluster.Kubeconfig()}, args...)...)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	if stdin != nil {
		command.Stdin = stdin
	}
	out, err := command.Output()
	if err != nil {
		return stderr.String(), err
	}
	return string(out), nil
}
