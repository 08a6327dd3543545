package runtimetest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

func cutCases() []testCase {
	return []testCase{
		{name: "AnAttachThatIsCutLosesNothing", test: testCutAttach},
		{name: "AnAttachThatIsLeftGoesOnFromItsPosition", test: testLeaveAttach},
		{name: "AnErrorOfTheReaderEndsAttach", test: testEmitError},
		{name: "ADeadSupervisorMakesTheEndUnknownAndLeavesNoProcess", test: testSupervisorKilled},
		{name: "ADeadSupervisorIsFoundByCancel", test: testSupervisorKilledCancel},
		{name: "ALineArrivesWithoutDelay", test: testLatency},
	}
}

// counted prints lines 1 to n with a pause now and then.
func counted(n int) (script, want string) {
	var lines strings.Builder
	for i := 1; i <= n; i++ {
		lines.WriteString(strconv.Itoa(i) + "\n")
	}
	return `i=0; while [ $i -lt ` + strconv.Itoa(n) + ` ]; do i=$((i+1)); echo $i; [ $((i % 50)) -ne 0 ] || sleep 0.05; done`, lines.String()
}

func testCutAttach(b *bench) {
	script, want := counted(1000)
	ref := b.start(b.script(1, script))
	out, wait := b.follow(ref)
	for cuts := 0; cuts < 5; {
		before := len(out.text())
		b.eventually("output arrives after a cut", func() bool { return len(out.text()) > before || len(out.text()) == len(want) })
		if len(out.text()) == len(want) {
			break
		}
		if b.killReader(ref) {
			cuts++
		}
	}
	b.ended(wait(), 0, "")
	if out.text() != want {
		b.Errorf("printed %d bytes, want %d", len(out.text()), len(want))
	}
}

func testLeaveAttach(b *bench) {
	script, want := counted(500)
	ref := b.start(b.script(1, script))
	var got strings.Builder
	var from int64
	for {
		ctx, leave := context.WithCancel(b.Context())
		frames := 0
		exit, err := b.runtime.Attach(ctx, ref, from, func(frame domain.Frame) error {
			got.Write(frame.Data)
			from = frame.Next
			if frames++; frames == 3 {
				leave()
			}
			return nil
		})
		leave()
		if err == nil {
			b.ended(exit, 0, "")
			break
		}
		if !errors.Is(err, context.Canceled) {
			b.Fatalf("Attach: %v", err)
		}
	}
	if got.String() != want {
		b.Errorf("printed %d bytes, want %d", got.Len(), len(want))
	}
}

func testEmitError(b *bench) {
	ref := b.start(b.script(1, `echo a; sleep 600`))
	mine := errors.New("enough")
	if _, err := b.runtime.Attach(b.Context(), ref, 0, func(domain.Frame) error { return mine }); !errors.Is(err, mine) {
		b.Errorf("Attach = %v, want the error of emit", err)
	}
}

func testSupervisorKilled(b *bench) {
	ref := b.start(b.stubborn(1))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	if !b.killSupervisor(ref) {
		b.Fatal("there is no supervisor")
	}
	if exit := wait(); exit.Known || exit.EndedAt.IsZero() {
		b.Errorf("exit = %+v, want an unknown one", exit)
	}
	b.noProcesses()
	if pids := b.strays(); len(pids) > 0 {
		b.Errorf("processes without a mark are left: %v", pids)
	}
	if out.text() != "ready\n" {
		b.Errorf("printed %q", out.text())
	}
}

func testSupervisorKilledCancel(b *bench) {
	ref := b.start(b.script(1, `setsid sleep 600 & echo ready; sleep 600`))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	if !b.killSupervisor(ref) {
		b.Fatal("there is no supervisor")
	}
	if err := b.runtime.Cancel(b.Context(), ref, time.Second); err != nil {
		b.Errorf("Cancel: %v", err)
	}
	b.noProcesses()
	if exit := wait(); exit.Known {
		b.Errorf("exit = %+v, want an unknown one", exit)
	}
}

func testLatency(b *bench) {
	ref := b.start(b.script(1, `i=0; while [ $i -lt 20 ]; do i=$((i+1)); sleep 0.02; echo $i; done`))
	best := time.Hour
	_, err := b.runtime.Attach(b.Context(), ref, 0, func(frame domain.Frame) error {
		best = min(best, time.Since(frame.Time))
		return nil
	})
	if err != nil {
		b.Fatalf("Attach: %v", err)
	}
	b.Logf("the fastest line took %v from the pipe to the reader", best)
	if best > 50*time.Millisecond {
		b.Errorf("the fastest line took %v: output is polled", best)
	}
}
