package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// executor carries out rdev-runner in pods, over a WebSocket, or over SPDY where
// something between here and the API server does not let one through.
type executor struct {
	cluster   *rest.Config
	base      *url.URL
	namespace string
}

func newExecutor(config Config) (*executor, error) {
	cluster := rest.CopyConfig(config.Cluster)
	cluster.Timeout = 0 // a run takes as long as it takes; the caller's context ends it
	base, _, err := rest.DefaultServerUrlFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	return &executor{cluster: cluster, base: base, namespace: config.Namespace}, nil
}

// run implements client.Exec for a pod.
func (e *executor) run(ctx context.Context, pod string, args []string, stdin io.Reader, stdout io.Writer) error {
	command, err := e.open(pod, args)
	if err != nil {
		return fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	// What is wrong with the connection is this function's error; client-go would log it, too.
	ctx, end := context.WithCancel(klog.NewContext(ctx, logr.Discard()))
	defer end()
	out := &output{Writer: stdout}
	if args[0] != "attach" {
		out.replied = end
	}
	var stderr limited
	err = command.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: out, Stderr: &stderr})
	if out.done.Load() {
		return nil
	}
	if exit, ok := errors.AsType[exec.CodeExitError](err); ok && exit.Code != commandNotFound && exit.Code != commandNotExecutable {
		return nil // the reply says more
	}
	if err != nil {
		err = fmt.Errorf("exec in pod %s: %w: %s", pod, err, bytes.TrimSpace(stderr.Bytes()))
	}
	if hopeless(err) {
		return &domain.RefusedError{Reason: err.Error()}
	}
	return err
}

// hopeless tells whether a call would fail again: rdev may not make it, or there
// is no rdev-runner where it should be.
func hopeless(err error) bool {
	_, ended := errors.AsType[exec.CodeExitError](err)
	return ended || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsBadRequest(err)
}

// Exit codes with which a container runtime says that there was nothing to carry out.
const (
	commandNotExecutable = 126
	commandNotFound      = 127
)

func (e *executor) open(pod string, args []string) (remotecommand.Executor, error) {
	options := &corev1.PodExecOptions{
		Container: kube.Container, Command: append([]string{kube.Runner}, args...), Stdin: true, Stdout: true, Stderr: true,
	}
	query, err := scheme.ParameterCodec.EncodeParameters(options, corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	target := e.base.JoinPath("api", "v1", "namespaces", e.namespace, "pods", pod, "exec")
	target.RawQuery = query.Encode()
	socket, err := remotecommand.NewWebSocketExecutor(e.cluster, http.MethodGet, target.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(e.cluster, http.MethodPost, target)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

// output is the standard output of a runner. A short subcommand replies with one
// line and ends: nobody waits until its end is known, too.
type output struct {
	io.Writer

	replied func() // nil for attach
	done    atomic.Bool
}

// Write implements io.Writer.
func (o *output) Write(data []byte) (int, error) {
	n, err := o.Writer.Write(data)
	if err == nil && o.replied != nil && bytes.HasSuffix(data, []byte("\n")) {
		o.done.Store(true)
		o.replied()
	}
	return n, err
}

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// maxComplaint is how much of a runner's complaint is kept, in bytes.
const maxComplaint = 4 << 10

// Write implements io.Writer.
func (l *limited) Write(data []byte) (int, error) {
	_, _ = l.Buffer.Write(data[:min(len(data), max(0, maxComplaint-l.Len()))])
	return len(data), nil
}
