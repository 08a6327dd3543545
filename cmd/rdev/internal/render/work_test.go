package render_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/cmd/rdev/internal/render"
	"github.com/orchard9/rdev/libs/contract"
)

func TestEventsOfWorkSayWhereItRunsAndWhatFollows(t *testing.T) {
	at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	lost := contract.Try{Attempt: 1, Worker: "w1", Failure: contract.NewFailure(contract.ClassInfrastructure, "the worker was\nlost")}
	failed := contract.Try{Attempt: 3, Worker: "w2", ExitCode: new(2), Failure: contract.NewFailure(contract.ClassUser, "exit status 2")}
	for want, event := range map[string]render.Event{
		"work.test · attempt 2 on w1 · e1": {
			Type: contract.TypeRunning, Operation: &contract.Operation{Attempt: 2, Executor: "e1", Lane: contract.WorkerLane("w1"), Work: &contract.Work{}},
		},
		"work.test · attempt 1 on w1 · infrastructure: the worker was lost · again in 10s": {
			Type: contract.TypeRetrying, Operation: &contract.Operation{Work: &contract.Work{RunAt: new(at.Add(10 * time.Second)), Tries: []contract.Try{lost}}},
		},
		"work.test · attempt 3 on w2 · exit 2 · user: exit status 2 · again now": {
			Type: contract.TypeRetrying, Operation: &contract.Operation{Work: &contract.Work{RunAt: &at, Tries: []contract.Try{lost, failed}}},
		},
		"work.test": {Type: contract.TypeRetrying, Operation: &contract.Operation{}},
	} {
		event.Time, event.Operation.Kind = at, contract.KindWorkTest
		if diff := cmp.Diff(want, render.Details(event)); diff != "" {
			t.Error(diff)
		}
	}
}

func TestWorkThatIsNotDueSaysWhenItIs(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	in := func(d time.Duration) *contract.Work { return &contract.Work{RunAt: new(now.Add(d))} }
	for want, op := range map[string]contract.Operation{
		"pending":              {State: contract.Pending, Work: in(-time.Second)},
		"pending (due in 10s)": {State: contract.Pending, Work: in(9800 * time.Millisecond)},
		"pending (due in 1m)":  {State: contract.Pending, Work: in(time.Minute)},
		"pending (due in 10m)": {State: contract.Pending, Work: in(10*time.Minute - 20*time.Second)},
		"pending (due in 20h)": {State: contract.Pending, Work: in(20 * time.Hour)},
		"pending (held)":       {State: contract.Pending, Held: true, Work: in(time.Minute)},
		"running":              {State: contract.Running, Work: in(time.Minute)},
	} {
		if got := (render.Style{}).Standing(now, op); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := (render.Style{}).Standing(now, contract.Operation{State: contract.Pending, Work: &contract.Work{}}); got != "pending" {
		t.Errorf("%q, want pending", got)
	}
	if got := render.Due(now, nil); got != "now" {
		t.Errorf("no time is due %q, want now", got)
	}
}

func TestTheLastTryIsOneOfThem(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { return new(now.Add(-d)) }
	first := contract.Try{
		Attempt: 1, Worker: "w\x1b[1m1", StartedAt: *ago(5 * time.Minute), FinishedAt: *ago(4 * time.Minute), ExitCode: new(2),
		Failure: contract.NewFailure(contract.ClassUser, "exit status 2"),
	}
	work := &contract.Work{Tries: []contract.Try{first}}
	before := []string{"1", "w [1m1", "5m ago", "1m0s", "2", "user: exit status 2"}
	for name, test := range map[string]struct {
		op   contract.Operation
		want [][]string
	}{
		"waits":   {contract.Operation{State: contract.Pending, Work: work}, [][]string{before}},
		"runs":    {contract.Operation{State: contract.Running, AttemptAt: ago(time.Minute), Lane: contract.WorkerLane("w2"), Work: work}, [][]string{before, {"2", "w2", "1m ago", "1m0s", "-", "-"}}},
		"ended":   {contract.Operation{State: contract.Completed, AttemptAt: ago(time.Minute), FinishedAt: ago(50 * time.Second), ExitCode: new(0), Work: work}, [][]string{before, {"2", "-", "1m ago", "10s", "0", "-"}}},
		"no work": {contract.Operation{AttemptAt: ago(time.Minute)}, nil},
	} {
		var got [][]string
		for i, try := range render.Tries(test.op) {
			got = append(got, render.Try(now, i+1, try))
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWhatWorkHasIsOnALine(t *testing.T) {
	for want, got := range map[string]string{
		"https://git.example.com/shop.git@main": render.Repository(&contract.Repository{URL: "https://git.example.com/shop.git", Ref: "main"}),
		"ssh://git.example.com/shop":            render.Repository(&contract.Repository{URL: "ssh://git.example.com/shop"}),
		"":                                      render.Repository(nil) + render.Labels(nil),
		"a=1, b=x [2J":                          render.Labels(map[string]string{"b": "x\n\x1b[2J", "a": "1"}),
		"nobody knows why":                      render.Reason(nil),
		"250ms":                                 render.Seconds(0.25),
		"0s":                                    render.Seconds(0),
		"12.3s":                                 render.Seconds(12.34),
		"2m5s":                                  render.Seconds(125.2),
		"2h":                                    render.Seconds(7200),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
