package kube

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
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

// place is where runs are: a project's pod, or a worker's.
type place struct {
	id     string // of the project or the worker
	worker bool
}

// placeOf is where a run is.
func placeOf(ref domain.RunRef) place {
	if ref.Worker != "" {
		return place{ref.Worker, true}
	}
	return place{id: ref.Project}
}

// placeOfPod is the place that a pod is, false where it is none.
func placeOfPod(p *corev1.Pod) (place, bool) {
	switch {
	case p.Labels[kube.LabelRole] == kube.Worker && p.Labels[kube.LabelWorkerID] != "":
		return place{p.Labels[kube.LabelWorkerID], true}, true
	case p.Labels[kube.LabelProject] == kube.Project && p.Labels[kube.LabelProjectID] != "":
		return place{id: p.Labels[kube.LabelProjectID]}, true
	}
	return place{}, false
}

// String implements fmt.Stringer.
func (p place) String() string {
	if p.worker {
		return "worker " + p.id
	}
	return "project " + p.id
}

// goneError is the end of what runs in a worker's pod, or should.
func goneError(at place, why string) error {
	return &domain.RefusedError{Reason: fmt.Sprintf("%s is gone: %s", at, why)}
}

// pod is one that is ready.
type pod struct {
	name string
	uid  types.UID
}

// pods knows the pods of projects and workers as the API server tells of them.
type pods struct {
	indexer cache.Indexer

	mu      sync.Mutex
	changed chan struct{}           // closed and replaced whenever a pod changes
	known   map[place]*acquaintance // with the pods that were used
	lost    map[place]time.Time     // workers whose pods were deleted, and when, for lostFor
}

// acquaintance is what there is with the pod that a place had last.
type acquaintance struct {
	uid     types.UID
	session *session.Session
	probe   *wire.Probe // what its kernel offers, nil where that was not asked
}

const byPlace = "place"

// unknownFor is how long a worker's pod may not be known before it is taken to be
// gone: whoever announced it may have seen it a moment earlier.
const unknownFor = 3 * time.Second

// lostFor is how long it is remembered that a worker's pod was deleted: whoever follows
// a run in it asks by then.
const lostFor = time.Minute

// watchPods returns once all pods that there are are known.
func watchPods(ctx context.Context, set kubernetes.Interface, namespace string, log *slog.Logger) (*pods, error) {
	factory := informers.NewSharedInformerFactoryWithOptions(set, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().Pods().Informer()
	p := &pods{indexer: informer.GetIndexer(), changed: make(chan struct{}), known: map[place]*acquaintance{}, lost: map[place]time.Time{}}
	refused := make(chan error, 1)
	err := errors.Join(
		informer.AddIndexers(cache.Indexers{byPlace: func(object any) ([]string, error) {
			found, ok := object.(*corev1.Pod)
			if !ok {
				return nil, nil
			}
			if of, ok := placeOfPod(found); ok {
				return []string{of.String()}, nil
			}
			return nil, nil
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
		of, _ := placeOfPod(gone)
		p.mu.Lock()
		maps.DeleteFunc(p.lost, func(_ place, at time.Time) bool { return time.Since(at) > lostFor })
		if of.worker {
			p.lost[of] = time.Now()
		}
		if known := p.known[of]; known != nil && known.uid == gone.UID {
			known.session.Close()
			delete(p.known, of)
		}
		p.mu.Unlock()
	}
	p.notify()
}

// leave forgets a place that will have no pod any more.
func (p *pods) leave(at place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[at]; known != nil {
		known.session.Close()
		delete(p.known, at)
	}
}

// session is the connection to the runner in the pod that a place has.
func (p *pods) session(at place, of pod, serve func(name string) (io.ReadWriteCloser, error)) *session.Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.known[at]
	if known == nil || known.uid != of.uid {
		if known != nil {
			known.session.Close() // to a pod that was replaced
		}
		known = &acquaintance{uid: of.uid, session: session.New(func(context.Context) (io.ReadWriteCloser, error) { return serve(of.name) })}
		p.known[at] = known
	}
	return known.session
}

// probe is what the kernel of a pod offers, where that was asked before.
func (p *pods) probe(at place, of pod) (wire.Probe, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[at]; known != nil && known.uid == of.uid && known.probe != nil {
		return *known.probe, true
	}
	return wire.Probe{}, false
}

func (p *pods) setProbe(at place, of pod, probe wire.Probe) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if known := p.known[at]; known != nil && known.uid == of.uid {
		known.probe = &probe
	}
}

// ready is the pod of a place, once it is ready. Where that takes longer than
// patience, or can never come, it is a domain.RefusedError that says why. A worker
// whose pod has ended, is being deleted or is not there will never have another.
func (p *pods) ready(ctx context.Context, at place, patience time.Duration) (pod, error) {
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	late := time.NewTimer(min(unknownFor, patience))
	defer late.Stop()
	isLate := false
	for {
		p.mu.Lock()
		changed := p.changed
		_, lost := p.lost[at]
		p.mu.Unlock()
		found, err := p.find(at)
		if err != nil || found.pod != (pod{}) {
			return found.pod, err
		}
		if at.worker && (found.ended || (isLate || lost) && !found.any) {
			p.leave(at)
			return pod{}, goneError(at, found.why)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return pod{}, context.Cause(ctx)
		case <-late.C:
			isLate = true
		case <-timeout.C:
			return pod{}, &domain.RefusedError{Reason: fmt.Sprintf("%s has no pod that is ready after %s: %s", at, patience, found.why)}
		}
	}
}

// there tells whether a place has a pod, ready or not.
func (p *pods) there(at place) bool {
	found, err := p.find(at)
	return err != nil || found.any
}

// finding is the newest pod of a place that is ready, or why there is none.
type finding struct {
	pod   pod
	why   string
	any   bool // there is one, ready or not
	ended bool // the newest will not be ready any more
}

func (p *pods) find(at place) (finding, error) {
	objects, err := p.indexer.ByIndex(byPlace, at.String())
	if err != nil {
		return finding{}, fmt.Errorf("pods of %s: %w", at, err)
	}
	found := finding{why: "there is none"}
	var newest, told metav1.Time
	for _, object := range objects {
		candidate, ok := object.(*corev1.Pod)
		if !ok {
			continue
		}
		found.any = true
		reason := kube.NotReady(candidate)
		if reason == "" && !candidate.CreationTimestamp.Before(&newest) {
			newest, found.pod = candidate.CreationTimestamp, pod{name: candidate.Name, uid: candidate.UID}
		}
		if !candidate.CreationTimestamp.Before(&told) {
			told, found.why, found.ended = candidate.CreationTimestamp, "pod "+candidate.Name+" "+reason, kube.Ended(candidate)
		}
	}
	return found, nil
}
