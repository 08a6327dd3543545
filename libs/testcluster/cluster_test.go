//go:build cluster

package testcluster_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/orchard9/rdev/libs/testcluster"
)

func TestACluster(t *testing.T) {
	began := time.Now()
	cluster := testcluster.New(t)
	t.Logf("New took %v", time.Since(began))
	h := newHarness(t, cluster)
	t.Run("runs a pod", h.podRuns)
	t.Run("runs a command with its streams and exit code", h.commandRuns)
	t.Run("shows the processes of pods on the machine", h.processesAreSeen)
	t.Run("serves a Service to pods and to the test", h.serviceIsServed)
	t.Run("gives volumes that user 1000 may write, and removes them", h.volumeIsWritable)
	t.Run("survives the death of its API server", h.apiServerComesBack)
}

func (h *harness) podRuns(t *testing.T) {
	began := time.Now()
	h.pod(t, "first", corev1.PodSpec{})
	t.Logf("ready after %v", time.Since(began))
	began = time.Now()
	h.pod(t, "second", corev1.PodSpec{})
	t.Logf("another one after %v", time.Since(began))
}

func (h *harness) commandRuns(t *testing.T) {
	h.pod(t, "speaker", corev1.PodSpec{})
	began := time.Now()
	stdout, stderr, code := h.exec(t, "speaker", strings.NewReader("from stdin"), "/box", "speak")
	t.Logf("took %v", time.Since(began))
	if stdout != "from stdin" || stderr != "to stderr" || code != 37 {
		t.Errorf("stdout %q, stderr %q, code %d", stdout, stderr, code)
	}
}

func (h *harness) processesAreSeen(t *testing.T) {
	h.pod(t, "seen", corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"serve", "look-for-me"}}}})
	eventually(t, func() bool { return len(processes(t, "look-for-me")) > 0 })
}

func (h *harness) serviceIsServed(t *testing.T) {
	h.pod(t, "server", corev1.PodSpec{Containers: []corev1.Container{{Args: []string{"serve", "a page"}}}})
	h.pod(t, "client", corev1.PodSpec{})
	service, err := h.client.CoreV1().Services(namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "page"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"pod": "server"},
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + service.Spec.ClusterIP
	eventually(t, func() bool {
		stdout, _, code := h.exec(t, "client", nil, "/box", "get", url)
		return code == 0 && stdout == "a page"
	})
	// The server reaches itself by its own Service, too.
	if stdout, stderr, _ := h.exec(t, "server", nil, "/box", "get", url); stdout != "a page" {
		t.Errorf("to itself: %q %q", stdout, stderr)
	}
	response, err := (&http.Client{Timeout: 5 * time.Second}).Get(url)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
}

func (h *harness) volumeIsWritable(t *testing.T) {
	claims := h.client.CoreV1().PersistentVolumeClaims(namespace)
	began := time.Now()
	if _, err := claims.Create(t.Context(), &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "work"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	user, yes := int64(1000), true
	spec := corev1.PodSpec{
		SecurityContext: &corev1.PodSecurityContext{RunAsUser: &user, RunAsGroup: &user, FSGroup: &user, RunAsNonRoot: &yes},
		Containers:      []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "work", MountPath: "/workspace"}}}},
		Volumes: []corev1.Volume{{Name: "work", VolumeSource: corev1.VolumeSource{
			PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "work"},
		}}},
	}
	h.pod(t, "writer", spec)
	t.Logf("pod with a new volume ready after %v", time.Since(began))
	if _, stderr, code := h.exec(t, "writer", nil, "/box", "write", "/workspace/file", "x"); code != 0 {
		t.Fatalf("write: %s", stderr)
	}
	claim, err := claims.Get(t.Context(), "work", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	h.removePod(t, "writer")
	if err := claims.Delete(t.Context(), "work", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() bool {
		_, err := h.client.CoreV1().PersistentVolumes().Get(t.Context(), claim.Spec.VolumeName, metav1.GetOptions{})
		return apierrors.IsNotFound(err)
	})
}

func (h *harness) apiServerComesBack(t *testing.T) {
	h.pod(t, "before", corev1.PodSpec{})
	if err := h.cluster.KillAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.client.CoreV1().Pods(namespace).Get(t.Context(), "before", metav1.GetOptions{}); err == nil {
		t.Error("the API server answers although it is dead")
	}
	began := time.Now()
	if err := h.cluster.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("back after %v", time.Since(began))
	if _, _, code := h.exec(t, "before", nil, "/box", "speak"); code != 37 {
		t.Errorf("exec into a pod from before ended with %d", code)
	}
	h.pod(t, "after", corev1.PodSpec{})
}
