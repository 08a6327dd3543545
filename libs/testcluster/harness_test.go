//go:build cluster

package testcluster_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	utilexec "k8s.io/client-go/util/exec"

	"github.com/orchard9/rdev/libs/testcluster"
	"github.com/orchard9/rdev/libs/testcluster/image"
)

const (
	namespace = corev1.NamespaceDefault
	boxImage  = "rdev.test/box:dev"
	patience  = 30 * time.Second
)

// harness is a cluster that has the box image.
type harness struct {
	cluster *testcluster.Cluster
	client  *kubernetes.Clientset
}

func newHarness(t *testing.T, c *testcluster.Cluster) *harness {
	t.Helper()
	box, err := image.Program(t.Context(), image.Options{}, "libs/testcluster", "internal/box")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.LoadImage(t.Context(), box.Archive); err != nil {
		t.Fatal(err)
	}
	return &harness{cluster: c, client: c.Client()}
}

// pod makes a pod of one box and waits until it is ready; spec says what is
// special about it.
func (h *harness) pod(t *testing.T, name string, spec corev1.PodSpec) {
	t.Helper()
	if len(spec.Containers) == 0 {
		spec.Containers = []corev1.Container{{}}
	}
	box := &spec.Containers[0]
	box.Name, box.Image, box.ImagePullPolicy = "box", boxImage, corev1.PullNever
	spec.TerminationGracePeriodSeconds = new(int64)
	_, err := h.client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod": name}}, Spec: spec,
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		pod, err := h.client.CoreV1().Pods(namespace).Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				return true
			}
		}
		return false
	})
}

func (h *harness) removePod(t *testing.T, name string) {
	t.Helper()
	pods := h.client.CoreV1().Pods(namespace)
	if err := pods.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := pods.Get(t.Context(), name, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

// exec runs a command in a pod over WebSocket.
func (h *harness) exec(t *testing.T, pod string, stdin io.Reader, command ...string) (stdout, stderr string, code int) {
	t.Helper()
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	url := h.client.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Name(pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Command: command, Stdin: true, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewWebSocketExecutor(h.cluster.Config(), "GET", url.String())
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: &out, Stderr: &errs})
	var exit utilexec.CodeExitError
	switch {
	case errors.As(err, &exit):
		code = exit.Code
	case err != nil:
		t.Fatal(err)
	}
	return out.String(), errs.String(), code
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for deadline := time.Now().Add(patience); ; <-retry.C {
		if ok() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// processes are the PIDs of all processes on the machine with that word in their
// command line.
func processes(t *testing.T, word string) []string {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, path := range paths {
		line, err := os.ReadFile(path)
		if err == nil && bytes.Contains(line, []byte(word)) {
			found = append(found, filepath.Base(filepath.Dir(path)))
		}
	}
	return found
}
