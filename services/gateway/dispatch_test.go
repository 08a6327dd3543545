package gateway_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

func TestALaneIsFirstInFirstOutAndLanesRunSideBySide(t *testing.T) {
	w := newWorld(t)
	const lanes, commands = 8, 10
	var mu sync.Mutex
	ran := map[string][]string{}
	busy := map[string]bool{}
	want := map[string][]string{}
	for i := range lanes {
		w.ready(fmt.Sprintf("p%d", i))
	}
	w.work(func(cmd contract.RunOperation) {
		mu.Lock()
		if busy[cmd.Project] {
			t.Errorf("two commands run in %s at once", cmd.Project)
		}
		busy[cmd.Project] = true
		ran[cmd.Project] = append(ran[cmd.Project], cmd.Operation)
		mu.Unlock()
		w.begin(cmd.Operation)
		w.complete(cmd.Operation)
		mu.Lock()
		busy[cmd.Project] = false
		mu.Unlock()
	})
	begin := time.Now()
	for range commands {
		for i := range lanes {
			project := fmt.Sprintf("p%d", i)
			want[project] = append(want[project], w.run(project).ID)
		}
	}
	testkit.Eventually(t, func() error {
		mu.Lock()
		defer mu.Unlock()
		for project, ids := range want {
			if !slices.Equal(ran[project], ids) {
				return fmt.Errorf("%s ran %q, want %q", project, ran[project], ids)
			}
		}
		return nil
	})
	// The renewal of offers would take 15 seconds for each.
	if took := time.Since(begin); took > 14*time.Second {
		t.Errorf("%d commands on each lane took %s: the next one is not offered when the lane is free", commands, took)
	}
}

func TestOneThatWasCancelledWhileItWaitedIsPassedOver(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	first, second, third := w.run("shop"), w.run("shop"), w.run("shop")
	lane := contract.PodLane("shop")
	w.onLane(lane, first.ID)
	w.send(call{path: "/operations/" + second.ID + "/cancel"}).operation(t, http.StatusOK)
	w.begin(first.ID)
	w.complete(first.ID)
	w.purgeCommands() // as an acknowledgement does
	w.onLane(lane, third.ID)
}

func TestAQueueThatIsLostIsFilledAgain(t *testing.T) {
	w := newWorld(t)
	w.ready("shop", "blog")
	running, other := w.run("shop"), w.run("blog")
	w.onLane(contract.PodLane("shop"), running.ID)
	w.onLane(contract.PodLane("blog"), other.ID)
	w.begin(running.ID)
	w.purgeCommands()
	w.onLane(contract.PodLane("shop"), running.ID) // whoever takes it sees that it runs
	w.onLane(contract.PodLane("blog"), other.ID)
}

func TestAGatewayThatStartsOffersWhatIsDue(t *testing.T) {
	w := newWorld(t)
	w.ready("shop")
	w.stop()
	op, err := w.conn.Append(t.Context(), nil, contract.OperationPending{Operation: contract.Operation{
		ID: unknownID, Kind: contract.KindShell, Project: "shop", Lane: contract.PodLane("shop"), CreatedAt: time.Now(),
		Command: &contract.Command{Shell: &contract.Shell{Argv: []string{"true"}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	w.start()
	w.onLane(contract.PodLane("shop"), op.ID)
}
