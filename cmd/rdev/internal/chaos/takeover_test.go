package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/orchard9/rdev/cmd/rdev/internal/client"
	"github.com/orchard9/rdev/libs/contract"
	"github.com/orchard9/rdev/libs/testkit"
)

// longScript prints five megabytes, with pauses, and ends with exit code 7.
const longScript = `i=0
while [ $i -lt 50 ]; do i=$((i+1)); seq $((i*20000)) $((i*20000+14000)); sleep 0.1; done
exit 7`

func longOutput() []byte {
	var text bytes.Buffer
	for i := 1; i <= 50; i++ {
		for n := i * 20000; n <= i*20000+14000; n++ {
			text.WriteString(strconv.Itoa(n))
			text.WriteByte('\n')
		}
	}
	return text.Bytes()
}

func TestAnExecutorThatIsKilledLosesNothingOfTheCommandThatItRan(t *testing.T) {
	w := newWorld(t, 1, 1)
	w.createProject(t, "shop")
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	defer cancel()
	accepted, err := w.client.Run(ctx, "shop", client.Command{Kind: "shell", Shell: &contract.Shell{Script: longScript}}, "long")
	if err != nil {
		t.Fatal(err)
	}
	op := accepted.Operation.Operation
	want := longOutput()
	testkit.Eventually(t, func() error {
		got, err := w.stored(ctx, op)
		if err == nil && got < int64(len(want)/4) {
			err = fmt.Errorf("only %d bytes are stored", got)
		}
		return err
	})
	first := w.crew.one(rand.New(rand.NewPCG(1, 1)), nil)
	if err := w.crew.kill(first); err != nil {
		t.Fatal(err)
	}
	if running, err := w.conn.Load(ctx, op.ID); err != nil || running.State != contract.Running {
		t.Fatalf("the executor was killed too late: %s, %v", running.State, err)
	}
	if err := w.crew.start(); err != nil {
		t.Fatal(err)
	}
	ended, err := w.await(ctx, op.ID)
	if err != nil {
		t.Fatalf("%+v: %v", ended, err)
	}
	if ended.State != contract.Failed || ended.ExitCode == nil || *ended.ExitCode != 7 || ended.Attempt != 2 {
		t.Errorf("%s, exit code %v, attempt %d; want failed, 7, 2: %+v", ended.State, ended.ExitCode, ended.Attempt, ended.Failure)
	}
	got, err := w.output(ctx, ended.ID)
	if err != nil {
		t.Fatal(err)
	}
	if sha256.Sum256(got.text[contract.OutputStdout]) != sha256.Sum256(want) {
		t.Errorf("the output has %d bytes, want %d, or differs", len(got.text[contract.OutputStdout]), len(want))
	}
	if got.attempts[1] == 0 || got.attempts[2] == 0 {
		t.Errorf("chunks by attempt %v, want of both", got.attempts)
	}
	if took := time.Since(*ended.StartedAt); took > 45*time.Second {
		t.Errorf("it took %s", took)
	}
}
