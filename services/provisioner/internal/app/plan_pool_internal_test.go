package app

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/orchard9/rdev/libs/contract"
)

// poolCase is a pool as it is at a time.
type poolCase struct {
	pods  []WorkerPod
	load  contract.WorkLoad
	rests map[string]time.Time
	want  []string // deeds, each with its worker
}

var poolNow = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

func readyPod(worker string) WorkerPod {
	return WorkerPod{Worker: worker, Ready: true, Since: poolNow.Add(-time.Hour)}
}

func startingPod(worker string, age time.Duration) WorkerPod {
	return WorkerPod{Worker: worker, Since: poolNow.Add(-age), Why: "is not ready"}
}

func endedPod(worker string, age time.Duration) WorkerPod {
	return WorkerPod{Worker: worker, Since: poolNow.Add(-age), Ended: true, Why: "has ended"}
}

func poolWorker(id string, state contract.WorkerState, operation string) contract.WorkerLoad {
	return contract.WorkerLoad{Worker: contract.Worker{ID: id, State: state, Runtime: contract.RuntimeKube}, Operation: operation}
}

func atWork(id string) contract.WorkerLoad { return poolWorker(id, contract.WorkerReady, "op-"+id) }
func atRest(id string) contract.WorkerLoad { return poolWorker(id, contract.WorkerReady, "") }
func drains(id string) contract.WorkerLoad { return poolWorker(id, contract.WorkerDraining, "") }

func queued(n int, age time.Duration, workers ...contract.WorkerLoad) contract.WorkLoad {
	return contract.WorkLoad{Queued: n, OldestAge: contract.Duration(age), Workers: workers}
}

func resting(worker string, long time.Duration) map[string]time.Time {
	return map[string]time.Time{worker: poolNow.Add(-long)}
}

// TestThePoolDoesWhatItsPodsNeed with room for workers, of which none has to be.
func TestThePoolDoesWhatItsPodsNeed(t *testing.T) {
	busyDrains := poolWorker("w", contract.WorkerDraining, "op")
	worn := atWork("w")
	worn.Tasks = 100
	deleting := endedPod("w", time.Minute)
	deleting.Deleting = true
	outdated := readyPod("w")
	outdated.Outdated = true
	local := atRest("local-1")
	local.Runtime = contract.RuntimeLocal
	checkPlans(t, PoolSettings{Max: 10, Idle: 5 * time.Minute, Age: 5 * time.Second, Tasks: 100, Patience: 2 * time.Minute}, map[string]poolCase{
		"none":                            {},
		"a pod that starts":               {pods: []WorkerPod{startingPod("w", time.Minute)}},
		"one that never will":             {pods: []WorkerPod{startingPod("w", 3*time.Minute)}, want: []string{"remove w"}},
		"one that is ready":               {pods: []WorkerPod{readyPod("w")}, want: []string{"announce w"}},
		"a worker at work":                {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, atWork("w"))},
		"one whose pod is gone":           {load: queued(0, 0, atWork("w")), want: []string{"withdraw w"}},
		"one of another runtime":          {load: queued(0, 0, local)},
		"one whose pod has ended":         {pods: []WorkerPod{endedPod("w", 0)}, load: queued(0, 0, atWork("w")), want: []string{"withdraw w", "remove w"}},
		"one whose pod is deleted":        {pods: []WorkerPod{deleting}, load: queued(0, 0, atRest("w")), want: []string{"withdraw w"}},
		"one whose pod is away":           {pods: []WorkerPod{startingPod("w", 10*time.Second)}, load: queued(0, 0, atWork("w"))},
		"one whose machine is gone":       {pods: []WorkerPod{startingPod("w", time.Minute)}, load: queued(0, 0, atWork("w")), want: []string{"withdraw w", "remove w"}},
		"one that is gone":                {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, poolWorker("w", contract.WorkerGone, "op")), want: []string{"remove w"}},
		"one that is gone, as its pod":    {load: queued(0, 0, poolWorker("w", contract.WorkerGone, "op"))},
		"a pod that ended before":         {pods: []WorkerPod{endedPod("w", time.Minute)}, want: []string{"remove w"}},
		"one that ended just now":         {pods: []WorkerPod{endedPod("w", time.Second)}, load: queued(1, time.Minute)},
		"one that drains and works":       {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, busyDrains)},
		"one that has drained just now":   {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, drains("w")), rests: resting("w", time.Second)},
		"one that has drained":            {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, drains("w")), rests: resting("w", 6*time.Second), want: []string{"withdraw w", "remove w"}},
		"one that rests":                  {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, atRest("w")), rests: resting("w", time.Minute)},
		"one that rests for long":         {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, atRest("w")), rests: resting("w", 6*time.Minute), want: []string{"drain w"}},
		"one that was given something":    {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, atWork("w")), rests: resting("w", 6*time.Minute)},
		"one that has done much":          {pods: []WorkerPod{readyPod("w")}, load: queued(0, 0, worn), want: []string{"drain w"}},
		"one of an older template":        {pods: []WorkerPod{outdated}, load: queued(0, 0, atWork("w")), want: []string{"drain w"}},
		"work that nobody is for":         {load: queued(2, time.Minute), want: []string{"add", "add"}},
		"work that came just now":         {load: queued(2, time.Second)},
		"more work than room":             {load: queued(50, time.Minute), want: []string{"add", "add", "add", "add", "add", "add", "add", "add", "add", "add"}},
		"work, and somebody is free":      {pods: []WorkerPod{readyPod("w")}, load: queued(2, time.Minute, atRest("w"))},
		"work, and everybody works":       {pods: []WorkerPod{readyPod("w")}, load: queued(2, time.Minute, atWork("w")), want: []string{"add", "add"}},
		"work for those that come":        {pods: []WorkerPod{startingPod("w", 0), readyPod("v")}, load: queued(2, time.Minute), want: []string{"announce v"}},
		"work for one more":               {pods: []WorkerPod{startingPod("w", 0)}, load: queued(2, time.Minute), want: []string{"add"}},
		"work, and who is free is away":   {pods: []WorkerPod{startingPod("w", time.Second)}, load: queued(1, time.Minute, atRest("w")), want: []string{"add"}},
		"work that is offered to one":     {pods: []WorkerPod{readyPod("w")}, load: queued(0, time.Minute, atWork("w"))},
		"work, and one drains: two of it": {pods: []WorkerPod{readyPod("w")}, load: queued(2, time.Minute, busyDrains), want: []string{"add", "add"}},
	})
}

func TestThePoolStaysWithinItsBounds(t *testing.T) {
	three := []WorkerPod{readyPod("a"), readyPod("b"), readyPod("c")}
	checkPlans(t, PoolSettings{Min: 2, Max: 2, Idle: time.Minute, Patience: time.Minute}, map[string]poolCase{
		"too few":                        {want: []string{"add", "add"}},
		"as many as there are to be":     {pods: three[:2], load: queued(9, time.Hour, atWork("a"), atWork("b"))},
		"the least is kept":              {pods: three[:2], load: queued(0, 0, atRest("a"), atRest("b")), rests: resting("a", time.Hour)},
		"too many, all at work":          {pods: three, load: queued(9, 0, atWork("a"), atWork("b"), atWork("c")), want: []string{"drain a"}},
		"too many, one at rest":          {pods: three, load: queued(9, 0, atWork("a"), atWork("b"), atRest("c")), rests: resting("c", time.Second), want: []string{"drain c"}},
		"one drains, and has its place":  {pods: three[:2], load: queued(9, time.Hour, atWork("a"), poolWorker("b", contract.WorkerDraining, "op"))},
		"one has drained":                {pods: three[:2], load: queued(9, time.Hour, atWork("a"), drains("b")), rests: resting("b", time.Hour), want: []string{"withdraw b", "remove b", "add"}},
		"one is lost and another begins": {pods: three[:1], load: queued(0, 0, atWork("a"), atWork("b")), want: []string{"withdraw b", "add"}},
	})
	checkPlans(t, PoolSettings{Idle: time.Hour, Patience: time.Minute}, map[string]poolCase{
		"no pool any more": {pods: three, load: queued(9, time.Hour, atRest("a"), atWork("b"), drains("c")), rests: resting("c", time.Minute), want: []string{"withdraw c", "remove c", "drain a", "drain b"}},
	})
}

func checkPlans(t *testing.T, s PoolSettings, cases map[string]poolCase) {
	t.Helper()
	for name, c := range cases {
		var got []string
		for _, step := range planPool(c.pods, c.load, c.rests, s, poolNow) {
			deed := string(step.deed)
			if step.worker != "" {
				deed += " " + step.worker
			}
			got = append(got, deed)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}
}
