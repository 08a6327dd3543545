//go:build cluster

package deploy_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"

	"github.com/orchard9/rdev/cmd/rdev/internal/deploy"
	"github.com/orchard9/rdev/libs/testcluster"
	"github.com/orchard9/rdev/libs/testcluster/image"
)

const (
	docs     = "../../../../docs/"
	services = "rdev"          // the namespace of the services
	projects = "rdev-projects" // and that of the pods of projects
)

// installation is rdev on a cluster.
type installation struct {
	cluster *testcluster.Cluster
	client  *kubernetes.Clientset
	key     string // of the API, once it is started
}

// newInstallation is a cluster with the namespaces and the secrets of one.
func newInstallation(t *testing.T, o testcluster.Options) *installation {
	t.Helper()
	i := &installation{cluster: testcluster.NewWith(t, o)}
	i.client = i.cluster.Client()
	i.kubectl(t, nil, "apply", "--server-side", "--filename", manifests+"base/namespaces.yaml")
	made, err := deploy.New(deploy.Options{Namespace: services})
	if err != nil {
		t.Fatal(err)
	}
	var list bytes.Buffer
	if err := made.Write(&list); err != nil {
		t.Fatal(err)
	}
	i.kubectl(t, &list, "apply", "--server-side", "--filename", "-")
	return i
}

// kubectl runs one, and fails the test where it fails or is warned of something.
func (i *installation) kubectl(t *testing.T, stdin *bytes.Buffer, args ...string) string {
	t.Helper()
	out, said, err := i.try(t.Context(), stdin, args...)
	if err != nil || strings.Contains(said, "Warning") {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return out
}

func (i *installation) try(ctx context.Context, stdin *bytes.Buffer, args ...string) (stdout, stderr string, err error) {
	var out, said bytes.Buffer
	command := exec.CommandContext(ctx, i.cluster.Kubectl(), append([]string{"--kubeconfig", i.cluster.Kubeconfig()}, args...)...)
	command.Stdout, command.Stderr = &out, &said
	if stdin != nil {
		command.Stdin = stdin
	}
	err = command.Run()
	return out.String(), said.String(), err
}

// images makes all images of rdev, before there is a cluster: other tests
// wait for that.
func images(t *testing.T) []image.Image {
	t.Helper()
	makers := []func(context.Context, image.Options) (image.Image, error){image.NATS, image.Postgres, image.Claudebox}
	for _, name := range []string{"gateway", "executor", "provisioner", "audit", "notifier"} {
		makers = append(makers, func(ctx context.Context, o image.Options) (image.Image, error) { return image.Service(ctx, o, name) })
	}
	var all []image.Image
	for _, maker := range makers {
		made, err := maker(t.Context(), image.Options{})
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, made)
	}
	return all
}

// load gives the node images.
func (i *installation) load(t *testing.T, images []image.Image) {
	t.Helper()
	began := time.Now()
	for _, made := range images {
		if err := i.cluster.LoadImage(t.Context(), made.Archive); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d images loaded: %s", len(images), time.Since(began).Round(100*time.Millisecond))
}

// start applies a directory of Kustomize, and waits until all of it is ready.
func (i *installation) start(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			i.tell(t)
		}
	})
	i.kubectl(t, nil, "apply", "--server-side", "--kustomize", dir)
	for _, wait := range []string{
		"rollout status statefulset/postgres", "rollout status statefulset/nats", "wait --for=condition=Complete job/migrate",
		"rollout status deployment/gateway", "rollout status deployment/executor", "rollout status deployment/provisioner",
		"rollout status deployment/audit", "rollout status deployment/notifier",
	} {
		began := time.Now()
		i.kubectl(t, nil, append(strings.Fields(wait), "--namespace", services, "--timeout", "3m")...)
		t.Logf("%s: %s", wait, time.Since(began).Round(100*time.Millisecond))
	}
	i.key = strings.TrimSpace(i.kubectl(t, nil, "exec", "--namespace", services, "deployment/gateway", "--", "/service", "bootstrap"))
}

// address is that of the gateway's Service.
func (i *installation) address(t *testing.T) string {
	t.Helper()
	return "http://" + i.clusterIP(t, services, "gateway")
}

// tell says what there is, and what it says itself.
func (i *installation) tell(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for _, args := range [][]string{
		{"get", "pods", "--all-namespaces", "--output", "wide"},
		{"get", "events", "--all-namespaces", "--sort-by", "lastTimestamp", "--field-selector", "type!=Normal"},
		{"logs", "--namespace", services, "--selector", "app.kubernetes.io/part-of=rdev", "--all-containers", "--prefix", "--tail", "15"},
	} {
		out, said, _ := i.try(ctx, nil, args...)
		t.Logf("kubectl %s\n%s%s", strings.Join(args, " "), out, said)
	}
}
