package up_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// request sends a request to the API, and decodes the answer.
func (i *instance) request(method, path, body string, into any) error {
	key, err := os.ReadFile(filepath.Join(i.home, "api-key"))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(i.t.Context(), testkit.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, i.URL+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("X-API-Key", strings.TrimSpace(string(key)))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s %s", method, path, response.Status, text)
	}
	return json.Unmarshal(text, into)
}

// killRunner ends the supervisor of a run that is under way, as an accident would.
func killRunner(t *testing.T, home string) {
	t.Helper()
	testkit.Eventually(t, func() error {
		for _, process := range processesOf(t, home) {
			path, cmdline, _ := strings.Cut(process, ": ")
			if pid, err := strconv.Atoi(filepath.Base(path)); err == nil && strings.Contains(cmdline, " supervise ") {
				return syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		return errors.New("nothing runs")
	})
}

// All of rdev, with NATS and PostgreSQL, is killed over and over while work is done,
// and so are runs: every piece has one outcome, and its last try its whole output.
func TestWorkOutlivesEverything(t *testing.T) {
	home := t.TempDir()
	i := start(t, home)
	i.must("projects", "create", "shop")
	i.must("projects", "create", "blog")
	const count = 16
	var ids []string
	for n := range count {
		var op contract.Operation
		// It can tell whether somebody was in its workspace before it.
		body := fmt.Sprintf(`{"kind":"test","project":%q,"script":"ls -A . ~ $TMPDIR | grep -v :; echo begin %d; touch here ~/here $TMPDIR/here; sleep 0.5; echo end %d","backoff":"1s"}`,
			[]string{"shop", "blog"}[n%2], n, n)
		if err := i.request(http.MethodPost, "/work", body, &op); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, op.ID)
	}
	for range 3 {
		killRunner(t, home)
		time.Sleep(300 * time.Millisecond)
		i.kill()
		i = start(t, home)
	}
	lost := 0
	for n, id := range ids {
		var op contract.Operation
		testkit.Eventually(t, func() error {
			err := i.request(http.MethodGet, "/work/"+id, "", &op)
			if err == nil && !op.State.Ended() {
				err = fmt.Errorf("work %s is %s", id, op.State)
			}
			return err
		})
		if op.State != contract.Completed {
			t.Errorf("work %d is %s: %+v", n, op.State, op.Failure)
		}
		for _, try := range op.Work.Tries {
			lost++
			if try.Failure.Class != contract.ClassInfrastructure || try.Worker == "" {
				t.Errorf("work %d has a try %+v: %+v", n, try, try.Failure)
			}
		}
		out := i.must("ops", "output", id)
		if last := fmt.Sprintf("begin %d\nend %d\n", n, n); !strings.HasSuffix(out, last) || len(op.Work.Tries) == 0 && strings.TrimSpace(out) != strings.TrimSpace(last) {
			t.Errorf("the output of work %d is %q", n, out)
		}
	}
	if lost == 0 {
		t.Error("no try was lost: this test kills nothing")
	}
	i.stop()
	if left, err := filepath.Glob(filepath.Join(home, "workers", "*", "workspace", "*")); err != nil || len(left) > 0 {
		t.Errorf("work has left %q, %v", left, err)
	}
}
