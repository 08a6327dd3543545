package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/libs/testcluster"
)

func clusterMetrics() []metric {
	return []metric{
		{"projects", "POST /projects to a pod that is ready", measureProjects},
		{"dispatch", "POST of a command to its first output byte in a warm pod, one after another, beside kubectl exec", measureDispatch},
		{"burst", "the same for 100 commands at once over 20 warm pods, beside 100 kubectl exec and 100 fork and exec at once", measureBurst},
	}
}

// podNamespace is where the pods of projects are.
const podNamespace = "rdev-projects"

// cluster is rdev with projects in the pods of a real Kubernetes of one node.
type cluster struct {
	*world

	nodes *testcluster.Cluster
}

func newCluster(ctx context.Context, s settings) (_ *cluster, err error) {
	c := &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.nodes, err = testcluster.Start(ctx, testcluster.Options{Log: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, err
	}
	box, err := c.nodes.LoadClaudebox(ctx)
	if err != nil {
		return nil, err
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: podNamespace}}
	if _, err := c.nodes.Client().CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	c.world, err = newWorld(ctx, s,
		"RDEV_RUNTIME=kube", "KUBECONFIG="+c.nodes.Kubeconfig(), "KUBE_NAMESPACE="+podNamespace,
		"POD_IMAGE="+box, "POD_PULL_POLICY=Never", "POD_CPU_REQUEST=10m", "POD_MEMORY=256Mi", "POD_STORAGE=1Gi",
		"POD_EPHEMERAL_STORAGE=256Mi", "EXECUTOR_SLOTS=128")
	return c, err
}

func (c *cluster) stop() (err error) {
	if c.world != nil {
		err = c.world.stop()
	}
	if c.nodes != nil {
		err = errors.Join(err, c.nodes.Stop())
	}
	return err
}

// word is what the commands print.
const word = "warm"

// dispatch posts a command and returns when its first output byte is there.
func (c *cluster) dispatch(ctx context.Context, project string) error {
	op, err := c.post(ctx, "/projects/"+project+"/commands", shell("echo", word))
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/operations/"+op.ID+"/output", nil)
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", c.Key)
	request.Header.Set("Accept", "text/event-stream")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		if lines.Text() == "event: stdout" {
			return nil
		}
	}
	return fmt.Errorf("operation %s: its output ended without a byte: %s", op.ID, response.Status)
}

// kubectl runs the same command in a project's pod by the means of Kubernetes.
func (c *cluster) kubectl(ctx context.Context, project string) error {
	out, err := exec.CommandContext(ctx, c.nodes.Kubectl(), "--kubeconfig", c.nodes.Kubeconfig(), "--namespace", podNamespace,
		"exec", kube.NameOf(project)+"-0", "--container", kube.Container, "--", "echo", word).CombinedOutput()
	if err == nil && string(out) != word+"\n" {
		err = errors.New("it printed something else")
	}
	if err != nil {
		return fmt.Errorf("kubectl exec: %w: %s", err, out)
	}
	return nil
}

// fork runs the same command on this machine, and nothing around it.
func fork(ctx context.Context, _ string) error { return exec.CommandContext(ctx, "echo", word).Run() }

// took is how long something took, in milliseconds.
func took(do func() error) (float64, error) {
	begin := time.Now()
	err := do()
	return milliseconds(time.Since(begin)), err
}

// warm makes projects whose pods have run a command.
func (c *cluster) warm(ctx context.Context, count int) (projects []string, err error) {
	for n := range count {
		project := "warm-" + strconv.Itoa(n)
		projects = append(projects, project)
		if err := errors.Join(c.project(ctx, project), c.dispatch(ctx, project)); err != nil {
			return nil, err
		}
	}
	return projects, nil
}

func measureProjects(ctx context.Context, s settings, r *result) (err error) {
	c, err := newCluster(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	for n := range 1 + 3*s.reps {
		ms, err := took(func() error { return c.project(ctx, "project-"+strconv.Itoa(n)) })
		if err != nil {
			return err
		}
		if n > 0 { // the first has the image unpacked
			r.add("ready", "ms", ms)
		}
	}
	r.mark("POST /projects to a ready pod", "ms", r.of("ready"), 2000)
	return nil
}

func measureDispatch(ctx context.Context, s settings, r *result) (err error) {
	c, err := newCluster(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	projects, err := c.warm(ctx, 1)
	if err != nil {
		return err
	}
	for range 20 * s.reps {
		raw, err := took(func() error { return c.kubectl(ctx, projects[0]) })
		if err != nil {
			return err
		}
		ours, err := took(func() error { return c.dispatch(ctx, projects[0]) })
		if err != nil {
			return err
		}
		r.add("kubectl exec", "ms", raw)
		r.add("rdev", "ms", ours)
	}
	r.mark("POST to the first output byte, p50", "ms", r.of("rdev"), 200)
	r.mark("rdev / kubectl exec", "times", r.of("rdev")/r.of("kubectl exec"), 0)
	return nil
}

func measureBurst(ctx context.Context, s settings, r *result) (err error) {
	const size = 100
	c, err := newCluster(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	projects, err := c.warm(ctx, 20)
	if err != nil {
		return err
	}
	burst := func(do func(context.Context, string) error) ([]float64, error) {
		all, failures := make([]float64, size), make([]error, size)
		var wg sync.WaitGroup
		for n := range size {
			wg.Go(func() {
				all[n], failures[n] = took(func() error { return do(ctx, projects[n%len(projects)]) })
			})
		}
		wg.Wait()
		return all, errors.Join(failures...)
	}
	for range s.reps {
		floor, err := burst(fork)
		if err != nil {
			return err
		}
		raw, err := burst(c.kubectl)
		if err != nil {
			return err
		}
		r.add("fork and exec alone, p99", "ms", percentile(floor, 0.99))
		before := c.cpu()
		ours, err := burst(c.dispatch)
		if err != nil {
			return err
		}
		r.add("kubectl exec, p50", "ms", percentile(raw, 0.5))
		r.add("kubectl exec, p99", "ms", percentile(raw, 0.99))
		r.add("rdev, p50", "ms", percentile(ours, 0.5))
		r.add("rdev, p99", "ms", percentile(ours, 0.99))
		r.add("rdev and PostgreSQL, CPU of a command", "ms", (c.cpu()-before)*1000/size)
	}
	r.mark("POST to the first output byte in a burst of 100, p99", "ms", r.of("rdev, p99"), 500)
	r.mark("rdev / kubectl exec, p99", "times", r.of("rdev, p99")/r.of("kubectl exec, p99"), 0)
	return nil
}
