package kube

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/orchard9/rdev/libs/kube"
	"github.com/orchard9/rdev/services/executor/internal/domain"
	"github.com/orchard9/rdev/services/executor/internal/runner/session"
	"github.com/orchard9/rdev/services/executor/internal/runner/wire"
)

const namespace = "projects"

func madePod(name, project string, age time.Duration, ready bool) *corev1.Pod {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: namespace, UID: types.UID(name), CreationTimestamp: metav1.NewTime(time.Now().Add(-age)),
			Labels: map[string]string{kube.LabelProject: kube.Project, kube.LabelProjectID: project},
		},
		Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status}}},
	}
}

// madeWorker is the pod of a worker, in a phase.
func madeWorker(name string, phase corev1.PodPhase, ready bool) *corev1.Pod {
	made := madePod(name, "", 0, ready)
	made.Labels = map[string]string{kube.LabelRole: kube.Worker, kube.LabelWorkerID: name}
	made.Status.Phase = phase
	return made
}

func watched(t *testing.T, objects ...runtime.Object) (*pods, *fake.Clientset) {
	t.Helper()
	set := fake.NewClientset(objects...)
	p, err := watchPods(t.Context(), set, namespace, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return p, set
}

func TestTheNewestReadyPodOfAProjectIsTaken(t *testing.T) {
	leaving := madePod("leaving", "shop", time.Second, true)
	at := metav1.Now()
	leaving.DeletionTimestamp, leaving.Finalizers = &at, []string{"test/keep"}
	p, _ := watched(t, madePod("old", "shop", time.Hour, true), madePod("new", "shop", time.Minute, true),
		madePod("starting", "shop", 2*time.Second, false), leaving, madePod("other", "bakery", 0, true))
	if got, err := p.ready(t.Context(), place{id: "shop"}, time.Second); err != nil || got.name != "new" {
		t.Errorf("got %+v, %v, want the pod new", got, err)
	}
}

func TestAPodThatBecomesReadyIsWaitedFor(t *testing.T) {
	p, set := watched(t, madePod("project-shop-0", "shop", 0, false))
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, err := set.CoreV1().Pods(namespace).UpdateStatus(context.Background(), madePod("project-shop-0", "shop", 0, true), metav1.UpdateOptions{})
		if err != nil {
			t.Error(err)
		}
	}()
	if got, err := p.ready(t.Context(), place{id: "shop"}, time.Minute); err != nil || got.name != "project-shop-0" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestAProjectWithoutAReadyPodIsToldWhy(t *testing.T) {
	p, _ := watched(t, madePod("project-shop-0", "shop", 0, false))
	for project, want := range map[string]string{"shop": "pod project-shop-0 is not ready", "bakery": "there is none"} {
		_, err := p.ready(t.Context(), place{id: project}, 10*time.Millisecond)
		refused, ok := errors.AsType[*domain.RefusedError](err)
		if !ok || !strings.HasSuffix(refused.Reason, want) {
			t.Errorf("project %s: %v, want a refusal that ends with %q", project, err, want)
		}
	}
}

func TestAWorkerIsNoProjectOfItsName(t *testing.T) {
	p, _ := watched(t, madePod("project-w-0", "w", 0, true), madeWorker("w", corev1.PodRunning, true))
	for at, want := range map[place]string{{id: "w"}: "project-w-0", {"w", true}: "w"} {
		if got, err := p.ready(t.Context(), at, time.Second); err != nil || got.name != want {
			t.Errorf("%s: got %+v, %v", at, got, err)
		}
	}
}

func TestAWorkerWhosePodIsGoneIsNotWaitedFor(t *testing.T) {
	leaving := madeWorker("leaving", corev1.PodRunning, true)
	at := metav1.Now()
	leaving.DeletionTimestamp, leaving.Finalizers = &at, []string{"test/keep"}
	p, set := watched(t, madeWorker("evicted", corev1.PodFailed, false), leaving, madeWorker("starting", corev1.PodPending, false))
	wantGone := func(worker string) {
		t.Helper()
		_, err := p.ready(t.Context(), place{worker, true}, time.Hour)
		refused, ok := errors.AsType[*domain.RefusedError](err)
		if !ok || !strings.HasPrefix(refused.Reason, "worker "+worker+" is gone") {
			t.Errorf("%s: %v, want a refusal", worker, err)
		}
	}
	for _, worker := range []string{"evicted", "leaving", "never"} {
		wantGone(worker)
	}
	go func() {
		if err := set.CoreV1().Pods(namespace).Delete(context.Background(), "starting", metav1.DeleteOptions{}); err != nil {
			t.Error(err)
		}
	}()
	wantGone("starting")
}

func TestAWorkerWhosePodWasDeletedIsKnownToBeGone(t *testing.T) {
	p, set := watched(t, madeWorker("w", corev1.PodRunning, true))
	if err := set.CoreV1().Pods(namespace).Delete(t.Context(), "w", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	now, cancel := context.WithCancel(t.Context())
	cancel() // nobody waits for anything
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		_, err := p.ready(now, place{"w", true}, time.Hour)
		if _, refused := errors.AsType[*domain.RefusedError](err); refused {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %v, want a refusal", err)
		}
	}
}

func TestWhatAKernelOffersIsForgottenWithItsPod(t *testing.T) {
	p, set := watched(t, madePod("project-shop-0", "shop", 0, true))
	of := pod{name: "project-shop-0", uid: "project-shop-0"}
	p.session(place{id: "shop"}, of, nil)
	p.setProbe(place{id: "shop"}, of, wire.Probe{LandlockABI: 7})
	if probe, known := p.probe(place{id: "shop"}, of); !known || probe.LandlockABI != 7 {
		t.Errorf("got %+v, %t", probe, known)
	}
	if err := set.CoreV1().Pods(namespace).Delete(t.Context(), "project-shop-0", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for tick := time.Tick(5 * time.Millisecond); ; <-tick {
		if _, known := p.probe(place{id: "shop"}, of); !known {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still known")
		}
	}
}

func TestTheConnectionToAReplacedPodIsClosed(t *testing.T) {
	p, _ := watched(t)
	first, second := pod{name: "project-shop-0", uid: "first"}, pod{name: "project-shop-0", uid: "second"}
	before := p.session(place{id: "shop"}, first, nil)
	if p.session(place{id: "shop"}, first, nil) != before {
		t.Error("a second connection was made to one pod")
	}
	if p.session(place{id: "shop"}, second, nil) == before {
		t.Error("the connection to the first pod is taken for one to the second")
	}
	if err := before.Exec(t.Context(), nil, strings.NewReader(""), io.Discard); !errors.Is(err, session.ErrClosed) {
		t.Errorf("got %v, want %v", err, session.ErrClosed)
	}
	if len(p.known) != 1 {
		t.Errorf("%d pods of one project are remembered", len(p.known))
	}
}

func TestAnAPIServerThatRefusesTheListIsAnError(t *testing.T) {
	set := fake.NewClientset()
	set.PrependReactor("list", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, errors.New("pods is forbidden")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := watchPods(ctx, set, namespace, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "pods is forbidden") {
		t.Errorf("got %v, want what the API server said", err)
	}
}
