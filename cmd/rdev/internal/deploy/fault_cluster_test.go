//go:build cluster

package deploy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/kube"
)

// count prints the lines 1 to n, ten in a second.
func count(n int) (script, want string) {
	var lines strings.Builder
	for line := range n {
		fmt.Fprintln(&lines, line+1)
	}
	return fmt.Sprintf(`i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; sleep 0.1; done`, n), lines.String()
}

// follows reads an operation's output, and calls begun once the first of it is there.
func follows(t *testing.T, api *client.Client, id string, begun func()) string {
	t.Helper()
	var text strings.Builder
	for piece, err := range api.Output(t.Context(), id, 0, true) {
		if err != nil {
			t.Fatal(err)
		}
		if piece.Kind != contract.OutputStdout {
			continue
		}
		if text.Len() == 0 {
			begun()
		}
		text.Write(piece.Data)
	}
	return text.String()
}

// executorIsKilled in mid-run, without a chance to say so: another joins the run.
func (i *installation) executorIsKilled(t *testing.T) {
	api := dial(t, i.address(t), i.key)
	create(t, api, "orphan")
	script, want := count(100)
	id := run(t, api, "orphan", script)
	var killed time.Time
	got := follows(t, api, id, func() {
		killed = time.Now()
		// It warns that the pod may go on, so not everything that it says is a failure.
		if _, said, err := i.try(t.Context(), nil, "delete", "pod", "--namespace", services, "--selector", "app.kubernetes.io/name=executor",
			"--force", "--grace-period", "0"); err != nil {
			t.Errorf("%v: %s", err, said)
		}
	})
	operation := ended(t, api, id, contract.Completed)
	t.Logf("it ended %s after the kill, in attempt %d", time.Since(killed).Round(time.Second), operation.Attempt)
	if got != want || operation.Attempt < 2 {
		t.Errorf("printed %d bytes, want %d; attempt %d", len(got), len(want), operation.Attempt)
	}
}

// podIsDeleted in mid-run: the run has ended, and the next finds the same files.
func (i *installation) podIsDeleted(t *testing.T) {
	api := dial(t, i.address(t), i.key)
	create(t, api, "moved")
	id := run(t, api, "moved", "echo kept >file; echo begun; sleep 600")
	got := follows(t, api, id, func() {
		i.kubectl(t, nil, "delete", "pod", "--namespace", projects, kube.NameOf("moved")+"-0")
	})
	operation := ended(t, api, id, contract.Failed)
	if got != "begun\n" || operation.Failure == nil || operation.Failure.Class != contract.ClassInfrastructure {
		t.Errorf("printed %q, failure %+v, want one of the infrastructure", got, operation.Failure)
	}
	if got := said(t, api, "moved", "cat file"); got != "kept\n" {
		t.Errorf("the next command found %q", got)
	}
}
