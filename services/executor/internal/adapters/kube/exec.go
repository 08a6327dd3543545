package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
	"k8s.io/klog/v2"
	"k8s.io/streaming/pkg/httpstream"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// executor connects to rdev-runner in pods, over a WebSocket, or over SPDY where
// something between here and the API server does not let one through.
type executor struct {
	cluster   *rest.Config
	base      *url.URL
	namespace string
	life      context.Context // of the connections
}

func newExecutor(ctx context.Context, config Config) (*executor, error) {
	cluster := rest.CopyConfig(config.Cluster)
	cluster.Timeout = 0 // a connection lasts as long as it is used
	base, _, err := rest.DefaultServerUrlFor(cluster)
	if err != nil {
		return nil, fmt.Errorf("address of the API server: %w", err)
	}
	// What is wrong with a connection is told by its Read; client-go would log it, too.
	return &executor{cluster: cluster, base: base, namespace: config.Namespace, life: klog.NewContext(ctx, logr.Discard())}, nil
}

// serve carries out "rdev-runner serve" in a pod and returns its standard streams.
// Read tells why they ended.
func (e *executor) serve(pod string) (io.ReadWriteCloser, error) {
	var status atomic.Int64 // of the API server's answer, where it had one
	command, err := e.open(pod, &status, "serve")
	if err != nil {
		return nil, fmt.Errorf("exec in pod %s: %w", pod, err)
	}
	ctx, end := context.WithCancel(e.life)
	stdin, in := io.Pipe()
	out, stdout := io.Pipe()
	go func() {
		defer end()
		var stderr limited
		err := command.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: stdin, Stdout: stdout, Stderr: &stderr})
		if err != nil {
			err = fmt.Errorf("exec in pod %s: %w: %s", pod, err, bytes.TrimSpace(stderr.Bytes()))
		}
		if err != nil && hopeless(err, int(status.Load())) {
			err = &domain.RefusedError{Reason: err.Error()}
		}
		_, _ = stdout.CloseWithError(err), stdin.CloseWithError(err) // they return nil
	}()
	return &connection{Reader: out, WriteCloser: in, end: end}, nil
}

// connection is the standard input and output of a runner.
type connection struct {
	io.Reader
	io.WriteCloser

	end func()
}

// Close ends the connection, and the runner with it.
func (c *connection) Close() error {
	c.end()
	return c.WriteCloser.Close()
}

// hopeless tells whether a connection would fail again: rdev may not make it, or
// there is no rdev-runner where it should be, which runtimes tell in one of two ways.
func hopeless(err error, status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	if exit, ok := errors.AsType[exec.CodeExitError](err); ok {
		return exit.Code == commandNotFound || exit.Code == commandNotExecutable
	}
	said := err.Error()
	return strings.Contains(said, kube.Runner) && (strings.Contains(said, "no such file") || strings.Contains(said, "not found"))
}

// Exit codes with which a container runtime says that there was nothing to carry out.
const (
	commandNotExecutable = 126
	commandNotFound      = 127
)

// open prepares an exec. client-go's errors do not tell the status of an answer
// that refuses it, so it is kept in passing.
func (e *executor) open(pod string, status *atomic.Int64, args ...string) (remotecommand.Executor, error) {
	cluster := rest.CopyConfig(e.cluster)
	cluster.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			response, err := next.RoundTrip(request)
			if response != nil {
				status.Store(int64(response.StatusCode))
			}
			return response, err
		})
	})
	options := &corev1.PodExecOptions{
		Container: kube.Container, Command: append([]string{kube.Runner}, args...), Stdin: true, Stdout: true, Stderr: true,
	}
	query, err := scheme.ParameterCodec.EncodeParameters(options, corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	target := e.base.JoinPath("api", "v1", "namespaces", e.namespace, "pods", pod, "exec")
	target.RawQuery = query.Encode()
	socket, err := remotecommand.NewWebSocketExecutor(cluster, http.MethodGet, target.String())
	if err != nil {
		return nil, err
	}
	spdy, err := remotecommand.NewSPDYExecutor(cluster, http.MethodPost, target)
	if err != nil {
		return nil, err
	}
	return remotecommand.NewFallbackExecutor(socket, spdy, func(err error) bool {
		return httpstream.IsUpgradeFailure(err) || httpstream.IsHTTPSProxyError(err)
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// limited keeps the beginning of what is written to it.
type limited struct{ bytes.Buffer }

// maxComplaint is how much of a runner's complaint is kept, in bytes.
const maxComplaint = 4 << 10

// Write implements io.Writer.
func (l *limited) Write(data []byte) (int, error) {
	_, _ = l.Buffer.Write(data[:min(len(data), max(0, maxComplaint-l.Len()))])
	return len(data), nil
}
