//go:build cluster

package deploy_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// load is what several clients do while the services are restarted: commands, a few
// at a time in each project, each of which leaves a line in its workspace.
type load struct {
	once    *client.Client // tries once: what goes wrong is seen
	patient *client.Client // waits out what goes wrong

	mu       sync.Mutex
	accepted map[string][]string // ids of operations, in order, by project
	failed   []error             // requests that were not accepted at once
	slowest  time.Duration       // from acceptance to end
}

const (
	// waiting is how many commands of a project are under way: one runs.
	waiting = 3
	// pace is the time between two commands of a project: half of what its limit of
	// 600 operations a minute allows, whatever the machine could do.
	pace = 200 * time.Millisecond
)

// run sends commands to a project until it is to stop, and returns when all of them
// have ended. A request that fails is sent again with the same key, as a careful
// client does.
func (l *load) run(t *testing.T, project string, stop <-chan struct{}) {
	t.Helper()
	var under sync.WaitGroup
	defer under.Wait()
	slots := make(chan struct{}, waiting)
	for n, tick := 0, time.Tick(pace); ; n++ {
		<-tick
		select {
		case <-stop:
			return
		case slots <- struct{}{}:
		}
		id := l.accept(t, project, fmt.Sprintf("%s-%d", project, n))
		under.Go(func() {
			l.await(t, id)
			<-slots
		})
	}
}

func (l *load) await(t *testing.T, id string) {
	t.Helper()
	began := time.Now()
	operation, err := l.patient.Wait(t.Context(), id, func(client.Operation) {})
	if err != nil || operation.State != contract.Completed {
		t.Errorf("command %s ended as %q, %v: %+v", id, operation.State, err, operation.Failure)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.slowest = max(l.slowest, time.Since(began))
}

func (l *load) accept(t *testing.T, project, key string) (id string) {
	t.Helper()
	command := client.Command{Kind: "shell", Shell: &contract.Shell{Script: "echo " + key + " >>done"}}
	for {
		accepted, err := l.once.Run(t.Context(), project, command, key)
		if err == nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.accepted[project] = append(l.accepted[project], accepted.ID)
			return accepted.ID
		}
		l.fail(err)
		time.Sleep(100 * time.Millisecond)
	}
}

func (l *load) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, err)
}

// knock asks the gateway over one new connection after another until it is to stop:
// those of the other clients stay.
func (l *load) knock(t *testing.T, url string, stop <-chan struct{}) {
	t.Helper()
	visitor := &http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	for tick := time.Tick(20 * time.Millisecond); ; <-tick {
		select {
		case <-stop:
			return
		default:
		}
		response, err := visitor.Get(url + "/version")
		if err == nil {
			err = response.Body.Close()
			if response.StatusCode != http.StatusOK {
				err = errors.New(response.Status)
			}
		}
		if err != nil {
			l.fail(err)
		}
	}
}

// restartUnderLoad restarts Deployments and StatefulSets, one after another, while
// commands are sent, and wants every command that was accepted to have been carried
// out once. It returns what went wrong with requests until they were accepted.
func (i *installation) restartUnderLoad(t *testing.T, targets ...string) (failed []error) {
	t.Helper()
	once, err := client.New(client.Config{URL: i.address(t), Key: i.key, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	l := &load{once: once, patient: dial(t, i.address(t), i.key), accepted: map[string][]string{}}
	names := []string{"one", "two", "three"}
	for _, project := range names {
		create(t, l.patient, project)
	}
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for _, project := range names {
		clients.Go(func() { l.run(t, project, stop) })
	}
	clients.Go(func() { l.knock(t, i.address(t), stop) })
	for _, target := range targets {
		i.restart(t, target)
	}
	close(stop)
	clients.Wait()
	total := 0
	for _, project := range names {
		total += len(l.accepted[project])
		l.check(t, project)
	}
	t.Logf("%d commands were accepted; the slowest took %s", total, l.slowest.Round(100*time.Millisecond))
	return l.failed
}

// restart returns when every pod of before is gone.
func (i *installation) restart(t *testing.T, target string) {
	t.Helper()
	began := time.Now()
	_, name, _ := strings.Cut(target, "/")
	before := strings.Fields(i.kubectl(t, nil, "get", "pods", "--namespace", services, "--selector", "app.kubernetes.io/name="+name,
		"--output", "jsonpath={.items[*].metadata.uid}"))
	i.kubectl(t, nil, "rollout", "restart", target, "--namespace", services)
	i.kubectl(t, nil, "rollout", "status", target, "--namespace", services, "--timeout", "4m")
	testkit.Eventually(t, func() error {
		left := i.kubectl(t, nil, "get", "pods", "--namespace", services, "--output", "jsonpath={.items[*].metadata.uid}")
		for _, uid := range before {
			if strings.Contains(left, uid) {
				return errors.New("an old pod of " + target + " is still there")
			}
		}
		return nil
	})
	t.Logf("%s is restarted after %s", target, time.Since(began).Round(100*time.Millisecond))
}

// check wants each command of a project to have ended once, and its line to be
// there exactly once and in order.
func (l *load) check(t *testing.T, project string) {
	t.Helper()
	var want []string
	for n, id := range l.accepted[project] {
		want = append(want, fmt.Sprintf("%s-%d", project, n))
		history, err := l.patient.History(t.Context(), id)
		ends := 0
		for _, event := range history {
			if event.Operation.State.Ended() {
				ends++
			}
		}
		if err != nil || ends != 1 {
			t.Errorf("command %s ended %d times, %v", id, ends, err)
		}
	}
	if got := strings.Fields(said(t, l.patient, project, "cat done")); !slices.Equal(got, want) {
		t.Errorf("project %s: %d commands were accepted, and did %v", project, len(want), got)
	}
}
