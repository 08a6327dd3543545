package runtimetest

import (
	"strings"
	"time"

	"github.com/orchard9/rdev/services/executor/internal/domain"
)

// stubborn starts every kind of process that outlives a plain kill, and waits.
// Two of them carry no environment; their time to sleep tells them.
const stubborn = `
setsid sleep 601 &
(setsid sh -c 'sleep 602 & exec sleep 603' &)
sh -c 'trap "" TERM HUP INT; sleep 604; sleep 605' &
nohup sleep 606 >/dev/null 2>&1 &
setsid sh -c 'trap "" TERM; exec env -i sleep $STRAY' &
env -i sleep $STRAY &
trap "" TERM
for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.02; done
echo ready
while :; do sleep 609; done
`

func cancelCases() []testCase {
	return []testCase{
		{name: "CancelLeavesNoProcess", test: testCancelStubborn},
		{name: "CancelLetsAProgramEndInItsOwnWay", test: testCancelPolite},
		{name: "CancelOfWhatHasEndedIsHarmless", test: testCancelEnded},
		{name: "CancelTwiceAtOnceIsHarmless", test: testCancelTwice},
	}
}

// stubborn is a run of that script.
func (b *bench) stubborn(token uint64) domain.RunSpec {
	spec := b.script(token, stubborn)
	spec.Env = append(spec.Env, "STRAY="+b.stray)
	return spec
}

// strays lists the sleeps of stubborn that carry no tag.
func (b *bench) strays() []int {
	return b.processesWith("cmdline", func(args []string) bool {
		return len(args) > 1 && args[0] == "sleep" && args[1] == b.stray
	})
}

func (b *bench) ready(out *printed, what string) {
	b.Helper()
	b.eventually("the program prints "+what, func() bool { return strings.Contains(out.text(), what) })
}

func testCancelStubborn(b *bench) {
	ref := b.start(b.stubborn(1))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	if err := b.runtime.Cancel(b.Context(), ref, 200*time.Millisecond); err != nil {
		b.Fatalf("Cancel: %v", err)
	}
	b.noProcesses()
	if pids := b.strays(); len(pids) > 0 {
		b.Errorf("processes without a mark are left: %v", pids)
	}
	exit := wait()
	b.ended(exit, -1, "SIGKILL")
	if !exit.Cancelled {
		b.Error("the exit does not say that it was cancelled")
	}
}

func testCancelPolite(b *bench) {
	ref := b.start(b.script(1, `trap 'echo bye; exit 9' TERM; echo ready; while :; do sleep 0.01; done`))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	began := time.Now()
	if err := b.runtime.Cancel(b.Context(), ref, patience); err != nil {
		b.Fatalf("Cancel: %v", err)
	}
	if took := time.Since(began); took > patience/2 {
		b.Errorf("Cancel took %v", took)
	}
	exit := wait()
	b.ended(exit, 9, "")
	if out.stdout.String() != "ready\nbye\n" || !exit.Cancelled {
		b.Errorf("printed %q, exit %+v", out.text(), exit)
	}
}

func testCancelEnded(b *bench) {
	ref := b.start(b.script(1, `exit 4`))
	_, exit := b.attach(ref, 0)
	b.ended(exit, 4, "")
	if err := b.runtime.Cancel(b.Context(), ref, time.Second); err != nil {
		b.Errorf("Cancel: %v", err)
	}
	_, exit = b.attach(ref, 0)
	b.ended(exit, 4, "")
	if exit.Cancelled {
		b.Error("it had ended before the cancel")
	}
}

func testCancelTwice(b *bench) {
	ref := b.start(b.script(1, `trap "" TERM; echo ready; while :; do sleep 0.01; done`))
	out, wait := b.follow(ref)
	b.ready(out, "ready")
	errs := make(chan error)
	for range 3 {
		go func() { errs <- b.runtime.Cancel(b.Context(), ref, 100*time.Millisecond) }()
	}
	for range 3 {
		if err := <-errs; err != nil {
			b.Errorf("Cancel: %v", err)
		}
	}
	b.noProcesses()
	b.ended(wait(), -1, "SIGKILL")
}
