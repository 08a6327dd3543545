package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

// pod is one that is ready.
type pod struct {
	name string
	uid  types.UID
}

// pods knows the pods of projects as the API server tells of them.
type pods struct {
	indexer cache.Indexer

	mu      sync.Mutex
	changed chan struct{}            // closed and replaced whenever a pod changes
	known   map[string]*acquaintance // by project
}

// acquaintance is what there is with the pod that a project used last.
type acquaintance struct {
	uid     types.UID
	session *session.Session
	probe   *wire.Probe // what its kernel offers, nil where that was not asked
}

const byProject = "project"

// watchPods returns once all pods that there are are known.
func watchPods(ctx context.Context, set kubernetes.Interface, namespace string, log *slog.Logger) (*pods, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(set, 0,
		informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) { o.LabelSelector = kube.LabelProject + "=" + kube.Project }))
	informer := factory.Core().V1().Pods().Informer()
	p := &pods{indexer: informer.GetIndexer(), changed: make(chan struct{}), known: map[string]*acquaintance{}}
	refused := make(chan error, 1)
	err := errors.Join(
		informer.AddIndexers(cache.Indexers{byProject: func(object any) ([]string, error) {
			found, ok := object.(*corev1.Pod)
			if !ok {
				return nil, nil
			}
			return []string{found.Labels[kube.LabelProjectID]}, nil
		}}),
		informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, _ *cache.Reflector, err error) {
			select {
			case refused <- err:
			default: // the first says it
			}
			if ctx.Err() == nil {
				log.Warn("pods are not watched at the moment", "namespace", namespace, "error", err)
			}
		}),
	)
	if err == nil {
		_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { p.notify() },
			UpdateFunc: func(any, any) { p.notify() },
			DeleteFunc: p.forget,
		})
	}
	if err != nil {
		return nil, fmt.Errorf("watch pods: %w", err)
	}
	factory.Start(ctx.Done())
	begin, cancel := context.WithTimeout(ctx, firstList)
	defer cancel()
	if !cache.WaitForCacheSync(begin.Done(), informer.HasSynced) {
		select {
		case err = <-refused:
		default:
			err = context.Cause(begin)
		}
		return nil, fmt.Errorf("list the pods of namespace %s: %w", namespace, err)
	}
	return p, nil
}

// firstList is how long the first list of pods may take.
const firstList = 20 * time.Second

func (p *pods) notify() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *pods) forget(object any) {
	if gone, ok := object.(cache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if gone, ok := object.(*corev1.Pod); ok {
		project := gone.Labels[kube.LabelProjectID]
		p.mu.Lock()
		if known := p.known[project]; known != nil && known.uid == gone.UID {
			known.session.Close()
			delete(p.known, project)
		}
		p.mu.Unlock()
	}
	p.notify()
}

// session is the connection to the runner of a project's pod.
func (p *pods) session(project string, of pod, serve func(name string) (io.ReadWriteCloser, error)) *session.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[project]
	if known == nil || known.uid != of.uid {
		if known != nil {
			known.session.Close() // to a pod that was replaced
		}
		known = &acquaintance{uid: of.uid, session: session.New(func(context.Context) (io.ReadWriteCloser, error) { return serve(of.name) })}
		p.known[project] = known
	}
	return known.session
}

// probe is what the kernel of a project's pod offers, where that was asked before.
func (p *pods) probe(project string, of pod) (wire.Probe, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[project]; known != nil && known.uid == of.uid && known.probe != nil {
		return *known.probe, true
	}
	return wire.Probe{}, false
}

func (p *pods) setProbe(project string, of pod, probe wire.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[project]; known != nil && known.uid == of.uid {
		known.probe = &probe
	}
}

// ready is the pod of a project, once it is ready. Where that takes longer than
// patience, or can never come, it is a domain.RefusedError that says why.
func (p *pods) ready(ctx context.Context, project string, patience time.Duration) (pod, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for {
		p.mu.Lock()
		changed := p.changed
		p.mu.Unlock()
		found, why, err := p.find(project)
		if err != nil || found != (pod{}) {
			return found, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return pod{}, context.Cause(ctx)
		case <-timeout.C:
			return pod{}, &domain.RefusedError{Reason: fmt.Sprintf("project %s has no pod that is ready after %s: %s", project, patience, why)}
		}
	}
}

// find is the newest pod of a project that is ready, or why there is none.
func (p *pods) find(project string) (found pod, why string, err error) {
	objects, err := p.indexer.ByIndex(byProject, project)
	if err != nil {
		return pod{}, "", fmt.Errorf("pods of project %s: %w", project, err)
	}
	why = "there is none"
	var newest, told metav1.Time
	for _, object := range objects {
		candidate, ok := object.(*corev1.Pod)
		if !ok {
			continue
		}
		reason := kube.NotReady(candidate)
		if reason == "" && !candidate.CreationTimestamp.Before(&newest) {
			newest, found = candidate.CreationTimestamp, pod{name: candidate.Name, uid: candidate.UID}
		}
		if !candidate.CreationTimestamp.Before(&told) {
			told, why = candidate.CreationTimestamp, "pod "+candidate.Name+" "+reason
		}
	}
	return found, why, nil
}
