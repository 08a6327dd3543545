package testcluster

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	networkinglisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/orchard9/rdev/libs/testcluster/internal/policy"
	"github.com/orchard9/rdev/libs/testcluster/internal/protocol"
)

// enforcer keeps the rules in the node's kernel what the NetworkPolicies say. The
// addresses of pods it hears from the CNI plugin (internal/attach), which lets no
// container start before its rules are there.
type enforcer struct {
	load func(ctx context.Context, file string) error // into the node's kernel, by nft
	file string                                       // with the rules
	log  *slog.Logger

	pods       corelisters.PodLister
	namespaces corelisters.NamespaceLister
	policies   networkinglisters.NetworkPolicyLister
	factory    informers.SharedInformerFactory
	listener   net.Listener
	serving    context.Context // of Attach too, as net/rpc gives it none
	cancel     context.CancelFunc
	running    sync.WaitGroup
	changed    chan struct{} // holds one where something has changed

	attachedMu sync.Mutex
	attached   map[string]protocol.Attachment // by UID

	applying sync.Mutex
	applied  string // the rules in the kernel
}

// startEnforcer loads the rules and keeps them so until stop. In dir it has its
// socket and its file.
func startEnforcer(
	ctx context.Context, client kubernetes.Interface, dir string, log *slog.Logger, load func(context.Context, string) error,
) (*enforcer, error) {
	factory := informers.NewSharedInformerFactory(client, 0)
	e := &enforcer{
		load: load, file: filepath.Join(dir, "policies.nft"), log: log,
		factory: factory, pods: factory.Core().V1().Pods().Lister(),
		namespaces: factory.Core().V1().Namespaces().Lister(), policies: factory.Networking().V1().NetworkPolicies().Lister(),
		changed: make(chan struct{}, 1), attached: map[string]protocol.Attachment{},
	}
	e.serving, e.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := e.start(ctx, filepath.Join(dir, policySocket)); err != nil {
		e.stop()
		return nil, fmt.Errorf("start the enforcer of network policies: %w", err)
	}
	return e, nil
}

func (e *enforcer) start(ctx context.Context, socket string) error {
	core := e.factory.Core().V1()
	for _, informer := range []cache.SharedIndexInformer{
		core.Pods().Informer(), core.Namespaces().Informer(), e.factory.Networking().V1().NetworkPolicies().Informer(),
	} {
		change := func(any) { e.change() }
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: change, UpdateFunc: func(_, _ any) { e.change() }, DeleteFunc: change,
		})
		if err != nil {
			return err
		}
	}
	e.factory.StartWithContext(e.serving)
	for kind, synced := range e.factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return fmt.Errorf("list all of %v: %w", kind, ctx.Err())
		}
	}
	if err := e.apply(ctx); err != nil {
		return err
	}
	var err error
	if e.listener, err = new(net.ListenConfig).Listen(ctx, "unix", socket); err != nil {
		return err
	}
	server := rpc.NewServer()
	if err := server.RegisterName("Policies", attachments{e}); err != nil {
		return err
	}
	e.running.Go(func() { e.accept(server) })
	e.running.Go(e.follow)
	return nil
}

// stop ends the enforcer and waits for it. The rules stay: they end with the node.
func (e *enforcer) stop() {
	e.cancel()
	if e.listener != nil {
		_ = e.listener.Close() // nothing is lost with it
	}
	e.running.Wait()
	e.factory.Shutdown()
}

func (e *enforcer) change() {
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

// follow applies every change, and what failed a while later once more.
func (e *enforcer) follow() {
	retry := time.NewTicker(again)
	defer retry.Stop()
	for {
		select {
		case <-e.serving.Done():
			return
		case <-e.changed:
		case <-retry.C:
		}
		if err := e.apply(e.serving); err != nil && e.serving.Err() == nil {
			e.log.WarnContext(e.serving, "network policies are not enforced as they are", "error", err)
		}
	}
}

// apply brings the rules up to date.
func (e *enforcer) apply(ctx context.Context) error {
	e.applying.Lock()
	defer e.applying.Unlock()
	state, err := e.state()
	if err != nil {
		return err
	}
	rules, err := state.Ruleset()
	if err != nil || rules == e.applied {
		return err
	}
	if err := os.WriteFile(e.file, []byte(rules), 0o644); err != nil {
		return fmt.Errorf("write the rules of network policies: %w", err)
	}
	if err := e.load(ctx, e.file); err != nil {
		return fmt.Errorf("load the rules of network policies: %w", err)
	}
	e.applied = rules
	return nil
}

// state is what there is now, in the same order every time.
func (e *enforcer) state() (policy.State, error) {
	namespaces, err := e.namespaces.List(labels.Everything())
	if err != nil {
		return policy.State{}, err
	}
	s := policy.State{Namespaces: map[string]labels.Set{}}
	for _, n := range namespaces {
		s.Namespaces[n.Name] = n.Labels
	}
	if s.Policies, err = e.policies.List(labels.Everything()); err != nil {
		return policy.State{}, err
	}
	e.attachedMu.Lock()
	defer e.attachedMu.Unlock()
	for _, a := range e.attached {
		address, err := netip.ParseAddr(a.Address)
		if err != nil {
			return policy.State{}, err
		}
		s.Pods = append(s.Pods, policy.Pod{Address: address, Object: e.pod(a)})
	}
	slices.SortFunc(s.Pods, func(a, b policy.Pod) int { return a.Address.Compare(b.Address) })
	return s, nil
}
