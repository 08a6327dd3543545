package app_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/services/notifier/internal/app"
	"github.com/orchard9/rdev/services/notifier/internal/domain"
)

// deliveries keeps one delivery in memory.
type deliveries struct {
	app.Deliveries
	planned app.Planned
	missing bool
	fails   error
	next    *time.Time
}

func (d *deliveries) Find(context.Context, string, string) (app.Planned, error) {
	if d.missing {
		return app.Planned{}, contract.ErrNotFound
	}
	return d.planned, nil
}

func (d *deliveries) Record(_ context.Context, _, _ string, _ contract.DeliveryAttempt, status contract.DeliveryStatus, next *time.Time) error {
	d.planned.Attempts++
	d.planned.Status, d.next = status, next
	return d.fails
}

// sender answers as it is told.
type sender struct {
	sent  []app.Event
	fails string
	then  func()
}

func (s *sender) Send(_ context.Context, _, _ string, event app.Event) contract.DeliveryAttempt {
	s.sent = append(s.sent, event)
	if s.then != nil {
		s.then()
	}
	return contract.DeliveryAttempt{Error: s.fails}
}

func setUp() (*app.App, *deliveries, *sender) {
	d := &deliveries{planned: app.Planned{Status: contract.DeliveryPending, PrevSeq: 7}}
	s := &sender{}
	return &app.App{Deliveries: d, Sender: s, Backoff: domain.Backoff{Base: time.Minute, Max: time.Hour, MaxAttempts: 2}}, d, s
}

func deliver(t *testing.T, a *app.App) time.Time {
	t.Helper()
	next, err := a.Deliver(t.Context(), "hook", app.Event{ID: "e", Header: map[string]string{}})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

func TestWhatWasDeliveredIsNotDeliveredAgain(t *testing.T) {
	a, d, s := setUp()
	for range 2 {
		if next := deliver(t, a); !next.IsZero() {
			t.Errorf("the next attempt is at %s, want none", next)
		}
	}
	if d.planned.Status != contract.DeliveryDelivered || len(s.sent) != 1 || s.sent[0].Header[contract.HeaderPrevSeq] != "7" {
		t.Errorf("got %+v, sent %+v; want it sent once", d.planned, s.sent)
	}
}

func TestAFailureIsPlannedAgainUntilTheLastAttempt(t *testing.T) {
	a, d, s := setUp()
	s.fails = "answered 500"
	if next := deliver(t, a); d.planned.Status != contract.DeliveryPending || d.next == nil || !next.Equal(*d.next) || time.Until(next) > time.Minute {
		t.Errorf("next %s, got %+v; want another within a minute", next, d.planned)
	}
	if next := deliver(t, a); !next.IsZero() || d.planned.Status != contract.DeliveryDead || d.next != nil {
		t.Errorf("next %s, got %+v; want it dead", next, d.planned)
	}
}

func TestWhatARemovedEndpointWasToGetEnds(t *testing.T) {
	a, d, s := setUp()
	d.missing = true
	if next := deliver(t, a); !next.IsZero() || len(s.sent) != 0 {
		t.Errorf("next %s, sent %d; want neither", next, len(s.sent))
	}
}

func TestARequestThatWeCutOffIsNoAttempt(t *testing.T) {
	a, d, s := setUp()
	ctx, cancel := context.WithCancel(t.Context())
	s.fails, s.then = "context canceled", cancel
	_, err := a.Deliver(ctx, "hook", app.Event{ID: "e", Header: map[string]string{}})
	if !errors.Is(err, context.Canceled) || d.planned.Attempts != 0 {
		t.Errorf("got %v and %d attempts, want it to come again", err, d.planned.Attempts)
	}
}

func TestARequestThatWasAnsweredIsRecordedAlsoWhileTheServiceStops(t *testing.T) {
	a, d, s := setUp()
	ctx, cancel := context.WithCancel(t.Context())
	s.then = cancel
	if _, err := a.Deliver(ctx, "hook", app.Event{ID: "e", Header: map[string]string{}}); err != nil {
		t.Fatal(err)
	}
	if d.planned.Status != contract.DeliveryDelivered {
		t.Errorf("got %s, want delivered", d.planned.Status)
	}
}
