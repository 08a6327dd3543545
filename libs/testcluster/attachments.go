package testcluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/rpc"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

const (
	// policySocket is the enforcer's socket in the directory of the cluster.
	policySocket = "policies.sock"
	// attachPlugin is the CNI plugin that calls it.
	attachPlugin = "attach"
	// acquaintance is how long a pod that gets an address may be unknown to the
	// enforcer, which hears of it from the API server as the kubelet does.
	acquaintance = 5 * time.Second
)

// attachments are what the CNI plugin may call: protocol.Attachment says more.
type attachments struct{ e *enforcer }

// Attach returns once the policies of the pod are in force at its address. The
// kubelet asks again after an error, and until then the pod does not start.
func (a attachments) Attach(pod protocol.Attachment, _ *struct{}) error {
	ctx, cancel := context.WithTimeout(a.e.serving, acquaintance)
	defer cancel()
	if err := a.e.meet(ctx, pod); err != nil {
		return err
	}
	a.e.attachedMu.Lock()
	a.e.attached[pod.UID] = pod
	a.e.attachedMu.Unlock()
	return a.e.apply(ctx)
}

// Detach forgets the pod's address. A pod that has none, or got another since,
// is left as it is.
func (a attachments) Detach(pod protocol.Attachment, _ *struct{}) error {
	a.e.attachedMu.Lock()
	if pod.Address == "" || a.e.attached[pod.UID].Address == pod.Address {
		delete(a.e.attached, pod.UID)
	}
	a.e.attachedMu.Unlock()
	return a.e.apply(a.e.serving)
}

// meet waits until the pod and its namespace are known.
func (e *enforcer) meet(ctx context.Context, pod protocol.Attachment) error {
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		if _, err := e.namespaces.Get(pod.Namespace); err == nil && e.pod(pod) != nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for the API server to tell of the pod: %w", ctx.Err())
		}
	}
}

// pod is the pod of an attachment, or nil.
func (e *enforcer) pod(a protocol.Attachment) *corev1.Pod {
	pod, err := e.pods.Pods(a.Namespace).Get(a.Name)
	if err != nil || string(pod.UID) != a.UID {
		return nil
	}
	return pod
}

// accept serves the plugin until the listener is closed. What it serves ends with
// the plugin, which ends with the node at the latest.
func (e *enforcer) accept(server *rpc.Server) {
	for {
		connection, err := e.listener.Accept()
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				e.log.ErrorContext(e.serving, "no pod can be attached any more", "error", err)
			}
			return
		}
		go server.ServeConn(connection)
	}
}
