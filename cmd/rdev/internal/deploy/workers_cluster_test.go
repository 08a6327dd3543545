//go:build cluster

package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// litter is a piece of work that first looks for what others may have left, in every
// place that it can write to and in every process, and then leaves as much itself. What
// it leaves has its mark.
const litter = `
strangers() {
	find . "$HOME" "$TMPDIR" /tmp /dev/shm -mindepth 1 2>&1
	grep -rs mark- /workspace
	cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -e '^MARK=' -e '^TOKEN=' | grep -v -e "^MARK=$MARK\$" -e "^TOKEN=$TOKEN\$"
	for process in /proc/[0-9]*; do tr '\0' ' ' <$process/cmdline; echo; done 2>/dev/null | grep -e '^sleep 7777' -e '^sh -c trap'
}
left=$(strangers)
if test -n "$left"; then echo "$left"; exit 9; fi
command -v setsid >/dev/null || exit 7
for dir in . "$HOME" "$TMPDIR" /tmp /dev/shm; do
	mkdir -p "$dir/a/b" && echo "$MARK $TOKEN" >"$dir/a/b/file" && echo "$MARK" >"$dir/.hidden" && chmod 500 "$dir/a/b" "$dir/a" || exit 8
done
setsid sh -c 'trap "" TERM HUP; while :; do sleep 7777; done' >/dev/null 2>&1 &
sleep 0.5
echo clean`

// piece is work as the API tells of it, as far as a test asks.
type piece struct {
	ID      string
	State   contract.State
	Lane    contract.Lane
	Failure *contract.Failure
	Work    contract.Work
}

// worker is one as the API tells of it.
type worker struct {
	ID        string
	State     contract.WorkerState
	Operation *string
}

// workOnWorkers has 50 pieces of work of five projects and a long one done by up to five
// workers, and the pod of whoever has the long one deleted.
func (i *installation) workOnWorkers(t *testing.T) {
	url := i.address(t)
	api := dial(t, url, i.key)
	slugs := []string{"red", "green", "blue", "grey", "pink"}
	for _, project := range slugs {
		create(t, api, project)
		call(t, http.MethodPut, url+"/projects/"+project+"/credentials/TOKEN", i.key, fmt.Sprintf(`{"value":"mark-secret-of-%s"}`, project), nil)
	}
	began := time.Now()
	var ids []string
	for n := range 50 {
		ids = append(ids, i.queue(t, slugs[n%len(slugs)], litter, fmt.Sprintf(`,"env":{"MARK":"mark-%d"},"credentials":["TOKEN"]`, n)).ID)
		if n == 20 {
			ids = append(ids, i.queue(t, "red", "sleep 10; echo slept", `,"priority":"high","backoff":"1s"`).ID)
		}
	}
	long := ids[21]
	var victim string
	testkit.Eventually(t, func() error {
		if err := running(t.Context(), api, long); err != nil {
			return err
		}
		for _, w := range i.workers(t) {
			if w.Operation != nil && *w.Operation == long {
				victim = w.ID
			}
		}
		if victim == "" {
			return errors.New("no worker has it")
		}
		return nil
	})
	killed := time.Now()
	if err := i.client.CoreV1().Pods(projects).Delete(t.Context(), victim, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, func() error {
		if now := i.piece(t, long); len(now.Work.Tries) == 0 {
			return fmt.Errorf("it is %s and was not given back", now.State)
		}
		return nil
	})
	t.Logf("given back %s after its pod was deleted", time.Since(killed).Round(100*time.Millisecond))
	by := map[string]int{}
	for _, id := range ids {
		ended(t, api, id, contract.Completed)
		by[i.piece(t, id).Lane.Key]++
		want := "clean\n"
		if id == long {
			want = "slept\n"
		}
		if got := printed(t, api, id); got != want {
			t.Errorf("work %s printed %q", id, got)
		}
	}
	t.Logf("%d pieces of work in %s, by %v", len(ids), time.Since(began).Round(time.Second), by)
	if tries := i.piece(t, long).Work.Tries; len(tries) != 1 || tries[0].Worker != victim || tries[0].Failure.Class != contract.ClassInfrastructure {
		t.Errorf("the long one was tried before: %+v", tries)
	}
	if len(by) < 3 || len(by) > 6 || len(i.workers(t)) > 5 {
		t.Errorf("%d workers did it, and there are %d", len(by), len(i.workers(t)))
	}
	i.workIsAlone(t, api)
	i.workerDrains(t)
}

// workIsAlone tries to reach the gateway from a worker.
func (i *installation) workIsAlone(t *testing.T, api *client.Client) {
	t.Helper()
	script := fmt.Sprintf("getent hosts gateway.rdev.svc.cluster.local >/dev/null && echo found; timeout 2 bash -c '</dev/tcp/%s/80' 2>/dev/null && echo reached; true",
		i.clusterIP(t, services, "gateway"))
	id := i.queue(t, "red", script, "").ID
	ended(t, api, id, contract.Completed)
	if got := printed(t, api, id); got != "found\n" {
		t.Errorf("of the gateway a worker has %q", got)
	}
}

// workerDrains until its pod is gone.
func (i *installation) workerDrains(t *testing.T) {
	t.Helper()
	drained := i.workers(t)[0].ID
	call(t, http.MethodPost, i.address(t)+"/workers/"+drained+"/drain", i.key, "", nil)
	testkit.Eventually(t, func() error {
		_, err := i.client.CoreV1().Pods(projects).Get(t.Context(), drained, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("its pod is still there: %w", err)
		}
		for _, w := range i.workers(t) {
			if w.ID == drained {
				return fmt.Errorf("it is %s", w.State)
			}
		}
		return nil
	})
}

// queue posts a script as a piece of work, with more fields of its body.
func (i *installation) queue(t *testing.T, project, script, more string) (p piece) {
	t.Helper()
	body := fmt.Sprintf(`{"kind":"test","project":%q,"script":%s%s}`, project, quoted(t, script), more)
	call(t, http.MethodPost, i.address(t)+"/work", i.key, body, &p)
	return p
}

func (i *installation) piece(t *testing.T, id string) (p piece) {
	t.Helper()
	call(t, http.MethodGet, i.address(t)+"/work/"+id, i.key, "", &p)
	return p
}

func (i *installation) workers(t *testing.T) []worker {
	t.Helper()
	var list struct{ Workers []worker }
	call(t, http.MethodGet, i.address(t)+"/workers", i.key, "", &list)
	return list.Workers
}

// printed is what an operation that has ended wrote to stdout and stderr.
func printed(t *testing.T, api *client.Client, id string) string {
	t.Helper()
	var text strings.Builder
	for piece, err := range api.Output(t.Context(), id, 0, false) {
		if err != nil {
			t.Fatal(err)
		}
		text.Write(piece.Data)
	}
	return text.String()
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}
